"""Hard, easy or neither: what the abundance of data and the scores' own noise allow.

In the theory of the perceptron (`pruning_theory`) the hard examples are worth keeping once about
two kept examples stand against each dimension that the task has, and then only down to a share of
about the angle, in radians, by which the score is off. Both can be estimated: the dimension from a
learning curve at a few sizes, the angle from how much seeds disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtri

from scalekit.notes import Note
from scalekit.selectors.pruning.evidence import read_curve, trial_leads
from scalekit.selectors.pruning_theory.perceptron_result import perceptron

THEORY_DOUBT = 0.3  # of a log ratio of errors: how far real tasks stray from a perceptron
CLEAR = 0.02  # of a log ratio of errors: with trials, less is no reason to take a side
LIKE = {"window": "hard"}  # sides that theory does not know, and the one that they resemble
UNKNOWN_ANGLE = np.radians(20.0)  # where one seed cannot tell
ABUNDANCE_UNKNOWN = Note(
    "abundance_unknown",
    "warning",
    "Whether hard or easy examples should stay depends on how abundant data are, which scores do "
    "not show. Give learning_curve= (--learning-curve: n and error at three sizes), or trials= "
    "(--trials: side, keep and error on a smaller pool); without them the selection is stratified: "
    "spread evenly over all hardnesses.",
)


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
    learning_curve: Any,
    trials: Any,
    seeds: Sequence[np.ndarray],
    chance: float,
    cutoff: float = 0.0,
) -> Abundance:
    """Return the side that theory and trials support for keeping a share `keep` of `rows` examples.

    `learning_curve` has columns n and error, of models trained on random subsets; `trials` has
    side, keep and error, of prunings tried on a smaller pool (both frames or files); `seeds` are
    the same score from several trainings; `chance` is the error of guessing; with a `cutoff` hard
    means the side "window". Each side's lead (log error over that of
    random) is theory's, held with a doubt of a third, corrected by the trials at their precision.
    """
    angle, disagreement = metric_angle(seeds)
    notes = [disagreement]
    leads, doubts, dimension, doubt = {"hard": 0.0, "easy": 0.0}, {}, np.nan, np.nan
    if learning_curve is None and trials is None:
        return Abundance("stratified", np.nan, np.nan, angle, (*notes, ABUNDANCE_UNKNOWN))
    text = []
    if learning_curve is not None:
        curve, told = read_curve(learning_curve, chance)
        notes += told
        dimension, doubt = effective_dimension(curve, chance)
        model = model_angle(curve, chance)
        if model > angle:
            angle = model
            notes.append(
                Note(
                    "model_angle",
                    "info",
                    "What a model scores it sees as well as it has learned: at the curve's last "
                    f"error it is {np.degrees(model):.0f} degrees off, more than seeds disagree.",
                )
            )
        leads = _theory_leads(rows, keep, dimension, doubt, angle)
        text.append(
            f"{keep * rows / dimension:.3g} kept examples for each of about {dimension:.3g} "
            f"effective dimensions (standard error {doubt:.0%}), for which theory expects "
            f"{np.exp(leads['hard']):.2f} (hard) and {np.exp(leads['easy']):.2f} (easy) times the "
            "error of random"
        )
    doubts = dict.fromkeys(leads, THEORY_DOUBT if learning_curve is not None else np.inf)
    if trials is not None:
        found, share = trial_leads(trials, keep)
        for side, (lead, error) in found.items():
            prior, wide = leads.get(LIKE.get(side, side), 0.0), doubts.get(side, THEORY_DOUBT)
            weight = 1 / error**2
            known = weight + (0.0 if np.isinf(wide) else 1 / wide**2)
            leads[side] = (weight * lead + (known - weight) * prior) / known
            doubts[side] = known**-0.5
        text.append(
            ("trials" if np.isclose(share, keep) else f"trials that kept {share:g}")
            + " found "
            + ", ".join(f"{np.exp(v):.2f} ({k})" for k, (v, _) in found.items())
            + " times the error of random"
        )
    side = min(leads, key=lambda name: leads[name])
    because = "; ".join(text)
    needed = doubts[side] if trials is None else CLEAR
    if not leads[side] < -needed:
        undecided = f"Kept at random, no side is clear: {because}."
        notes.append(Note("side_undecided", "info", undecided))
        side = "random"
    elif keep < angle and side in ("hard", "window"):
        notes.append(Note("side_refused", "info", f"The evidence is for {side}: {because}."))
    else:
        notes.append(Note("side_chosen", "info", f"Kept {_told(side, cutoff)}: {because}."))
    if keep < angle:
        instead = " Kept at random instead." if side in ("hard", "window") else ""
        side = "random" if instead else side
        notes.append(
            Note(
                "below_angle",
                "warning",
                f"A share of {keep:.2g} is below the angle of these scores ({angle:.2g} radians): "
                "in theory pruning by them so far wastes data. Keep more, or average the scores "
                f"over more seeds.{instead}",
            )
        )
    side = "window" if side == "hard" and cutoff else side
    return Abundance(side, dimension, doubt, angle, tuple(notes))


def _told(side: str, cutoff: float) -> str:
    if side in ("hard", "window") and cutoff:
        return f"the hardest but for the top {cutoff:.3g} (side 'window': hard with a cutoff)"
    return side


def _theory_leads(
    rows: int, keep: float, dimension: float, doubt: float, angle: float
) -> dict[str, float]:
    """Return hard's and easy's log error over random's: the least favourable within the doubt."""
    found: dict[str, list[float]] = {"hard": [], "easy": []}
    for sign in (-1, 0, 1):
        total = rows / (dimension * np.exp(sign * doubt))
        random = perceptron(total, keep, angle, "random").error
        for side, entries in found.items():
            entries.append(float(np.log(perceptron(total, keep, angle, side).error / random)))
    return {side: max(entries) for side, entries in found.items()}


def effective_dimension(curve: pd.DataFrame, chance: float) -> tuple[float, float]:
    """Return the dimension at which the theory's curve runs through these errors, and its doubt.

    `error = chance * 2 * eps(n / dimension)`; the doubt is the standard error of its log, from how
    far the sizes disagree.
    """
    means = curve.groupby("n")["error"].mean()
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


def model_angle(curve: pd.DataFrame, chance: float) -> float:
    """Return how far a model with the curve's last error is off, in radians: pi times that error.

    Exact for the perceptron, whose error is its angle over pi; errors are scaled by `chance`.
    """
    last = curve.loc[curve["n"] == curve["n"].max(), "error"].mean()
    return float(np.pi * min(last / (2 * chance), 0.5))


def metric_angle(seeds: Sequence[np.ndarray]) -> tuple[float, Note]:
    """Return the angle, in radians, between the mean of these scores and the truth, and a note.

    Two probes of one teacher, each off by t, are off by arccos(cos(t)^2) from each other; their
    margins |z| then correlate by a known amount. The mean of k of them is off by
    arctan(tan(t) / sqrt(k)). Ranks stand for margins, by the quantiles of |z|.
    """
    if len(seeds) < 2:
        return float(UNKNOWN_ANGLE), Note(
            "one_seed",
            "info",
            "Scores of one training: how far they are off cannot be seen; "
            f"{np.degrees(UNKNOWN_ANGLE):.0f} degrees are assumed. Give those of several seeds.",
        )
    places = pd.DataFrame(dict(enumerate(seeds))).rank().to_numpy()
    margins = ndtri((1 + (places - 0.5) / len(places)) / 2)
    between = float(np.atleast_2d(np.corrcoef(margins.T))[np.triu_indices(len(seeds), 1)].mean())
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
