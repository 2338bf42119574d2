"""All scores of a table, or of several seeds, turned so that large is hard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.notes import Note
from scalekit.selectors.pruning.opening import Opened, open_each
from scalekit.selectors.pruning.tables import (
    POINTING,
    column_of,
    distinct,
    finite,
    identical_seeds,
    known_direction,
    score_columns,
)


@dataclass(frozen=True)
class Oriented:
    """All scores with a direction, turned so that large is hard: `values` by name, (n,) each.

    `seeds` holds (seeds, n) of every score that was given for several seeds.
    """

    ids: np.ndarray
    values: Mapping[str, np.ndarray]
    seeds: Mapping[str, np.ndarray]
    source: str
    notes: tuple[Note, ...]


def oriented_scores(source: Any, higher_is: str | Mapping[str, str]) -> Oriented:
    """Return every score whose direction is known, of one table or of several seeds.

    `higher_is` says it for those that the catalogue does not know: by name, or for all of them.
    """
    opened = open_each(source)
    ids, columns = opened[0].frame["id"].to_numpy(), score_columns(opened[0].frame)
    notes = [note for table in opened for note in table.notes]
    notes += _only_later(opened, columns)
    values: dict[str, np.ndarray] = {}
    seeds: dict[str, np.ndarray] = {}
    unknown, constant = [], []
    for name, points in _directions(columns, higher_is).items():
        if opened[0].frame[name].nunique() < 2:
            constant.append(name)
            continue
        if points not in POINTING:
            unknown.append(name)
            continue
        sign = 1.0 if points == "hard" else -1.0
        raw, clipped = finite(name, [column_of(table, name, ids) for table in opened])
        notes += clipped
        each = [sign * column for column in raw]
        if len(each) == 1:
            values[name] = each[0]
        else:
            values |= {f"{name}, seed {k}": column for k, column in enumerate(each)}
            notes += identical_seeds(name, [table.name for table in opened], each)
            seeds[name] = np.stack(distinct(each))
    if constant:
        notes.append(
            Note("constant", "info", f"Left out, all values are equal: {', '.join(constant)}.")
        )
    if unknown:
        notes.append(
            Note("no_direction", "info", "Left out, whether large means hard or easy is not known: "
                 f"{', '.join(unknown)}. Say higher_is={{'{unknown[0]}': 'hard'}} or 'easy' "
                 f"(--higher-is '{unknown[0]}=hard').")
        )  # fmt: skip
    return Oriented(ids, values, seeds, opened[0].name, tuple(notes))


def _directions(columns: Sequence[str], higher_is: str | Mapping[str, str]) -> dict[str, str]:
    """Return what a large value of each score means; "none" where nobody says."""
    said = {} if isinstance(higher_is, str) else higher_is
    for points in (higher_is,) if isinstance(higher_is, str) else said.values():
        if points not in POINTING:
            raise InputError(f"higher_is (--higher-is) must be 'hard' or 'easy'; got '{points}'.")
    for name in said:
        if name not in columns:
            raise ColumnNotFoundError(
                f"higher_is (--higher-is) names the score '{name}', which the table has not. "
                f"{did_you_mean(name, columns)}"
            )
    found = {name: said.get(name, known_direction(name)) for name in columns}
    if isinstance(higher_is, str):
        found = {k: v if v in POINTING else higher_is for k, v in found.items()}
    return found


def _only_later(opened: Sequence[Opened], columns: Sequence[str]) -> list[Note]:
    for table in opened[1:]:
        more = [name for name in score_columns(table.frame) if name not in columns]
        if more:
            return [
                Note("only_later", "warning", f"{table.name} has {', '.join(more)}, which "
                     f"{opened[0].name} has not: left out.")
            ]  # fmt: skip
    return []
