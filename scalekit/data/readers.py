"""`read_runs`: a table of runs from a file or frame, with its interpretation said aloud."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from scalekit.columns import SCALES, Locate, Reading
from scalekit.data.interpret import drop_empty_scales, fill_scales, scale_notes, to_roles
from scalekit.data.sources import Source, open_source
from scalekit.data.table import resolve_roles
from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note, format_notes
from scalekit.tables import RunTable, check_runs

EXAMPLES_FOLDER = Path(__file__).parent / "examples"
# name of an example -> the roles that its columns play beyond what their names say
EXAMPLES: dict[str, dict[str, str | None]] = {"stdlib": {"loss": "val_loss", "group": "recipe"}}


def read_runs(
    table: Any, *, quiet: bool = False, last_step: bool = False, **columns: str | None
) -> RunTable:
    """Return the runs in `table`, and print on stderr how each column was read.

    `table` is a path (CSV, TSV, JSON, JSON lines, Parquet; known by content, .gz too), a frame
    (pandas, polars, pyarrow), a dict of columns or a list of records. A directory, a pattern such
    as "logs/*/metrics.csv" or a list of paths is one table a run: their rows are put under each
    other, and `run` is the file's name where no column says it. A chart exported from Weights &
    Biases and a trainer_state.json are read as logs. Roles: params, tokens,
    samples, flops, loss, run, step, seed, group, weight, noise (standard error of the loss).

    Columns are found by name (see `scalekit.data.table.ALIASES`); `role="column"` overrides, and
    `role="column:unit"` names a unit (`params="size:M"`, `flops="cost:GFLOP"`), `loss="1-acc"` (or
    "100-acc") makes an error of an accuracy, `role=None` leaves the role out. The one of params,
    tokens and flops that is missing is computed by C = 6ND. `last_step` keeps the last step of
    each run; `quiet` prints nothing. Text files over 64 MB are read block by block, and columns
    without a role are then not kept.

    Raises InputError, ColumnNotFoundError where the table cannot be read; each says what to do.

    >>> runs = read_runs({"N": ["1M", "4M"], "D": [2e7, 8e7], "loss": [4.1, 3.6]}, quiet=True)
    >>> print(runs.interpretation())
      params <- N (embeddings: unknown): 1M to 4M
      tokens <- D: 20M to 80M
      loss <- loss: 3.6 to 4.1
      flops = 6 x params x tokens, since there is no column for flops: 1.2e+14 to 1.92e+15
    """
    source = open_source(table)
    if source.head.empty:
        raise InputError(f"{source.name} has no rows. Give a header and one row a run.")
    readings, notes = resolve_roles(source.head, columns, source.name)
    read = [reading.column for reading in readings]
    left = [str(name) for name in source.head if str(name) not in read]
    notes = [*source.notes, *notes]
    if source.partial and left:
        notes.append(_columns_left(left))
    frame, readings, emptied = drop_empty_scales(_load(source, readings), readings)
    frame, readings, filled = fill_scales(frame, readings)
    runs = check_runs(
        frame,
        # computed scales last: a gap is then told of the column that it comes from
        scales=[reading.role for reading in readings if reading.role in SCALES],
        source=source.name,
        readings=readings,
        notes=[*notes, *emptied, *filled, *scale_notes(frame)],
        locate=source.locate,
    )
    runs = runs.final_only() if last_step else runs
    if not quiet:
        told = format_notes(runs.notes)
        print("\n".join(filter(None, [runs.account(), told])), file=sys.stderr)
    return runs


def read_candidates(table: Any, **columns: str | None) -> pd.DataFrame:
    """Return a table of possible runs under canonical names: as `read_runs`, but without a loss.

    Rows that name no usable scale are kept; who plans with them says what is missing.

    >>> read_candidates({"N": ["1M", "4M"], "tokens_b": [0.02, 0.08]})["flops"].tolist()
    [120000000000000.0, 1920000000000000.0]
    """
    source = open_source(table)
    if source.head.empty:
        raise InputError(f"{source.name} has no rows. Give a header and one row a possible run.")
    readings, _ = resolve_roles(source.head, columns, source.name, needs_loss=False)
    return fill_scales(_load(source, readings), readings)[0]


def example_runs(name: str = "stdlib", *, quiet: bool = True) -> RunTable:
    """Return a bundled table of real small runs; the script that trained them stands beside it.

    "stdlib": byte transformers on the text of Python's standard library, several sizes, token
    budgets and seeds, two recipes; loss is the validation loss, group the recipe. Raises
    InputError for a name that is not there.
    """
    if name not in EXAMPLES:
        raise InputError(f"There is no example '{name}'. {did_you_mean(name, EXAMPLES)}")
    path = EXAMPLES_FOLDER / f"{name}_runs.csv"
    return read_runs(path, quiet=quiet, last_step=False, **EXAMPLES[name])


def _load(source: Source, readings: list[Reading]) -> pd.DataFrame:
    """Return all rows of `source` under canonical names, block by block as they come."""
    pieces: dict[Hashable, list[pd.Series]] = {}
    start = 0
    for block in source.load(readings):
        locate = _shifted(source.locate, start)
        columns = to_roles(block, readings, source.name, locate, source.decimal_comma)
        for name, column in columns.items():
            pieces.setdefault(name, []).append(column)
        start += len(block)
    # column by column, so that the table is not in memory twice
    whole = {name: _join(pieces.pop(name)) for name in list(pieces)}
    return pd.DataFrame(whole, copy=not source.partial)


def _join(pieces: list[pd.Series]) -> pd.Series:
    """Return the pieces of a column as one; labels that are numbers in some only become text."""
    if len({piece.dtype for piece in pieces}) > 1:
        pieces = [piece.astype(str) for piece in pieces]
    return pieces[0] if len(pieces) == 1 else pd.concat(pieces, ignore_index=True)


def _shifted(locate: Locate, start: int) -> Locate:
    return lambda position: locate(position + start)


def _columns_left(names: list[str]) -> Note:
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return Note(
        "columns_left",
        "info",
        f"The table is large, so {len(names)} columns without a role are not kept: {shown}. "
        "Give one a role (--columns group=COLUMN), or cut the table to the rows that you need.",
    )
