"""Classes in a pruning: their floors, their quotas, and which of them lose most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note


def floors_of(
    all_labels: np.ndarray, labels: np.ndarray, count: int, class_floor: float
) -> tuple[dict[Any, int], list[Note]]:
    """Return how many examples each class keeps at least, of those that are left (`labels`).

    A class keeps `class_floor` of its share, rounded up; rounded down where classes are so small
    that rounding up would keep more than `count`. What a class cannot or does not get is told.
    """
    there = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    sizes = dict(zip(*np.unique(all_labels, return_counts=True), strict=True))
    exact = {label: class_floor * count / len(all_labels) * n for label, n in sizes.items()}
    wanted = {label: math.ceil(value) for label, value in exact.items()}
    short = [label for label, n in wanted.items() if n > there.get(label, 0)]
    notes = []
    if short:
        notes.append(
            Note("floor_short", "warning", f"Class '{short[0]}' keeps all its "
                 f"{there.get(short[0], 0)} examples, fewer than its floor of {wanted[short[0]]}"
                 + (f"; so do {len(short) - 1} other class(es)." if len(short) > 1 else "."))
        )  # fmt: skip
    floors = {label: min(n, there.get(label, 0)) for label, n in wanted.items()}
    if sum(floors.values()) > count:
        floors = {label: min(int(exact[label]), there.get(label, 0)) for label in sizes}
        none = sum(not n for n in floors.values())
        notes.append(
            Note("floors_small", "warning", f"{len(sizes)} classes are too small for a floor of "
                 f"one example each among the {count} to keep: {none} of them have none. Keep "
                 "more, or give quotas= (--quota).")
        )  # fmt: skip
    return floors, notes


def quotas_of(
    all_labels: np.ndarray, labels: np.ndarray, count: int, quotas: Mapping[Any, int] | None
) -> dict[Any, int]:
    """Return how many examples of each class to keep: the same share of all, or the quotas given.

    A quota may name its class by text, as on the command line. Raises InputError for a class
    without examples, a negative quota, and a quota above what the class has.
    """
    there = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    if quotas is None:
        share = count / len(all_labels)
        sizes = dict(zip(*np.unique(all_labels, return_counts=True), strict=True))
        exact = {label: share * n for label, n in sizes.items()}
        wanted = {label: int(value) for label, value in exact.items()}
        # largest remainders, so that the total is right
        for label in sorted(exact, key=lambda k: wanted[k] - exact[k])[
            : count - sum(wanted.values())
        ]:
            wanted[label] += 1
    else:
        by_text = {str(label): label for label in there}
        quotas = {by_text.get(str(label), label): n for label, n in quotas.items()}
        unknown = [label for label in quotas if label not in there]
        if unknown:
            raise InputError(
                f"quotas (--quota) names the class '{unknown[0]}', which has no example. "
                f"{did_you_mean(str(unknown[0]), [str(k) for k in there])}"
            )
        below = [label for label, n in quotas.items() if n < 0]
        if below:
            raise InputError(f"The quota of the class '{below[0]}' is {quotas[below[0]]}; give 0 "
                             "or more.")  # fmt: skip
        wanted = {label: int(quotas.get(label, 0)) for label in there}
    short = {label: n for label, n in wanted.items() if n > there.get(label, 0)}
    if short:
        label, n = next(iter(short.items()))
        raise InputError(
            f"Class '{label}' is to keep {n} examples but has {there.get(label, 0)}. Lower its "
            "quota, or keep less."
        )
    return wanted


def class_notes(labels: np.ndarray | None, mask: np.ndarray) -> list[Note]:
    """Return a warning where a class keeps less than three quarters of what random would."""
    if labels is None:
        return []
    names, inverse = np.unique(labels, return_inverse=True)
    share = np.bincount(inverse, mask) / np.bincount(inverse)
    if share.min() >= 0.75 * mask.mean():
        return []
    worst = names[share.argmin()]
    return [
        Note("classes", "warning", f"Class '{worst}' keeps {share.min():.0%}, random would keep "
             f"{mask.mean():.0%}. balance='label' (--balance label) keeps the same share of all.")
    ]  # fmt: skip
