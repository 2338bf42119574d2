"""Scores as pruning reads them: ids, one hardness, labels, other scores, seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.selectors.prototypes.features import ID_COLUMNS
from scalekit.selectors.pruning.opening import Opened, open_each
from scalekit.selectors.scores.catalogue import CATALOGUE
from scalekit.selectors.scores.columns import LABEL_NAMES

PROTOTYPES = "prototypes"
POINTING = ("hard", "easy")


@dataclass(frozen=True)
class Scores:
    """One score of all examples: `score` as given (its mean over seeds), `hardness` large for hard.

    `seeds` holds the hardness by each seed, `others` that by every other score with a direction.
    """

    name: str
    higher_is: str
    ids: np.ndarray
    score: np.ndarray
    hardness: np.ndarray
    labels: np.ndarray | None
    seeds: list[np.ndarray]
    others: Mapping[str, np.ndarray]
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


def read_scores(
    source: Any, by: str | None, higher_is: str | None, features: Any,
    rng: np.random.Generator,
) -> Scores:  # fmt: skip
    """Return the score `by` of every example; several sources are seeds of the same examples."""
    opened = open_each(source)
    first = opened[0].frame
    ids = first["id"].to_numpy()
    notes = [note for table in opened for note in table.notes]
    if by == PROTOTYPES:
        if features is None:
            raise InputError("by='prototypes' needs features= (--features), an embedding (n, d) of "
                             "the examples.")  # fmt: skip
        from scalekit.selectors.prototypes import prototypes
        from scalekit.selectors.prototypes.features import features_of

        values = [prototypes(features_of(features, ids), rng=rng).distance]
        name, points = PROTOTYPES, "hard"
    else:
        name = _score_name(opened[0], by)
        points = _direction(name, higher_is)
        values = [_column(table, name, ids) for table in opened]
        notes += identical_seeds(name, [table.name for table in opened], values)
    sign = 1.0 if points == "hard" else -1.0
    mean = np.mean(values, axis=0)
    others = {}
    for other in _score_columns(first):
        known = _known_direction(other)
        if other != name and known in POINTING and first[other].notna().all():
            others[other] = first[other].to_numpy(float) * (1 if known == "hard" else -1)
    return Scores(
        name, points, ids, mean, sign * mean,
        first["label"].to_numpy() if "label" in first else None,
        [sign * v for v in distinct(values)], others, tuple(notes),
        Provenance(source=opened[0].name, input_hash=_hash(ids, mean), n_rows=len(ids)),
    )  # fmt: skip


def _score_columns(frame: pd.DataFrame) -> list[str]:
    return [
        str(c) for c in frame
        if c not in (*ID_COLUMNS, *LABEL_NAMES) and not str(c).endswith("_se")
        and pd.api.types.is_numeric_dtype(frame[c])
    ]  # fmt: skip


def _score_name(table: Opened, by: str | None) -> str:
    names = _score_columns(table.frame)
    if by is None:
        if len(names) == 1:
            return names[0]
        raise InputError(
            f"{table.name}: say which score decides, by= (--by): {', '.join(names) or 'none is'} "
            "there."
        )
    if by in names:
        return by
    if by in table.frame:
        values = table.frame[by]
        row = int(np.flatnonzero(pd.to_numeric(values, errors="coerce").isna())[0])
        raise InputError(
            f"{table.name}: the score '{by}' is not numeric; row {row} holds '{values.iloc[row]}'. "
            "Give numbers."
        )
    raise ColumnNotFoundError(f"{table.name}: there is no score '{by}'. {did_you_mean(by, names)}")


def _known_direction(name: str) -> str:
    base = name.split(":")[0].removesuffix("_z")
    return CATALOGUE[base].higher_is if base in CATALOGUE else "none"


def _direction(name: str, higher_is: str | None) -> str:
    if higher_is is not None and higher_is not in POINTING:
        raise InputError(f"higher_is (--higher-is) must be 'hard' or 'easy'; got '{higher_is}'.")
    known = _known_direction(name)
    if higher_is is None and known not in POINTING:
        raise InputError(
            f"Whether a large '{name}' means a hard or an easy example is not known. Say "
            "higher_is='hard' or higher_is='easy' (--higher-is)."
        )
    return higher_is or known


def _column(table: Opened, name: str, ids: np.ndarray) -> np.ndarray:
    """Return the score in the order of `ids`; refuse what is missing or too much."""
    frame = table.frame
    if name not in _score_columns(frame):
        raise ColumnNotFoundError(
            f"{table.name} has no score '{name}'; it has "
            f"{', '.join(_score_columns(frame)) or 'none'}. Several tables are seeds of the same "
            f"scores: rename its column to '{name}', or leave the table out."
        )
    values = frame.set_index("id")[name].astype(float).reindex(ids)
    lacking = values.index[values.isna()]
    what = f"{len(lacking)} of {len(ids)} examples have no '{name}'"
    if not len(lacking):
        lacking = frame["id"][~frame["id"].isin(ids)]
        what = f"{len(lacking)} examples are not in the first table"
    if len(lacking):
        shown = ", ".join(map(str, lacking[:3])) + (", ..." if len(lacking) > 3 else "")
        raise InputError(
            f"{table.name}: {what} (ids {shown}). Score the same examples in every table, or leave "
            "these out."
        )
    return values.to_numpy()


def distinct(values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the seeds without those that repeat another one exactly."""
    kept: list[np.ndarray] = []
    for seed in values:
        if not any(np.array_equal(seed, other) for other in kept):
            kept.append(seed)
    return kept


