"""Pilot runs: shares of sources and losses, matched by name and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scalekit.columns import MISSING, as_numbers
from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.files import read_delimited
from scalekit.notes import Note
from scalekit.results import Provenance, hash_frame
from scalekit.selectors.mixtures.roles import (
    LOSS_PREFIXES,
    SHARE_PREFIXES,
    choose_columns,
    short_names,
    unread_scales,
)
from scalekit.units import format_quantity

TOLERANCE = 0.01  # shares are often written with three decimals
FEWEST = 4
Table = pd.DataFrame | Mapping[str, object] | str | Path


@dataclass(frozen=True)
class Pilots:
    """Checked pilot runs.

    `shares` (rows, sources) sum to one; `losses` (targets, rows) has NaN where a target is
    missing; `scales` has one array (rows,) for each scale (params, tokens), in single units.
    `resolution` is what shares were rounded to (0.001 where they have three decimals), 0 where
    they were not.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    shares: np.ndarray
    losses: np.ndarray
    scales: Mapping[str, np.ndarray]
    notes: tuple[Note, ...]
    provenance: Provenance
    resolution: float = 0.0

    def __len__(self) -> int:
        return len(self.shares)

    @property
    def clusters(self) -> np.ndarray:
        """A number for each row; rows of one mixture share it and stay in one fold."""
        return np.unique(self.shares.round(9), axis=0, return_inverse=True)[1].ravel()


def read_pilots(
    table: Table,
    shares: str | Sequence[str] | None = None,
    targets: str | Sequence[str] | None = None,
    scales: Sequence[str] = (),
) -> Pilots:
    """Return a CSV file, or a table with a row for each pilot run, as checked pilots.

    `shares` and `targets` name columns, or are patterns such as "share_*"; without them the
    columns that begin with "share_" and "loss_" are taken, and their names lose the prefix.
    Shares that miss one by up to 0.01, or by as much as their rounding explains, are rescaled,
    and that is told. Raises ColumnNotFoundError
    for a column that is not there, InputError for shares that are negative, missing or do not sum
    to one, for a target or a scale that is constant, a target that is missing, and for fewer than
    four rows.

    >>> table = {"share_web": [0.2, 0.5, 0.7, 1.0], "share_code": [0.8, 0.5, 0.3, 0.0],
    ...          "loss_web": [3.3, 3.1, 3.0, 2.9]}
    >>> read_pilots(table).sources
    ('web', 'code')
    """
    frame, source = as_table(table, "pilots")
    share_columns = choose_columns(frame, shares, SHARE_PREFIXES, "shares", source)
    loss_columns = choose_columns(frame, targets, LOSS_PREFIXES, "targets", source)
    both = set(share_columns) & set(loss_columns)
    if both:
        raise InputError(f"{source}: column '{min(both)}' is named both a share and a target.")
    if len(share_columns) < 2:
        raise InputError(
            f"{source} has one share only ('{share_columns[0]}'); a mixture needs two sources."
        )
    if len(frame) < FEWEST:
        raise InputError(
            f"{source} has {len(frame)} pilot run(s). A law needs {FEWEST} at the least, and "
            f"{3 * (len(share_columns) + 1)} for {len(share_columns)} sources to be trusted."
        )
    sources = short_names(share_columns, SHARE_PREFIXES, shares is None)
    names = short_names(loss_columns, LOSS_PREFIXES, targets is None)
    mixture, resolution, told = _check_shares(frame, share_columns, source)
    losses, missing = _check_losses(frame, loss_columns, source)
    read_scales = {name: _check_scale(frame, name, source) for name in scales}
    kept = np.isfinite(losses).any(axis=0)  # a run without any loss, as one that crashed, is none
    mixture, losses = mixture[kept], losses[:, kept]
    notes = [*told, *missing, *_doubts(mixture, sources), *unread_scales(frame, scales)]
    used = [*share_columns, *loss_columns, *scales]
    return Pilots(
        sources,
        names,
        mixture,
        losses,
        {name: values[kept] for name, values in read_scales.items()},
        tuple(notes),
        Provenance(source, hash_frame(frame[used].astype(str)), len(frame)),
        resolution,
    )


def as_table(table: Table, what: str) -> tuple[pd.DataFrame, str]:
    """Return a table from a path, a mapping or a data frame, and what to call it in messages."""
    if isinstance(table, pd.DataFrame):
        return table, f"the table of {what}"
    if isinstance(table, Mapping):
        return pd.DataFrame(dict(table)), f"the table of {what}"
    path = Path(table)
    if not path.is_file():
        raise InputError(f"There is no file {path}. Give a CSV, TSV or Parquet file of {what}.")
    if path.suffix.lower() == ".parquet":
        return pd.read_parquet(path), path.name
    return read_delimited(path), path.name


def by_name(
    values: Mapping[str, float],
    names: Sequence[str],
    what: str,
    missing: float | None = None,
    kind: str = "source",
) -> np.ndarray:
    """Return `values` in the order of `names`; names are never matched by position.

    `what` and `kind` say in messages where the values stand and what a name is. Raises
    ColumnNotFoundError for a name that is not in `names`, and, unless `missing` says what to put
    there, for a name that has no value.
    """
    unknown = [name for name in values if name not in names]
    if unknown:
        raise ColumnNotFoundError(
            f"{what}: there is no {kind} '{unknown[0]}'. {did_you_mean(str(unknown[0]), names)}"
        )
    absent = [name for name in names if name not in values]
    if absent and missing is None:
        raise ColumnNotFoundError(
            f"{what} lacks the {kind} '{absent[0]}' (given: {', '.join(map(str, values))}). "
            f"Give a value for every {kind}, by name."
        )
    return np.array([float(values.get(name, missing or 0.0)) for name in names])


