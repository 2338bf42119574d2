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
        points = direction_of(name, higher_is)
        values = [column_of(table, name, ids) for table in opened]
        notes += identical_seeds(name, [table.name for table in opened], values)
    sign = 1.0 if points == "hard" else -1.0
    values, clipped = finite(name, values)
    notes += clipped
    mean = np.mean(values, axis=0)
    others = {}
    for other in score_columns(first):
        known = known_direction(other)
        if other != name and known in POINTING and first[other].notna().all():
            others[other] = first[other].to_numpy(float) * (1 if known == "hard" else -1)
    return Scores(
        name, points, ids, mean, sign * mean,
        _labels(opened, ids),
        [sign * v for v in distinct(values)], others, tuple(notes),
        Provenance(source=opened[0].name, input_hash=_hash(ids, mean), n_rows=len(ids)),
    )  # fmt: skip


def score_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that hold scores: numeric, and neither id, label nor standard error."""
    return [
        str(c) for c in frame
        if c not in (*ID_COLUMNS, *LABEL_NAMES) and not str(c).endswith("_se")
        and pd.api.types.is_numeric_dtype(frame[c])
    ]  # fmt: skip


def _score_name(table: Opened, by: str | None) -> str:
    names = score_columns(table.frame)
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
        if pd.api.types.is_numeric_dtype(table.frame[by]):
            raise InputError(
                f"{table.name}: '{by}' is no score but an id, a label or a standard error. Scores "
                f"there: {', '.join(names) or 'none'}."
            )
        values = table.frame[by]
        text = np.flatnonzero(pd.to_numeric(values, errors="coerce").isna())
        row = int(text[0]) if len(text) else 0
        raise InputError(
            f"{table.name}: the score '{by}' is not numeric; row {row} holds the text "
            f"'{values.iloc[row]}'. Give numbers."
        )
    raise ColumnNotFoundError(f"{table.name}: there is no score '{by}'. {did_you_mean(by, names)}")


def known_direction(name: str) -> str:
    """Return what the catalogue says of a large value: "hard", "easy", or something else."""
    base = name.split(":")[0].removesuffix("_z")
    return CATALOGUE[base].higher_is if base in CATALOGUE else "none"


def direction_of(name: str, higher_is: str | None) -> str:
    """Return "hard" or "easy", as said or as the catalogue knows; InputError where neither does."""
    if higher_is is not None and higher_is not in POINTING:
        raise InputError(f"higher_is (--higher-is) must be 'hard' or 'easy'; got '{higher_is}'.")
    known = known_direction(name)
    if higher_is is None and known not in POINTING:
        raise InputError(
            f"Whether a large '{name}' means a hard or an easy example is not known. Say "
            "higher_is='hard' or higher_is='easy' (--higher-is)."
        )
    return higher_is or known


def column_of(table: Opened, name: str, ids: np.ndarray) -> np.ndarray:
    """Return the score in the order of `ids`; refuse what is missing or too much."""
    frame = table.frame
    if name not in score_columns(frame):
        raise ColumnNotFoundError(
            f"{table.name} has no score '{name}'; it has "
            f"{', '.join(score_columns(frame)) or 'none'}. Several tables are seeds of the same "
            f"scores: rename its column to '{name}', or leave the table out."
        )
    values = by_id(frame, name, ids).astype(float)
    lacking = ids[values.isna()]
    what = f"{len(lacking)} of {len(ids)} examples have no '{name}'"
    if not len(lacking):
        lacking = frame["id"][~frame["id"].astype(str).isin(ids.astype(str))].to_numpy()
        what = f"{len(lacking)} examples are not in the first table"
    if len(lacking):
        shown = ", ".join(map(str, lacking[:3])) + (", ..." if len(lacking) > 3 else "")
        raise InputError(
            f"{table.name}: {what} (ids {shown}). Score the same examples in every table, or leave "
            "these out."
        )
    return values.to_numpy()


def _labels(opened: Sequence[Opened], ids: np.ndarray) -> np.ndarray | None:
    """Return the labels of the first table; refuse missing ones, and tables that disagree."""
    if "label" not in opened[0].frame:
        return None
    labels = opened[0].frame["label"].to_numpy()
    if labels.dtype == object and len({type(label) for label in labels}) > 1:  # no order otherwise
        labels = np.where(pd.isna(labels), labels, labels.astype(str))
    lacking = ids[pd.isna(labels)]
    if len(lacking):
        raise InputError(
            f"{opened[0].name}: the id '{lacking[0]}' has no label ({len(lacking)} in all). Give "
            "every example its label, or leave the column out."
        )
    for table in opened[1:]:
        if "label" in table.frame:
            other = by_id(table.frame, "label", ids).to_numpy()
            differ = np.flatnonzero(other.astype(str) != labels.astype(str))
            if len(differ):
                first = differ[0]
                raise InputError(
                    f"{table.name}: the id '{ids[first]}' has the label '{other[first]}', in "
                    f"{opened[0].name} '{labels[first]}' ({len(differ)} differ). Seeds of a score "
                    "have the same labels: score with the same ones, or drop the column."
                )
    return labels


def finite(name: str, values: list[np.ndarray]) -> tuple[list[np.ndarray], list[Note]]:
    """Return scores with infinities drawn in to just beyond the finite ones, and a note."""
    endless = int(sum(np.isinf(v).sum() for v in values))
    if not endless:
        return values, []
    known = np.concatenate([v[np.isfinite(v)] for v in values])
    if not len(known):
        raise InputError(f"All scores '{name}' are infinite: there is nothing to choose by.")
    step = max(float(np.ptp(known)), 1.0) / 100
    low, high = known.min() - step, known.max() + step
    told = f"{endless} values of '{name}' are infinite; they count as just beyond the finite ones."
    return [np.clip(v, low, high) for v in values], [Note("infinite", "info", told)]


def by_id(frame: pd.DataFrame, name: str, ids: np.ndarray) -> pd.Series:
    """Return a column in the order of `ids`; where one table has numbers as ids, as text."""
    index = pd.Index(frame["id"])
    if index.dtype.kind != ids.dtype.kind:
        index, ids = index.astype(str), ids.astype(str)
    return frame[name].set_axis(index).reindex(ids)


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
