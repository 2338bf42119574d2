"""How much there is of each source: from a mapping, or from a table with `source` and `count`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.selectors.mixtures.pilots import Table, as_table
from scalekit.units import parse_quantity

Counts = Mapping[str, float | str] | Table
NAME_COLUMNS = ("source", "domain", "language", "name")
COUNT_COLUMNS = ("count", "tokens", "samples", "examples", "size")


def read_counts(counts: Counts, what: str = "counts", zeros: bool = False) -> dict[str, float]:
    """Return how much there is of each source: a mapping, or a CSV with `source` and `count`.

    Counts may be written "1.4T". Raises InputError, naming the row, for a repeated name and for a
    count that is not a positive number: a source without data cannot be drawn from. With `zeros`
    it may be zero.

    >>> read_counts({"en": "2.7B", "sw": 1e6})
    {'en': 2700000000.0, 'sw': 1000000.0}
    """
    found: dict[str, float] = {}
    for name, value, place in _named_values(counts, what, COUNT_COLUMNS):
        if name in found:
            raise InputError(
                f"{place}: the source '{name}' is there twice. Add its counts up, or rename one."
            )
        found[name] = _amount(name, value, place, zeros)
    if not found:
        raise InputError(f"{what} is empty. Give the number of tokens of each source.")
    if not sum(found.values()) > 0:
        raise InputError(f"{what}: every count is 0. Give the tokens that each source has.")
    return found


def read_fractions(table: Table, what: str) -> dict[str, float]:
    """Return the share of each source that a table with `source` and `share` says.

    `what` names it in messages; a column `what` (such as "cap") is read before `share`. An empty
    cell says nothing of its source. Raises InputError, naming the row, for what is no number.
    """
    found: dict[str, float] = {}
    for name, value, place in _named_values(table, what, (what, "share", "weight")):
        if name in found:
            raise InputError(f"{place}: the source '{name}' is there twice.")
        if pd.isna(value):
            continue
        try:
            found[name] = float(value)
        except ValueError:
            raise InputError(
                f"{place}: {value!r} (of '{name}') is no number; write a share such as 0.2."
            ) from None
    return found


def _named_values(
    table: Counts, what: str, columns: Sequence[str]
) -> list[tuple[str, float | str, str]]:
    """Return name, value, and where they stand, for each source."""
    single = (int, float, str, np.number)
    if isinstance(table, Mapping) and all(isinstance(value, single) for value in table.values()):
        return [(str(name), value, what) for name, value in table.items()]  # type: ignore[misc]
    frame, source = as_table(table, what)
    names = frame[_column(frame, NAME_COLUMNS, source)].astype(str).str.strip()
    values = frame[_column(frame, columns, source)]
    return [
        (name, value, f"{source}, data row {row + 1}")
        for row, (name, value) in enumerate(zip(names, values, strict=True))
    ]


def _column(frame: pd.DataFrame, names: Sequence[str], source: str) -> str:
    known = {str(column).strip().lower(): column for column in reversed(frame.columns)}
    for name in names:
        if name in known:
            return str(known[name])
    raise InputError(
        f"{source} has no column '{names[0]}' (or {', '.join(names[1:])}). "
        f"There are: {', '.join(map(str, frame.columns))}."
    )


def _amount(name: str, value: float | str, place: str, zeros: bool) -> float:
    try:
        count = parse_quantity(value)
    except InputError as error:
        raise InputError(f"{place}: the count of '{name}': {error}") from None
    if np.isnan(count):
        raise InputError(f"{place}: the count of '{name}' is missing. Write how much there is.")
    if np.isinf(count) or count < 0 or (count == 0 and not zeros):
        least = "zero or more" if zeros else "a positive number"
        advice = "" if zeros else " Leave out a source without data."
        raise InputError(f"{place}: the count of '{name}' is {count:g}; give {least}.{advice}")
    return count
