"""Distances from any mixture to the validation set, with what the disclosed samples leave open.

A `DistanceTable` holds one family of distances in closed form: row 0 for the samples as they
are, the other rows for bootstrap draws of every source's disclosed sample and of the validation
set. Transport families are the maximum of their cuts (exact at the pilots' mixtures, a certified
lower bound elsewhere); label shares are linear in the mixture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.selectors.simplex import candidates
from scalekit.selectors.transport.cost import check_labels, label_shares
from scalekit.selectors.transport.mixture import MixtureTransport, mixture_transport
from scalekit.selectors.transport.samples import Sample

FAMILIES = {
    "labels_tv": "total variation between label shares",
    "labels_hellinger": "squared Hellinger distance of label shares",
    "otdd": "transport of features and labels (OTDD)",
    "w2": "transport of features (W2 squared)",
    "sliced": "sliced W2 squared",
}
NEED_LABELS = ("labels_tv", "labels_hellinger", "otdd")
LABEL_FORMS = {"labels_tv": "shares", "labels_hellinger": "overlap"}
MOST_ANCHORS = 120


@dataclass(frozen=True)
class DistanceTable:
    """One family: `left` (R + 1, c, m) and `right` (R + 1, c), read according to `form`.

    "cuts": max over c of left @ p + right; "shares": half the sum over c of |left @ p - right|;
    "overlap": one less the sum over c of sqrt(left @ p * right).
    """

    name: str
    form: str
    left: np.ndarray
    right: np.ndarray

    def at(self, mixtures: np.ndarray, draws: np.ndarray | None = None) -> np.ndarray:
        """Return the distances of mixtures (k, m) under the given draws, shape (draws, k).

        Resampling adds noise to both sides and so lengthens every distance; the draws are
        shifted back to have row 0 as their mean.
        """
        if draws is not None and not draws.any():
            return np.repeat(self._raw(mixtures, 0)[None], len(draws), axis=0)
        values = np.stack([self._raw(mixtures, row) for row in range(len(self.left))])
        if len(values) > 1:
            values[1:] += values[0] - values[1:].mean(axis=0)
        return values if draws is None else values[draws]

    def _raw(self, mixtures: np.ndarray, row: int) -> np.ndarray:
        table, right = mixtures @ self.left[row].T, self.right[row]
        result: np.ndarray
        if self.form == "cuts":
            result = (table + right).max(axis=1)
        elif self.form == "shares":
            result = np.abs(table - right).sum(axis=1) / 2
        else:
            result = 1 - np.sqrt(np.maximum(table, 0) * right).sum(axis=1)
        return result


def available_families(samples: Sequence[Sample], target: Sample) -> list[str]:
    """Return the families that these samples admit; labels on one side only are an error."""
    with_labels = [sample.labels is not None for sample in [*samples, target]]
    if not any(with_labels):
        return [name for name in FAMILIES if name not in NEED_LABELS]
    for sample in samples:
        check_labels(sample, target)
    return list(FAMILIES)


def distance_tables(
    names: Sequence[str] | None,
    samples: Mapping[str, Sample],
    target: Sample,
    mixtures: np.ndarray,
    draws: int,
    rng: np.random.Generator,
) -> tuple[list[DistanceTable], tuple[Note, ...]]:
    """Return the tables of the named families (all that apply, by default), and their notes."""
    possible = available_families(list(samples.values()), target)
    chosen = possible if names is None else list(dict.fromkeys(names))
    for name in chosen:
        if name not in FAMILIES:
            raise InputError(f"Unknown distance '{name}'. {did_you_mean(name, FAMILIES)}")
        if name not in possible:
            raise InputError(f"The distance '{name}' needs labels on both sides.")
    tables, notes = [], []
    for name in chosen:
        if name in LABEL_FORMS:
            tables.append(_label_table(name, list(samples.values()), target, draws, rng))
            continue
        cost: Any = {"w2": "features", "otdd": "labels", "sliced": "sliced"}[name]
        problem = mixture_transport(samples, target, cost, rng)
        notes += [note for note in problem.notes if note not in notes]
        tables.append(_cut_table(name, problem, mixtures, draws, rng))
    return tables, tuple(notes)


def _cut_table(
    name: str, problem: MixtureTransport, mixtures: np.ndarray, draws: int, rng: np.random.Generator
) -> DistanceTable:
    anchors = mixtures
    if len(anchors) > MOST_ANCHORS:
        anchors = anchors[rng.choice(len(anchors), MOST_ANCHORS, replace=False)]
    elif len(anchors) < 10:
        anchors = np.concatenate([anchors, candidates(len(problem.sources), 20, rng)])
    problem.announce(len(anchors) + len(problem.sources) + 1)
    problem.solve_vertices()
    for point in anchors:
        problem.solve(point)
    return DistanceTable(name, "cuts", *problem.resampled_cuts(draws, rng))


def _label_table(
    name: str, samples: Sequence[Sample], target: Sample, draws: int, rng: np.random.Generator
) -> DistanceTable:
    classes = np.unique(np.concatenate([s.classes for s in [*samples, target]]))
    left = np.stack([_drawn_shares(s, classes, draws, rng) for s in samples], axis=2)
    right = _drawn_shares(target, classes, draws, rng)
    return DistanceTable(name, LABEL_FORMS[name], left, right)


def _drawn_shares(
    sample: Sample, classes: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    shares = label_shares(sample, classes)
    counts = rng.multinomial(len(sample), shares / shares.sum(), size=draws)
    return np.concatenate([shares[None], counts / len(sample)])
