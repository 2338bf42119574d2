"""Rules of pruning: from hardness to a mask of what is kept.

Each rule takes `hardness` (n,), large for hard examples, and how many to keep. Ties are broken by
the generator, never by the order of rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalekit.errors import InputError

SIDES = ("hard", "easy", "stratified", "window", "probabilistic", "random")
STRATA = 50


def apply_rule(
    side: str, hardness: np.ndarray, count: int, rng: np.random.Generator, cutoff: float = 0.0
) -> np.ndarray:
    """Return the mask (n,) of `count` examples that the rule keeps.

    hard, easy: the hardest or easiest. window: the hardest after the hardest share `cutoff`, where
    mislabelled ones sit, is dropped. stratified: after the same cut, equal numbers from strata of
    equal width in hardness (coverage-centric selection, Zheng et al. 2023). probabilistic: drawn
    without replacement, odds growing with the standardised hardness. random: any.
    """
    if side == "stratified":
        return _stratified(hardness, count, rng, cutoff)
    priority = {
        "hard": hardness,
        "easy": -hardness,
        "random": np.zeros(len(hardness)),
        "window": hardness,
        "probabilistic": hardness,
    }[side]
    allowed = np.ones(len(hardness), dtype=bool)
    if side == "window":
        allowed = ~top(hardness, cut_count(len(hardness), count, cutoff), rng)
    if side == "probabilistic":
        spread = hardness.std()
        priority = (hardness - hardness.mean()) / spread if spread > 0 else np.zeros(len(hardness))
        priority = priority + rng.gumbel(size=len(hardness))
    chosen = np.zeros(len(hardness), dtype=bool)
    places = np.flatnonzero(allowed)
    chosen[places[top(priority[places], count, rng)]] = True
    return chosen


def top(priority: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the mask of the `count` largest; ties at the cut are drawn."""
    shuffled = rng.permutation(len(priority))
    order = shuffled[np.argsort(-priority[shuffled], kind="stable")]
    mask = np.zeros(len(priority), dtype=bool)
    mask[order[:count]] = True
    return mask


def tied_at_cut(hardness: np.ndarray, mask: np.ndarray) -> int:
    """Return how many examples share a value of which some stay and some go."""
    if mask.all() or not mask.any():
        return 0
    shared = np.intersect1d(hardness[mask], hardness[~mask])
    return int(np.isin(hardness, shared).sum())


def cut_count(rows: int, count: int, cutoff: float) -> int:
    """Return how many of `rows` the cutoff drops; raises InputError where too few are left."""
    cut = round(cutoff * rows)
    if rows - cut < count:
        raise InputError(
            f"cutoff={cutoff:g} drops {cut} of {rows} examples and leaves fewer than the {count} "
            f"to keep. Give a cutoff of at most {1 - count / rows:.3g}."
        )
    return cut


def _stratified(
    hardness: np.ndarray, count: int, rng: np.random.Generator, cutoff: float
) -> np.ndarray:
    left = np.flatnonzero(~top(hardness, cut_count(len(hardness), count, cutoff), rng))
    low, high = hardness[left].min(), hardness[left].max()
    width = (high - low) / STRATA if high > low else 1.0
    stratum = np.minimum(((hardness[left] - low) / width).astype(int), STRATA - 1)
    sizes = np.bincount(stratum, minlength=STRATA)
    chosen = np.zeros(len(hardness), dtype=bool)
    wanted = count
    # the smallest strata first: what they cannot fill goes to the others
    filled = np.flatnonzero(sizes)[np.argsort(sizes[np.flatnonzero(sizes)], kind="stable")]
    for place, number in enumerate(filled):
        take = min(sizes[number], -(-wanted // (len(filled) - place)))
        chosen[rng.choice(left[stratum == number], size=take, replace=False)] = True
        wanted -= take
    return chosen


def fill_floors(
    rule_order: np.ndarray, labels: np.ndarray, floors: Mapping[object, int], count: int
) -> np.ndarray:
    """Return the mask that keeps each class' best `floors[class]`, then the best of all.

    `rule_order` (n,) are the rows from the first to be kept to the last.
    """
    mask = np.zeros(len(labels), dtype=bool)
    for label, floor in floors.items():
        mask[rule_order[labels[rule_order] == label][:floor]] = True
    rest = rule_order[~mask[rule_order]]
    mask[rest[: max(count - int(mask.sum()), 0)]] = True
    return mask
