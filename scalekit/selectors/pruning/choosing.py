"""`prune`: from scores to the ids that stay, with reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.pruning.abundance import choose_side
from scalekit.selectors.pruning.rules import SIDES, apply_rule, fill_floors, tied_at_cut
from scalekit.selectors.pruning.selection import Selection
from scalekit.selectors.pruning.tables import Scores, read_scores
from scalekit.selectors.scores.table import ScoreTable

CLASS_FLOOR = 0.5


def prune(
    scores: ScoreTable | pd.DataFrame | str | Path | Sequence[Any],
    keep: float,
    *,
    by: str | None = None,
    side: str = "auto",
    higher_is: str | None = None,
    balance: str | None = None,
    class_floor: float = CLASS_FLOOR,
    quotas: Mapping[Any, int] | None = None,
    cutoff: float = 0.0,
    features: Any = None,
    deduplicate: float | None = None,
    learning_curve: pd.DataFrame | None = None,
    trials: pd.DataFrame | None = None,
    chance: float | None = None,
    rng: RandomState = 0,
) -> Selection:
    """Choose which examples to keep: a share `keep`, by the score `by`.

    `scores` is a table of scores, a folder or file of them, a data frame with a column `id`, or
    several of these (one for each seed: their mean counts, their disagreement is reported).
    `by="prototypes"` needs `features` (n, d), an array in the order of the scores, or a table or
    file with ids: the distance to the own cluster's centre, no score.

    `side`: "hard", "easy", "random", "stratified" and "window" (both after the hardest share
    `cutoff`, where mislabelled examples sit, is dropped), "probabilistic", or "auto": what the
    abundance of data supports, from a `learning_curve` (columns n and error, at three sizes) whose
    guessing error is `chance`, from how far seeds disagree, and from `trials` (columns side, keep
    and error: prunings tried on a smaller pool, with "random" among the sides).

    `higher_is` ("hard" or "easy") is needed for a score that the catalogue does not know. Where
    there are labels every class keeps at least `class_floor` of its share; `balance="label"` keeps
    the same share of every class; `quotas` sets the number of each. `deduplicate` drops, before all
    else, near copies closer than that in cosine distance of `features`.

    Raises InputError where keep is not between 0 and 1, ids repeat or differ between seeds, the
    score or its direction is unknown, or quotas cannot be met.

    >>> table = pd.DataFrame({"id": range(10), "el2n": np.arange(10) / 10})
    >>> prune(table, 0.3, by="el2n", side="hard").ids.tolist()
    [7, 8, 9]
    """
    if not 0 < keep < 1:
        raise InputError(
            f"keep must lie between 0 and 1, the share of examples that stays; got {keep:g}."
        )
    if side not in ("auto", *SIDES):
        raise InputError(f"There is no side '{side}'. {did_you_mean(side, ('auto', *SIDES))}")
    generator, notes = as_generator(rng), []
    found = read_scores(scores, by, higher_is, features, generator)
    rows, notes = len(found.ids), list(found.notes)
    present, told = _without_copies(found, features, deduplicate, generator)
    notes += told
    count = round(keep * rows)
    if not 0 < count <= present.sum():
        raise InputError(
            f"keep={keep:g} of {rows} examples is {count}; {int(present.sum())} can be kept"
            + (" after de-duplication." if deduplicate is not None else ".")
        )
    chosen = side
    if side == "auto":
        reasons = choose_side(
            rows, keep, learning_curve, trials, found.seeds, _chance(found, chance)
        )
        chosen, notes = reasons.side, [*notes, *reasons.notes]
        chosen = "window" if chosen == "hard" and cutoff else chosen
    hardness = found.hardness
    mask = _choose(found, hardness, present, chosen, count, cutoff, balance, class_floor, quotas,
                   generator)  # fmt: skip
    notes += _tie_notes(hardness, mask, present, chosen) + _class_notes(found, mask)
    table = pd.DataFrame({"id": found.ids, "score": found.score, "hardness": hardness,
                          "kept": mask})  # fmt: skip
    if found.labels is not None:
        table.insert(1, "label", found.labels)
    manifest = {
        "by": found.name, "higher_is": found.higher_is, "side": chosen, "asked": side,
        "keep": keep, "kept": int(mask.sum()), "cutoff": cutoff, "balance": balance,
        "class_floor": class_floor if found.labels is not None else None,
        "deduplicate": deduplicate, "seeds": len(found.seeds), "seed": seed_of(rng),
        "input_hash": found.provenance.input_hash,
    }  # fmt: skip
    return Selection(
        table, manifest, _overlaps(found, mask, chosen, cutoff, generator), tuple(notes),
        Provenance(**{**vars(found.provenance), "seed": seed_of(rng)}),
    )  # fmt: skip


def _without_copies(
    found: Scores, features: Any, epsilon: float | None, rng: np.random.Generator
) -> tuple[np.ndarray, list[Note]]:
    present = np.ones(len(found.ids), dtype=bool)
    if epsilon is None:
        return present, []
    if features is None:
        raise InputError("deduplicate= needs features= (n, d), from which near copies are told.")
    from scalekit.selectors.prototypes import near_duplicates
    from scalekit.selectors.prototypes.features import features_of

    copies = near_duplicates(features_of(features, found.ids), epsilon, rng=rng)
    dropped = int((~copies.keep).sum())
    told = Note("deduplicated", "info", f"{dropped} near copies were dropped first.")
    return copies.keep, [told]


def _chance(found: Scores, chance: float | None) -> float:
    if chance is not None:
        return chance
    if found.labels is None:
        return 0.5
    shares = np.unique(found.labels, return_counts=True)[1] / len(found.labels)
    return float(1 - shares.max())


def _choose(
    found: Scores, hardness: np.ndarray, present: np.ndarray, side: str, count: int, cutoff: float,
    balance: str | None, class_floor: float, quotas: Mapping[Any, int] | None,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Return the mask of what stays: the rule, then floors or quotas of the classes."""
    places = np.flatnonzero(present)
    mask = np.zeros(len(present), dtype=bool)
    if balance not in (None, "label"):
        raise InputError(f"balance must be 'label' or left out; got '{balance}'.")
    if found.labels is None:
        if balance or quotas:
            raise InputError("balance= and quotas= need a column 'label' beside the scores.")
        mask[places[apply_rule(side, hardness[places], count, rng, cutoff)]] = True
        return mask
    labels = found.labels[places]
    if balance or quotas:
        numbers = _quotas(found.labels, labels, count, quotas)
        for label, number in numbers.items():
            mine = places[labels == label]
            mask[mine[apply_rule(side, hardness[mine], number, rng, cutoff)]] = True
        return mask
    if not 0 <= class_floor <= 1:
        raise InputError(f"class_floor must lie between 0 and 1; got {class_floor:g}.")
    share = count / len(present)
    floors = {
        label: min(math.ceil(class_floor * share * n), int((labels == label).sum()))
        for label, n in zip(*np.unique(found.labels, return_counts=True), strict=True)
    }
    wanted = apply_rule(side, hardness[places], count, rng, cutoff)
    order = _order(side, hardness[places], wanted, rng)
    mask[places[fill_floors(order, labels, floors, count)]] = True
    return mask


