"""`prune`: from scores to the ids that stay, with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.pruning.abundance import choose_side
from scalekit.selectors.pruning.classes import class_notes, floors_of, quotas_of
from scalekit.selectors.pruning.idle import CUTTING, direction_notes, idle_notes, quota_notes
from scalekit.selectors.pruning.rules import (
    SIDES,
    apply_rule,
    cut_count,
    fill_floors,
    tied_at_cut,
    top,
)
from scalekit.selectors.pruning.selection import Selection
from scalekit.selectors.pruning.tables import Scores, read_scores
from scalekit.selectors.scores.table import ScoreTable

CLASS_FLOOR = 0.5


@dataclass(frozen=True)
class Rule:
    """How examples are kept: `count` of them by `side`, with what classes are due."""

    side: str
    count: int
    cutoff: float
    balance: str | None
    class_floor: float
    quotas: Mapping[Any, int] | None

    @property
    def by_class(self) -> bool:
        """Whether every class is pruned by itself."""
        return bool(self.balance or self.quotas)


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
    learning_curve: pd.DataFrame | str | Path | None = None,
    trials: pd.DataFrame | str | Path | None = None,
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
    and error: prunings tried on a smaller pool, with "random" among the sides); both are frames
    or files.

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
        percent = f" For {keep:g}% give {keep / 100:g}." if 1 < keep < 100 else ""
        raise InputError(
            "keep must lie between 0 and 1, the share of examples that stays; got "
            f"{keep:g}.{percent}"
        )
    if not 0 <= cutoff < 1:
        raise InputError(
            f"cutoff (--cutoff) is the share of the hardest to drop, 0 or more and below 1; got "
            f"{cutoff:g}."
        )
    if side not in ("auto", *SIDES):
        raise InputError(f"There is no side '{side}'. {did_you_mean(side, ('auto', *SIDES))}")
    generator = as_generator(rng)
    found = read_scores(scores, by, higher_is, features, generator)
    rows, notes = len(found.ids), [*found.notes, *direction_notes(found.name, found.higher_is)]
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
        guessing, told = _chance(found, chance, learning_curve is not None)
        reasons = choose_side(
            rows, keep, learning_curve, trials, found.seeds, guessing, cutoff
        )  # fmt: skip
        chosen, notes = reasons.side, [*notes, *told, *reasons.notes]
    used = cutoff if chosen in CUTTING else 0.0
    notes += idle_notes(
        chosen, side, cutoff, learning_curve=learning_curve, trials=trials, chance=chance
    )
    rule = Rule(chosen, count, used, balance, class_floor, quotas)
    mask, told = _choose(found.labels, found.hardness, present, rule, generator)
    notes += told + quota_notes(quotas, balance, count, int(mask.sum()))
    notes += _tie_notes(found, mask, present, rule) + class_notes(found.labels, mask)
    table = pd.DataFrame({"id": found.ids, "score": found.score, "hardness": found.hardness,
                          "kept": mask})  # fmt: skip
    if found.labels is not None:
        table.insert(1, "label", found.labels)
    manifest = {
        "by": found.name, "higher_is": found.higher_is, "side": chosen, "asked": side,
        "keep": keep, "kept": int(mask.sum()), "cutoff": used, "balance": balance,
        "quotas": None if quotas is None else {str(k): int(n) for k, n in quotas.items()},
        "class_floor": class_floor if found.labels is not None else None,
        "deduplicate": deduplicate, "seeds": len(found.seeds), "seed": seed_of(rng),
        "input_hash": found.provenance.input_hash,
    }  # fmt: skip
    return Selection(
        table, manifest, _overlaps(found, mask, present, rule, generator), tuple(notes),
        Provenance(**{**vars(found.provenance), "seed": seed_of(rng)}),
    )  # fmt: skip


def _without_copies(
    found: Scores, features: Any, epsilon: float | None, rng: np.random.Generator
) -> tuple[np.ndarray, list[Note]]:
    present = np.ones(len(found.ids), dtype=bool)
    if epsilon is None:
        return present, []
    if features is None:
        raise InputError("deduplicate= (--deduplicate) needs features= (--features, n x d), from "
                         "which near copies are told.")  # fmt: skip
    from scalekit.selectors.prototypes import near_duplicates
    from scalekit.selectors.prototypes.features import features_of

    copies = near_duplicates(features_of(features, found.ids), epsilon, rng=rng)
    dropped = int((~copies.keep).sum())
    told = Note("deduplicated", "info", f"{dropped} near copies were dropped first.")
    return copies.keep, [told]


def _chance(
    found: Scores, chance: float | None, matters: bool
) -> tuple[float, list[Note]]:  # fmt: skip
    """Return the error of guessing: as given, that of the most frequent label, or one half."""
    if chance is not None:
        if not 0 < chance <= 1:
            raise InputError(
                f"chance (--chance) is the error of guessing, above 0 and at most 1 (0.9 for ten "
                f"even classes); got {chance:g}."
            )
        return chance, []
    if found.labels is None:
        assumed = (
            "The scores have no column 'label': the error of guessing is taken to be 0.5, as for "
            "two even classes. Say chance= (--chance)."
        )
        return 0.5, [Note("chance_assumed", "warning", assumed)] if matters else []
    shares = np.unique(found.labels, return_counts=True)[1] / len(found.labels)
    return float(1 - shares.max()), []


def _choose(
    labels: np.ndarray | None, hardness: np.ndarray, present: np.ndarray, rule: Rule,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[Note]]:  # fmt: skip
    """Return the mask of what stays: the rule, then floors or quotas of the classes."""
    mask = np.zeros(len(present), dtype=bool)
    if rule.balance not in (None, "label"):
        raise InputError(f"balance (--balance) must be 'label' or left out; got '{rule.balance}'.")
    if not 0 <= rule.class_floor <= 1:
        raise InputError(
            f"class_floor (--class-floor) must lie between 0 and 1; got {rule.class_floor:g}."
        )
    if labels is None and rule.by_class:
        raise InputError("balance= (--balance) and quotas= (--quota) need a column 'label' beside "
                         "the scores.")  # fmt: skip
    places = np.flatnonzero(present)
    if labels is not None and rule.by_class:
        numbers = quotas_of(labels, labels[places], rule.count, rule.quotas)
        for label, number in numbers.items():
            mine = places[labels[places] == label]
            mask[mine[apply_rule(rule.side, hardness[mine], number, rng, rule.cutoff)]] = True
        return mask, []
    # what the cutoff drops is gone before floors: they must not bring mislabelled ones back
    places = places[~top(hardness[places], cut_count(len(places), rule.count, rule.cutoff), rng)]
    wanted = apply_rule(rule.side, hardness[places], rule.count, rng)
    if labels is None:
        mask[places[wanted]] = True
        return mask, []
    floors, notes = floors_of(labels, labels[places], rule.count, rule.class_floor)
    order = _order(rule.side, hardness[places], wanted, rng)
    mask[places[fill_floors(order, labels[places], floors, rule.count)]] = True
    return mask, notes


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


def _tie_notes(found: Scores, mask: np.ndarray, present: np.ndarray, rule: Rule) -> list[Note]:
    if rule.side not in ("hard", "easy", "window"):
        return []
    groups = found.labels if rule.by_class and found.labels is not None else np.zeros(len(mask))
    tied = sum(
        tied_at_cut(found.hardness[mine], mask[mine])
        for mine in (present & (groups == label) for label in np.unique(groups))
    )
    if not tied:
        return []
    return [
        Note("ties", "info", f"{tied} examples share the score at the cut; which of them stay was "
             "drawn by the seed, not taken by order.")
    ]  # fmt: skip


def _overlaps(
    found: Scores, mask: np.ndarray, present: np.ndarray, rule: Rule, rng: np.random.Generator
) -> pd.DataFrame:
    """Return how far other scores and single seeds would keep the same (Jaccard), and chance."""
    share = float(mask.mean())
    rows = [("random", "chance", share / (2 - share))]
    if rule.side not in ("random", "stratified", "probabilistic"):
        others = [("score", name, values) for name, values in found.others.items()]
        if len(found.seeds) > 1:
            others += [("seed", f"seed {k}", values) for k, values in enumerate(found.seeds)]
        for kind, name, values in others:
            other, _ = _choose(found.labels, values, present, rule, rng)
            rows.append((name, kind, float((mask & other).sum() / (mask | other).sum())))
    return pd.DataFrame(rows, columns=["would keep", "kind", "overlap"])