def identical_seeds(
    name: str, sources: Sequence[str], values: Sequence[np.ndarray]
) -> list[Note]:  # fmt: skip
    """Return a warning where tables that stand for seeds hold the very same scores."""
    pairs = [
        (sources[k], sources[m])
        for k, m in combinations(range(len(values)), 2) if np.array_equal(values[k], values[m])
    ]  # fmt: skip
    if not pairs:
        return []
    return [
        Note("identical_seeds", "warning", f"{pairs[0][0]} and {pairs[0][1]} hold the same "
             f"'{name}', number by number: is one file given twice? How far seeds disagree cannot "
             "be seen from them; give scores of trainings with different seeds.")
    ]  # fmt: skip


def _hash(ids: np.ndarray, score: np.ndarray) -> str:
    digest = hashlib.sha256("\n".join(map(str, ids)).encode())
    digest.update(np.ascontiguousarray(score).tobytes())
    return digest.hexdigest()[:16]


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
    ids, columns = opened[0].frame["id"].to_numpy(), _score_columns(opened[0].frame)
    notes = [note for table in opened for note in table.notes]
    notes += _only_later(opened, columns)
    values: dict[str, np.ndarray] = {}
    seeds: dict[str, np.ndarray] = {}
    left = []
    for name, points in _directions(columns, higher_is).items():
        if points not in POINTING:
            left.append(name)
            continue
        if opened[0].frame[name].nunique() < 2:
            left.append(f"{name} (constant)")
            continue
        sign = 1.0 if points == "hard" else -1.0
        each = [sign * _column(table, name, ids) for table in opened]
        if len(each) == 1:
            values[name] = each[0]
        else:
            values |= {f"{name}, seed {k}": column for k, column in enumerate(each)}
            notes += identical_seeds(name, [table.name for table in opened], each)
            seeds[name] = np.stack(distinct(each))
    if left:
        notes.append(
            Note("no_direction", "info", "Left out, since large means neither hard nor easy, or "
                 f"all are equal: {', '.join(left)}. Say higher_is= (--higher-is '"
                 f"{left[0].removesuffix(' (constant)')}=hard') for those that do.")
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
    found = {name: said.get(name, _known_direction(name)) for name in columns}
    if isinstance(higher_is, str):
        found = {k: v if v in POINTING else higher_is for k, v in found.items()}
    return found


def _only_later(opened: Sequence[Opened], columns: Sequence[str]) -> list[Note]:
    for table in opened[1:]:
        more = [name for name in _score_columns(table.frame) if name not in columns]
        if more:
            return [
                Note("only_later", "warning", f"{table.name} has {', '.join(more)}, which "
                     f"{opened[0].name} has not: left out.")
            ]  # fmt: skip
    return []
