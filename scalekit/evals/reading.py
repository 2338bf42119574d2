"""Read benchmark results from whatever the harness left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.evals.checking import assemble
from scalekit.evals.harness import is_lm_eval, read_lm_eval
from scalekit.evals.inspect_logs import is_inspect, read_inspect
from scalekit.evals.logs import MIXED, LogRows
from scalekit.evals.table import Evals
from scalekit.evals.tidy_tables import (
    ALIASES,
    TABLES,
    named_by_file,
    read_table,
    rows_of_table,
    settle_run_names,
    table_suffix,
)
from scalekit.notes import Note

Source = str | Path | pd.DataFrame | Mapping[Any, Any] | Sequence[str | Path] | Evals


def read_evals(
    source: Source,
    *,
    chance: Mapping[str, float] | float | None = None,
    lower_is_better: Sequence[str] = (),
    higher_is_better: Sequence[str] = (),
    unit: str | None = None,
    filter_name: str | None = None,
    columns_are: str | None = None,
    columns: Mapping[str, str] | None = None,
    **roles: str,
) -> Evals:
    """Read benchmark results into one checked long table.

    `source` is a tidy or wide table (.csv .tsv .parquet .jsonl, or a frame), an lm-eval or
    Inspect log, a folder or list of them, or a mapping from recipe, or (recipe, seed), to any of
    these; a mapping to arrays (items,), (seeds, items) or (seeds, items, steps) works too.

    `roles` say which column plays which part: recipe, seed, step, benchmark, metric, item,
    sample, cluster, stderr, scale, value; as keywords or in `columns` (for lm-eval, `cluster` names
    a field of `doc`; for Inspect, one of the sample's metadata). A wide table has one column per
    metric, per recipe or per seed; `columns_are="metric"|"recipe"|"seed"` settles it. Of several
    tables that name no recipe each is one, by its file's name. `chance` is the score of a guess
    per benchmark, `unit` "percent" or "fraction" for all accuracies, `filter_name` the lm-eval
    filter to keep.

    Raises InputError or ColumnNotFoundError, naming file, row and column, where the log cannot be
    read in one way; what was assumed, left out or missing is counted in the notes.

    >>> read_evals({"a": [[1, 0, 1], [1, 1, 1]], "b": [[0, 0, 1], [1, 0, 1]]}).frame.shape
    (12, 8)
    """
    if isinstance(source, Evals):
        return source
    roles = roles | dict(columns or {})
    unknown = set(roles) - set(ALIASES)
    if unknown:
        name = sorted(unknown)[0]
        raise ColumnNotFoundError(f"No role '{name}'. {did_you_mean(name, ALIASES)}")
    log = _rows_of(source, roles, filter_name, columns_are)
    given = dict.fromkeys(lower_is_better, -1) | dict.fromkeys(higher_is_better, 1)
    both = set(lower_is_better) & set(higher_is_better)
    if both:
        raise InputError(f"'{sorted(both)[0]}' is in lower_is_better and in higher_is_better.")
    for name in set(log.direction) - set(given):
        if log.direction[name] == MIXED:
            raise InputError(
                f"Mixed directions: '{name}' is better higher in one file and lower in another "
                f"({log.source}). Check the task versions, then say lower_is_better=['{name}'] "
                f"(--lower-is-better {name}) or higher_is_better=['{name}']."
            )
    chances = log.chance | dict(chance) if isinstance(chance, Mapping) else chance
    return assemble(
        log.rows,
        log.source,
        chance=log.chance if chance is None else chances,
        direction=log.direction | given,
        unit=unit,
        notes=tuple(log.notes),
    )


def as_evals(source: Source) -> Evals:
    """Return `source` as a checked table, reading it where it is not one yet."""
    return source if isinstance(source, Evals) else read_evals(source)


def _rows_of(
    source: Source, roles: Mapping[str, str], filter_name: str | None, columns_are: str | None
) -> LogRows:
    if isinstance(source, pd.DataFrame):
        return rows_of_table(source, "table", roles, columns_are)
    if isinstance(source, Mapping):
        return _from_mapping(source, roles, filter_name, columns_are)
    if isinstance(source, (str, Path)):
        return _from_path(Path(source), roles, filter_name, columns_are)
    if hasattr(source, "to_pandas"):  # a frame of polars or pyarrow
        return rows_of_table(source.to_pandas(), "table", roles, columns_are)
    if not isinstance(source, Sequence) or not all(isinstance(p, (str, Path)) for p in source):
        raise InputError(
            "read_evals takes a path, a list of paths, a frame, or a mapping from recipe to any of "
            f"these or to an array; got {type(source).__name__}."
        )
    if not source:
        raise InputError("The list of files is empty. Give at least one.")
    paths = [Path(path) for path in source]
    parts = [_from_path(path, roles, filter_name, columns_are) for path in paths]
    return _joined(parts, paths)


def _from_mapping(
    source: Mapping[Any, Any],
    roles: Mapping[str, str],
    filter_name: str | None,
    columns_are: str | None,
) -> LogRows:
    if not source:
        raise InputError("The mapping is empty. Give recipe -> path or array.")
    parts = []
    for key, value in source.items():
        named = dict(
            zip(("recipe", "seed"), key if isinstance(key, tuple) else (key,), strict=False)
        )
        if isinstance(value, (str, Path)):
            part = _from_path(Path(value), roles, filter_name, columns_are)
        elif isinstance(value, pd.DataFrame):
            part = rows_of_table(value, str(key), roles, columns_are)
        else:
            part = _from_array(value, str(key))
        parts.append(replace(part, rows=part.rows.assign(**named)))
    return LogRows.join(parts)


def _from_array(value: object, name: str) -> LogRows:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"'{name}': expected numbers of shape (seeds, items); {error}.") from error
    if array.ndim not in (1, 2, 3) or not array.size:
        raise InputError(
            f"'{name}': expected an array (items,), (seeds, items) or (seeds, items, steps); "
            f"got shape {array.shape}."
        )
    array = np.atleast_2d(array)
    array = array[:, :, None] if array.ndim == 2 else array
    seed, item, step = (axis.ravel() for axis in np.indices(array.shape))
    rows = pd.DataFrame({"seed": seed, "item": item, "step": step, "value": array.ravel()})
    return LogRows(rows, "arrays")


def _from_path(
    path: Path, roles: Mapping[str, str], filter_name: str | None, columns_are: str | None
) -> LogRows:
    if not path.exists():
        near = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        raise InputError(f"No file or folder {path}. {did_you_mean(path.name, near)}")
    if path.is_dir():
        return _from_folder(path, roles, filter_name, columns_are)
    if is_lm_eval(path):
        return read_lm_eval([path], roles, filter_name)
    if is_inspect(path):
        return read_inspect([path], roles)
    return rows_of_table(read_table(path, roles), str(path), roles, columns_are)


def _from_folder(
    path: Path, roles: Mapping[str, str], filter_name: str | None, columns_are: str | None
) -> LogRows:
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    lm_eval = [p for p in files if is_lm_eval(p)]
    inspect = [p for p in files if p not in lm_eval and is_inspect(p)]
    tables = [
        p for p in files if p not in lm_eval and p not in inspect and table_suffix(p) in TABLES
    ]
    parts = [read_lm_eval(lm_eval, roles, filter_name)] if lm_eval else []
    parts += [read_inspect(inspect, roles)] if inspect else []
    if parts:
        log = LogRows.join(parts)
        beside = ", ".join(p.name for p in tables[:5]) + (", ..." if len(tables) > 5 else "")
        text = f"{path}: read as logs of a harness; the tables beside are not read: {beside}."
        return log.with_notes(*([Note("tables-not-read", "info", text)] if tables else []))
    if not tables:
        raise InputError(
            f"{path} holds no lm-eval results or samples, no Inspect log and no table "
            f"({len(files)} files). Give the folder that the harness wrote (--output_path)."
        )
    read = [rows_of_table(read_table(p, roles), str(p), roles, columns_are) for p in tables]
    return _joined(read, tables)


def _joined(parts: list[LogRows], paths: Sequence[Path]) -> LogRows:
    return settle_run_names(LogRows.join(named_by_file(parts, paths)))