def _check_shares(
    frame: pd.DataFrame, columns: list[str], source: str
) -> tuple[np.ndarray, float, list[Note]]:
    found = np.stack([_read_share(frame[name], source) for name in columns], axis=1)
    for row, column in np.argwhere(~np.isfinite(found) | (found < 0))[:1]:
        value = found[row, column]
        raise InputError(
            f"{source}, data row {row + 1}: the share '{columns[column]}' is "
            f"{'missing' if np.isnan(value) else f'{value:g}'}. "
            "Shares are numbers of zero or more; write 0 for a source that was not used."
        )
    total = found.sum(axis=1)
    notes = []
    whole = 100 if abs(np.median(total) - 100) <= 100 * TOLERANCE else 1
    if whole == 100:
        notes.append(Note("shares_in_percent", "info", "Shares sum to 100: read as percent."))
        found, total = found / whole, total / whole
    resolution = _resolution(found)
    off = np.abs(total - 1)
    if off.max() > sum_tolerance(len(columns), resolution):
        row = int(off.argmax())
        hint = "Is a source missing from the shares? Add its column."
        if total[row] > 1:
            hint = "Is a column there that is no share, or a sum of others? Name the share columns."
        raise InputError(
            f"{source}, data row {row + 1}: the shares sum to {whole * total[row]:.4g}, not to "
            f"{whole} ({', '.join(columns)}). {hint}"
        )
    if off.max() > 1e-9:
        message = f"Shares sum to {total.min():.4g} to {total.max():.4g} and are rescaled to 1."
        notes.append(Note("shares_rescaled", "info", message))
    return found / total[:, None], resolution, notes


def sum_tolerance(count: int, resolution: float) -> float:
    """Return how far from one the sum of `count` rounded shares may lie."""
    return max(TOLERANCE, count * resolution / 2) + 1e-9


def _resolution(shares: np.ndarray) -> float:
    """Return what all shares are multiples of: 0.01 to 0.0001, or 0 where they have more digits."""
    for decimals in range(2, 5):
        if np.allclose(shares, shares.round(decimals), rtol=0, atol=1e-9):
            return float(10.0**-decimals)
    return 0.0


def _read_share(column: pd.Series, source: str) -> np.ndarray:
    """Return shares as numbers; "12%" is 12."""
    if pd.api.types.is_numeric_dtype(column):
        return as_numbers(column, "share", source)
    text = column.astype(str).str.strip()
    found = pd.to_numeric(text.str.removesuffix("%").str.strip(), errors="coerce")
    wrong = found.isna() & column.notna() & ~text.str.lower().isin(MISSING)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{source}, data row {row + 1}: the share '{column.name}' is {text.iloc[row]!r}, "
            "which is no number. Write 0.25 or 25%, and 0 for a source that was not used."
        )
    return found.to_numpy(float)


def _check_losses(
    frame: pd.DataFrame, columns: list[str], source: str
) -> tuple[np.ndarray, list[Note]]:
    found = np.stack([as_numbers(frame[name], "loss", source) for name in columns])
    notes = []
    for name, values in zip(columns, found, strict=True):
        present = values[np.isfinite(values)]
        if len(present) < FEWEST:
            raise InputError(
                f"{source}: the target '{name}' has {len(present)} value(s) in {len(values)} "
                f"row(s); {FEWEST} are needed. Leave this target out, or add its losses."
            )
        if np.ptp(present) <= 1e-12 * np.abs(present).max():
            raise InputError(
                f"{source}: the target '{name}' is {present[0]:g} in every row; a constant says "
                "nothing about mixtures. Leave it out, or name another column."
            )
        if (present <= 0).any():
            row = int(np.flatnonzero(values <= 0)[0])
            raise InputError(
                f"{source}, data row {row + 1}: the target '{name}' is {values[row]:g}. Mixing "
                "laws are for positive losses; turn an accuracy into an error (1 - accuracy)."
            )
        gone = len(values) - len(present)
        if gone:
            message = (
                f"The target '{name}' is missing or infinite in {gone} of {len(values)} runs: "
                "left out."
            )
            notes.append(Note("target_missing", "warning", message))
    return found, notes


def _check_scale(frame: pd.DataFrame, name: str, source: str) -> np.ndarray:
    if name not in frame:
        raise ColumnNotFoundError(
            f"{source} has no column '{name}' (scale). {did_you_mean(name, frame.columns)}"
        )
    values = as_numbers(frame[name], name, source)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(f"{source}, data row {row + 1}: the scale '{name}' is {values[row]:g}; "
                         "it must be positive.")  # fmt: skip
    if np.ptp(values) <= 1e-9 * values.max():
        raise InputError(
            f"{source}: the scale '{name}' is {format_quantity(values[0])} in every row, so that "
            "nobody can tell how the loss falls along it. Leave it out of the scales, or add "
            "pilots of another size or length."
        )
    return values


def _doubts(shares: np.ndarray, sources: Sequence[str]) -> Iterable[Note]:
    distinct = len(np.unique(shares.round(9), axis=0))
    needed = 3 * (len(sources) + 1)
    if distinct < needed:
        yield Note(
            "few_pilots",
            "warning",
            f"{distinct} different mixtures for {len(sources)} sources; the advice is 3(m+1) = "
            f"{needed} (Olmix). The best mixture is then uncertain: see its interval.",
        )
    for name, column in zip(sources, shares.T, strict=True):
        if np.ptp(column) < 1e-9:
            yield Note(
                "constant_share",
                "warning",
                f"The share of '{name}' is {column[0]:.3g} in every pilot, so its effect cannot be "
                "told from that of the others. Vary it, or fix it with limits.",
            )
