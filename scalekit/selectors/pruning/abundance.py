"""Hard, easy or neither: what the abundance of data and the scores' own noise allow.

In the theory of the perceptron (`pruning_theory`) the hard examples are worth keeping once about
two kept examples stand against each dimension that the task has, and then only down to a share of
about the angle, in radians, by which the score is off. Both can be estimated: the dimension from a
learning curve at a few sizes, the angle from how much seeds disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize_scalar

from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.notes import Note
from scalekit.selectors.pruning_theory.perceptron_result import perceptron

FEWEST_SIZES = 3
DOUBT = 2.0  # standard errors of the log dimension within which the choice must hold
CLEAR = 0.02  # of the log error: a lead smaller than this is no reason to take a side
UNKNOWN_ANGLE = np.radians(20.0)  # where one seed cannot tell


@dataclass(frozen=True)
class Abundance:
    """What a choice of side rests on: `dimension` with its relative standard error, and `angle`."""

    side: str
    dimension: float
    doubt: float
    angle: float
    notes: tuple[Note, ...]


def choose_side(
    rows: int,
    keep: float,
    learning_curve: pd.DataFrame | None,
    seeds: Sequence[np.ndarray],
    chance: float,
) -> Abundance:
    """Return the side that the theory supports for keeping a share `keep` of `rows` examples.

    `learning_curve` has columns n and error, of models trained on random subsets; `seeds` are the
    same score from several trainings; `chance` is the error of guessing.
    """
    angle, told = metric_angle(seeds)
    notes = [told]
    if learning_curve is None:
        notes.append(
            Note(
                "abundance_unknown",
                "warning",
                "Whether hard or easy examples should stay depends on how abundant data are, which "
                "scores do not show. Give learning_curve= (n and error at three sizes) for a "
                "choice; without one the selection is stratified over all hardnesses.",
            )
        )
        return Abundance("stratified", np.nan, np.nan, angle, tuple(notes))
    dimension, doubt = effective_dimension(learning_curve, chance)
    errors = {}
    for sign in (-1, 0, 1):
        total = rows / (dimension * np.exp(sign * DOUBT * doubt))
        errors[sign] = {
            side: float(np.log(perceptron(total, keep, angle, side).error))
            for side in ("hard", "easy", "random")
        }
    kept = keep * rows / dimension
    leads = {
        side: max(e[side] - min(v for k, v in e.items() if k != side) for e in errors.values())
        for side in ("hard", "easy")
    }
    side = min(leads, key=lambda name: leads[name])
    against = {s: np.exp(errors[0][s] - errors[0]["random"]) for s in ("hard", "easy")}
    text = (
        f"about {kept:.3g} kept examples for each of {dimension:.3g} effective dimensions "
        f"(standard error {doubt:.0%}), scores {np.degrees(angle):.0f} degrees off: in theory the "
        f"error against random is {against['hard']:.2f} times (hard), {against['easy']:.2f} (easy)"
    )
    if leads[side] > -CLEAR:
        told_why = f"No side is clearly better: {text}. Kept at random."
        notes.append(Note("side_undecided", "info", told_why))
        side = "random"
    else:
        notes.append(Note("side_chosen", "info", f"The {side} examples are kept: {text}."))
    if keep < angle:
        notes.append(
            Note(
                "below_angle",
                "warning",
                f"A share of {keep:.2g} is below the angle of these scores ({angle:.2g} radians): "
                "in theory pruning by them so far wastes data. Keep more, or average the scores "
                "over more seeds.",
            )
        )
        side = "random" if side == "hard" else side
    return Abundance(side, dimension, doubt, angle, tuple(notes))


def effective_dimension(curve: pd.DataFrame, chance: float) -> tuple[float, float]:
    """Return the dimension at which the theory's curve runs through these errors, and its doubt.

    `error = chance * 2 * eps(n / dimension)`; the doubt is the standard error of its log, from how
    far the sizes disagree.
    """
    for name in ("n", "error"):
        if name not in curve:
            raise ColumnNotFoundError(
                f"learning_curve has no column '{name}'; it has {', '.join(map(str, curve))}."
            )
    means = curve.groupby("n")["error"].mean()
    if len(means) < FEWEST_SIZES:
        raise InputError(
            f"learning_curve has {len(means)} size(s); three are needed to see whether "
            "its shape is that of the theory."
        )
    if not ((means > 0) & (means < chance)).all():
        worst = means[~((means > 0) & (means < chance))]
        raise InputError(
            f"learning_curve: the error {worst.iloc[0]:.4g} at n={worst.index[0]} is not between "
            f"0 and that of guessing ({chance:.4g}). Use more test examples, or say chance=."
        )
    sizes = means.index.to_numpy(float)
    errors = means.to_numpy(float)
    each = [np.log(_dimension_at(n, e, chance)) for n, e in zip(sizes, errors, strict=True)]

    def miss(log_dimension: float) -> float:
        theory = chance * 2 * np.asarray(perceptron(sizes / np.exp(log_dimension)).error)
        return float(np.sum((np.log(errors) - np.log(theory)) ** 2))

    best = minimize_scalar(miss, bounds=(min(each) - 0.1, max(each) + 0.1), method="bounded").x
    return float(np.exp(best)), float(np.std(each, ddof=1) / np.sqrt(len(each)))


def _dimension_at(n: float, error: float, chance: float) -> float:
    def lead(log_ratio: float) -> float:
        return float(np.log(chance * 2 * perceptron(np.exp(log_ratio)).error / error))

    low, high = -8.0, 12.0
    if lead(low) < 0:
        return float(n * np.exp(-low))
    return float(n / np.exp(brentq(lead, low, high, xtol=1e-6)))


def metric_angle(seeds: Sequence[np.ndarray]) -> tuple[float, Note]:
    """Return the angle, in radians, between the mean of these scores and the truth, and a note.

    Two probes of one teacher, each off by t, are off by arccos(cos(t)^2) from each other; their
    margins |z| then correlate by a known amount. The mean of k of them is off by
    arctan(tan(t) / sqrt(k)). Rank correlations stand for correlations.
    """
    if len(seeds) < 2:
        return float(UNKNOWN_ANGLE), Note(
            "one_seed",
            "info",
            "Scores of one training: how far they are off cannot be seen; "
            f"{np.degrees(UNKNOWN_ANGLE):.0f} degrees are assumed. Give those of several seeds.",
        )
    ranks = pd.DataFrame(dict(enumerate(seeds))).corr(method="spearman").to_numpy()
    between = float(ranks[np.triu_indices(len(seeds), 1)].mean())
    cosine = _cosine_from(min(max(between, 1e-6), 1 - 1e-12))
    single = np.arccos(np.sqrt(cosine))
    angle = float(np.arctan(np.tan(single) / np.sqrt(len(seeds))))
    return angle, Note(
        "metric_angle",
        "info",
        f"{len(seeds)} seeds rank examples with a correlation of {between:.2f}: their mean is "
        f"about {np.degrees(angle):.0f} degrees off.",
    )


def _cosine_from(correlation: float) -> float:
    """Return the cosine between two probes whose margins |z| correlate so (bivariate normal)."""

    def lead(c: float) -> float:
        product = 2 / np.pi * (np.sqrt(1 - c * c) + c * np.arcsin(c))
        return float((product - 2 / np.pi) / (1 - 2 / np.pi) - correlation)

    return float(brentq(lead, 0.0, 1.0))