def _order(
    side: str, hardness: np.ndarray, wanted: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return rows in the order in which floors take them: the rule's own choice first.

    Within the choice, and within what it left, by the rule's priority; ties at random.
    """
    priority = {"hard": hardness, "window": hardness, "easy": -hardness}.get(
        side, np.zeros(len(hardness))
    )
    shuffled = rng.permutation(len(hardness))
    return shuffled[np.lexsort((-priority[shuffled], ~wanted[shuffled]))]


def _quotas(
    all_labels: np.ndarray, labels: np.ndarray, count: int, quotas: Mapping[Any, int] | None
) -> dict[Any, int]:
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
        unknown = [label for label in quotas if label not in there]
        if unknown:
            raise InputError(
                f"quotas names the class '{unknown[0]}', which has no example. "
                f"{did_you_mean(str(unknown[0]), [str(k) for k in there])}"
            )
        wanted = {label: int(quotas.get(label, 0)) for label in there}
    short = {label: n for label, n in wanted.items() if n > there.get(label, 0)}
    if short:
        label, n = next(iter(short.items()))
        raise InputError(
            f"Class '{label}' is to keep {n} examples but has {there.get(label, 0)}. Lower its "
            "quota, or keep less."
        )
    return wanted


def _tie_notes(
    hardness: np.ndarray, mask: np.ndarray, present: np.ndarray, side: str
) -> list[Note]:
    if side not in ("hard", "easy", "window"):
        return []
    ordered = -hardness if side == "easy" else hardness
    tied = tied_at_cut(ordered[present], mask[present])
    if not tied:
        return []
    return [
        Note("ties", "info", f"{tied} examples share the score at the cut; which of them stay was "
             "drawn by the seed, not taken by order.")
    ]  # fmt: skip


def _class_notes(found: Scores, mask: np.ndarray) -> list[Note]:
    if found.labels is None:
        return []
    names, inverse = np.unique(found.labels, return_inverse=True)
    share = np.bincount(inverse, mask) / np.bincount(inverse)
    if share.min() >= 0.75 * mask.mean():
        return []
    worst = names[share.argmin()]
    return [
        Note("classes", "warning", f"Class '{worst}' keeps {share.min():.0%}, random would keep "
             f"{mask.mean():.0%}. balance='label' keeps the same share of every class.")
    ]  # fmt: skip


def _overlaps(
    found: Scores, mask: np.ndarray, side: str, cutoff: float, rng: np.random.Generator
) -> pd.DataFrame:  # fmt: skip
    """Return how far other scores and single seeds would keep the same (Jaccard), and chance."""
    share = float(mask.mean())
    rows = [("random", "chance", share / (2 - share))]
    count = int(mask.sum())
    if side not in ("random", "stratified", "probabilistic"):
        others = [("score", name, values) for name, values in found.others.items()]
        others += [("seed", f"seed {k}", values) for k, values in enumerate(found.seeds)]
        for kind, name, values in others if len(found.seeds) > 1 or found.others else []:
            if kind == "seed" and len(found.seeds) < 2:
                continue
            other = apply_rule(side, values, count, rng, cutoff)
            rows.append((name, kind, float((mask & other).sum() / (mask | other).sum())))
    return pd.DataFrame(rows, columns=["would keep", "kind", "overlap"])
