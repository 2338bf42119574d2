"""Scores as pruning reads them: ids, one hardness, labels, other scores, seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.selectors.scores.catalogue import CATALOGUE
from scalekit.selectors.scores.table import ScoreTable, open_scores

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
    several = isinstance(source, Sequence) and not isinstance(source, str)
    opened = [open_table_named(entry) for entry in (source if several else [source])]
    frames = [frame for frame, _ in opened]
    first, name_of = frames[0], opened[0][1]
    ids = first["id"].to_numpy()
    if by == PROTOTYPES:
        if features is None:
            raise InputError(
                "by='prototypes' needs features= (n, d), an embedding of the examples."
            )
        from scalekit.selectors.prototypes import prototypes
        from scalekit.selectors.prototypes.features import features_of

        values = [prototypes(features_of(features, ids), rng=rng).distance]
        name, points = PROTOTYPES, "hard"
    else:
        name = _score_name(first, by)
        points = _direction(name, higher_is)
        values = [_column(frame, name, ids, k) for k, frame in enumerate(frames)]
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
        [sign * v for v in values], others, (),
        Provenance(source=name_of, input_hash=_hash(ids, mean), n_rows=len(ids)),
    )  # fmt: skip


def open_table(source: Any) -> pd.DataFrame:
    """Return the table of scores in a folder, a file, a ScoreTable or a data frame."""
    return open_table_named(source)[0]


def open_table_named(source: Any) -> tuple[pd.DataFrame, str]:
    """Return a table of scores with unique ids, and what to call it in messages."""
    if isinstance(source, ScoreTable):
        frame, name = source.frame, source.provenance.source or "the scores"
    elif isinstance(source, pd.DataFrame):
        frame, name = source, "the table"
    else:
        path, name = Path(source), str(source)
        if not path.exists():
            raise InputError(
                f"{path} does not exist. Give a folder of scores, or a table with ids."
            )
        if path.is_dir():
            frame = open_scores(path).frame
        elif path.suffix in (".csv", ".tsv"):
            frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
        elif path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            raise InputError(
                f"{path} is no folder of scores and no .csv, .tsv or .parquet file. Give what "
                "`scalekit score` wrote, or a table with a column 'id'."
            )
    if "id" not in frame:
        raise ColumnNotFoundError(
            f"{name} has no column 'id'; it has {', '.join(map(str, frame))}."
        )
    twice = frame["id"][frame["id"].duplicated()]
    if len(twice):
        raise InputError(
            f"{name}: the id '{twice.iloc[0]}' occurs more than once ({len(twice)} rows repeat an "
            "id). Every example needs an id of its own."
        )
    return frame.reset_index(drop=True), name


def _score_columns(frame: pd.DataFrame) -> list[str]:
    return [
        str(c) for c in frame
        if c not in ("id", "label") and not str(c).endswith("_se")
        and pd.api.types.is_numeric_dtype(frame[c])
    ]  # fmt: skip


def _score_name(frame: pd.DataFrame, by: str | None) -> str:
    names = _score_columns(frame)
    if by is None:
        if len(names) == 1:
            return names[0]
        raise InputError(f"Say which score decides, by=: {', '.join(names) or 'there is none'}.")
    if by not in names:
        raise ColumnNotFoundError(f"There is no score '{by}'. {did_you_mean(by, names)}")
    return by


def _known_direction(name: str) -> str:
    base = name.split(":")[0].removesuffix("_z")
    return CATALOGUE[base].higher_is if base in CATALOGUE else "none"


def _direction(name: str, higher_is: str | None) -> str:
    if higher_is is not None and higher_is not in POINTING:
        raise InputError(f"higher_is must be 'hard' or 'easy'; got '{higher_is}'.")
    known = _known_direction(name)
    if higher_is is None and known not in POINTING:
        raise InputError(
            f"Whether a large '{name}' means a hard or an easy example is not known. Say "
            "higher_is='hard' or higher_is='easy' (--higher-is)."
        )
    return higher_is or known


def _column(frame: pd.DataFrame, name: str, ids: np.ndarray, seed: int) -> np.ndarray:
    """Return the score in the order of `ids`; refuse what is missing."""
    if name not in frame:
        raise ColumnNotFoundError(f"Seed {seed} has no score '{name}'; it has "
                                  f"{', '.join(_score_columns(frame))}.")  # fmt: skip
    values = frame.set_index("id")[name].astype(float).reindex(ids)
    lacking = values.index[values.isna()]
    if len(lacking) or len(frame) != len(ids):
        what = f"{len(lacking)} of {len(ids)} examples have no '{name}'"
        if seed:
            what += f" in seed {seed}, which has {len(frame)} examples"
        shown = ", ".join(map(str, lacking[:3]))
        raise InputError(
            what
            + (f" (ids {shown}{', ...' if len(lacking) > 3 else ''})" if len(lacking) else "")
            + ". Score them too, or leave them out of the table."
        )
    return values.to_numpy()


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


def oriented_scores(source: Any, higher_is: Mapping[str, str]) -> Oriented:
    """Return every score whose direction is known, of one table or of several seeds."""
    several = isinstance(source, Sequence) and not isinstance(source, str)
    opened = [open_table_named(entry) for entry in (source if several else [source])]
    frames, ids = [frame for frame, _ in opened], opened[0][0]["id"].to_numpy()
    values: dict[str, np.ndarray] = {}
    seeds: dict[str, np.ndarray] = {}
    left = []
    for name in _score_columns(frames[0]):
        points = higher_is.get(name, _known_direction(name))
        if points not in POINTING:
            left.append(name)
            continue
        if frames[0][name].nunique() < 2:
            left.append(f"{name} (constant)")
            continue
        sign = 1.0 if points == "hard" else -1.0
        each = [sign * _column(frame, name, ids, k) for k, frame in enumerate(frames)]
        if len(each) == 1:
            values[name] = each[0]
        else:
            values |= {f"{name}, seed {k}": column for k, column in enumerate(each)}
            seeds[name] = np.stack(each)
    notes = () if not left else (
        Note("no_direction", "info", "Left out, since large means neither hard nor easy, or all "
             f"are equal: {', '.join(left)}. Say higher_is= for those that do."),
    )  # fmt: skip
    return Oriented(ids, values, seeds, opened[0][1], notes)
