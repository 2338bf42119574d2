"""What can be wrong with a fit, said in notes; and how far it hangs on choices one could make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalekit.columns import Locate
from scalekit.fitters.model import to_natural
from scalekit.fitters.objectives import Objective
from scalekit.fitters.outliers import OUTLIER, outlier_notes
from scalekit.fitters.problem import Solution
from scalekit.fitters.solver import solve
from scalekit.fitters.study_inputs import rising_notes
from scalekit.notes import Note

if TYPE_CHECKING:
    from scalekit.fitters.fitted import Fit

RIVAL = 0.01  # relative difference of objectives below which another optimum is a rival
TOO_SINGULAR = 1e10  # of the Hessian with a unit diagonal; sound laws stay below 1e7
WANDERING = 0.6  # correlation of neighbouring residuals that independent runs do not show
FEWEST_REPLICATES = 5  # fewer spare runs do not tell the noise
DROPPED = (1, 3, 5)
MOST_ROWS = 20_000  # above, dropping a handful of rows tells nothing


def diagnose(fit: Fit, optima: Solution, locate: Locate) -> list[Note]:
    """Return the notes on a fit; `optima` holds the distinct optima that the starts found.

    `locate` names a row of the fit to the user.
    """
    return [
        *_rising_notes(fit),
        *_search_notes(fit, optima),
        *_bound_notes(fit),
        *_range_notes(fit),
        *_identification_notes(fit),
        *_sensitivity_notes(fit),
        *outlier_notes(fit.residuals, fit.loss, fit.noise, fit.objective.on_log, locate),
        *_replicate_notes(fit),
        *_shape_notes(fit),
    ]


def _rising_notes(fit: Fit) -> Iterator[Note]:
    logs = np.sum([np.log(scale) for scale in fit.scales.values()], axis=0)
    if np.ptp(logs) > np.log(2):
        name = " times ".join(fit.scales)
        yield from rising_notes(pd.DataFrame({name: logs, "loss": fit.loss}), name, ())


def _search_notes(fit: Fit, optima: Solution) -> Iterator[Note]:
    search = fit.search
    if not search.converged:
        yield Note(
            "not_converged",
            "error",
            "The solver stopped before it could show an optimum. The law may have no best fit on "
            "these runs (a parameter drifts without end): take a simpler law.",
        )
    if search.agreeing == 1 and search.starts > 3:
        yield Note(
            "starts_disagree",
            "warning",
            f"Only 1 of {search.starts} starts reached the best objective; a better one may be "
            "missed. Take a simpler law, or (in Python) raise starts=.",
        )
    names = fit.law.names
    for theta, value in zip(optima.theta[1:], optima.value[1:], strict=True):
        if value <= fit.objective_value * (1 + RIVAL):
            other = to_natural(theta, fit.law.parameters)
            shown = ", ".join(f"{n} {v:.4g}" for n, v in zip(names, other, strict=True))
            yield Note(
                "rival_optimum",
                "warning",
                f"Another optimum is within {RIVAL:.0%} of the best objective: {shown}. The data "
                "hardly tell the two apart.",
            )
            break
    if search.resample_agreement < 0.5:
        yield Note(
            "resamples_disagree",
            "info",
            f"In {1 - search.resample_agreement:.0%} of the resamples two starts ended at "
            "different optima; the better one is used.",
        )


def _bound_notes(fit: Fit) -> Iterator[Note]:
    problem = fit.problem
    for k, parameter in enumerate(fit.law.parameters):
        if parameter.fixed:
            continue
        at_lower = fit.theta[k] <= problem.lower[k]
        at_upper = fit.theta[k] >= problem.upper[k]
        if at_lower and parameter.name == fit.law.irreducible and parameter.lower == 0:
            yield Note(
                "constant_at_zero",
                "warning",
                f"The irreducible loss {parameter.name} is exactly 0: the runs show no floor yet. "
                "A forecast far out has nothing to level off at.",
            )
        elif at_lower or at_upper:
            bound = parameter.lower if at_lower else parameter.upper
            yield Note(
                "parameter_at_bound",
                "error",
                f"{parameter.name} is at its bound {bound:g}: the law does not describe these "
                "runs as it stands. Take another law, or other bounds.",
            )
        elif parameter.log and parameter.name in fit.law.model.linear and _vanishes(fit, k):
            yield Note(
                "term_vanishes",
                "error",
                f"The term of {parameter.name} has shrunk to nothing: the loss does not fall the "
                "way this law says (or the sign in the formula is wrong). Drop the term.",
            )


def _vanishes(fit: Fit, k: int) -> bool:
    without = fit.theta.copy()
    without[k] = -700.0
    both = fit.law.model.value(np.stack([fit.theta, without]), fit.scales)
    return bool(np.max(np.abs(both[0] - both[1]) / np.abs(both[0])) < 1e-6)


def _range_notes(fit: Fit) -> Iterator[Note]:
    decades = {name: np.log10(scale.max() / scale.min()) for name, scale in fit.scales.items()}
    for name, width in decades.items():
        if width < 1:
            yield Note(
                "short_range",
                "warning",
                f"{name} spans {width:.2f} decades; below one decade exponents are hard to tell. "
                "Add smaller or larger runs"
                + (", or tie the exponents (law 'chinchilla_tied')." if len(decades) > 1 else "."),
            )
    if len(fit.scales) == 2:
        logs = [np.log(scale) for scale in fit.scales.values()]
        if min(decades.values()) > 0 and abs(np.corrcoef(*logs)[0, 1]) > 0.98:
            yield Note(
                "scales_move_together",
                "warning",
                f"{' and '.join(fit.scales)} move together (correlation above 0.98), so their "
                "exponents cannot be told apart. Vary one at a fixed value of the other.",
            )
    needed = 2 * fit.law.n_free
    if fit.n_clusters < needed:
        yield Note(
            "few_configurations",
            "warning",
            f"{fit.n_clusters} different configurations for {fit.law.n_free} parameters; below "
            f"{needed} intervals tend to be too narrow even with the correction made.",
        )


def _identification_notes(fit: Fit) -> Iterator[Note]:
    if fit.search.condition > TOO_SINGULAR:
        yield Note(
            "ill_conditioned",
            "error",
            f"The fit is nearly singular (condition number {fit.search.condition:.1e}): some "
            "combination of parameters is not determined. Take a law with fewer parameters.",
        )
    if not len(fit.draws):
        return
    for parameter in fit.law.parameters:
        interval = fit.interval(parameter.name)
        if parameter.name in fit.law.model.linear or parameter.log or parameter.lower < 0:
            continue
        if interval.upper > 4 * max(interval.lower, 1e-300):
            yield Note(
                "weakly_identified",
                "warning",
                f"The exponent {parameter.name} is known only to {interval}. Predictions inside "
                "the data are safe, far ones are not.",
            )


def sensitivity_table(fit: Fit) -> pd.DataFrame:
    """Return the parameters of the law under other objectives and without the worst rows.

    The last column is the loss predicted one decade beyond the largest run in every scale.
    """
    names, found = ["as fitted"], [fit.theta[None]]
    for name in ("log_squares", "squares"):
        if name != fit.objective.name and (name == "squares" or (fit.loss > 0).all()):
            objective = Objective(name, None, fit.objective.overestimate_weight)
            other = replace(fit.problem, objective=objective)
            names.append(f"objective {name}")
            found.append(solve(other, fit.theta[None], fit.weights).theta)
    counts = [count for count in DROPPED if len(fit.loss) - count > 2 * fit.law.n_free]
    if counts and len(fit.loss) <= MOST_ROWS:
        worst = np.argsort(-np.abs(fit.residuals) * (fit.weights > 0), kind="stable")
        weights = np.repeat(fit.weights[None], len(counts), axis=0)
        for row, count in zip(weights, counts, strict=True):
            row[worst[:count]] = 0.0
        names += [f"without the {count} worst row(s)" for count in counts]
        starts = np.repeat(fit.theta[None], len(counts), axis=0)
        found.append(solve(fit.problem, starts, weights).theta)
    theta = np.concatenate(found)
    beyond = {name: np.array([10 * scale.max()]) for name, scale in fit.scales.items()}
    table = pd.DataFrame(to_natural(theta, fit.law.parameters), columns=list(fit.law.names))
    table.insert(0, "variant", names)
    return table.assign(loss_one_decade_on=fit.law.model.value(theta, beyond)[:, 0])


def _sensitivity_notes(fit: Fit) -> Iterator[Note]:
    if not len(fit.draws):
        return
    beyond = pd.DataFrame({name: [10 * scale.max()] for name, scale in fit.scales.items()})
    row = fit.predict(beyond).table.iloc[0]
    far = fit.sensitivity["loss_one_decade_on"]
    outside = (far < row["ci_lower"]) | (far > row["ci_upper"])
    if outside.any():
        listed = "; ".join(
            f"{variant}: {value:.4g}"
            for variant, value in zip(
                fit.sensitivity["variant"][outside], far[outside], strict=True
            )
        )
        yield Note(
            "depends_on_choices",
            "warning",
            f"One decade beyond the data the law says {row['predicted']:.4g} "
            f"[{row['ci_lower']:.4g}, {row['ci_upper']:.4g}], but other choices leave that "
            f"interval ({listed}). All choices are in the field 'sensitivity' of -o fit.json, in "
            "Python fit.sensitivity.",
        )


def _replicate_notes(fit: Fit) -> Iterator[Note]:
    """Runs of one configuration tell the noise; a law that misses by more has the wrong shape."""
    scales = np.stack(list(fit.scales.values()))
    _, place, count = np.unique(scales, axis=1, return_inverse=True, return_counts=True)
    spare = len(fit.loss) - len(count)
    if spare < FEWEST_REPLICATES or fit.noise == 0:
        return
    loss = np.log(fit.loss) if fit.objective.on_log else fit.loss
    place = place.ravel()
    centred = loss - (np.bincount(place, loss) / count)[place]
    pure = float(np.sqrt(np.sum(centred**2) / spare))
    if fit.noise > 2 * pure:
        unit = (f"{pure:.2%}", f"{fit.noise:.2%}") if fit.objective.on_log else (
            f"{pure:.3g}", f"{fit.noise:.3g}"
        )  # fmt: skip
        yield Note(
            "lack_of_fit",
            "warning",
            f"Runs of the same configuration differ by {unit[0]}, but the law misses by {unit[1]}: "
            "it has the wrong shape for these runs. Leave out the smallest, or try another law.",
        )


def _shape_notes(fit: Fit) -> Iterator[Note]:
    """Residuals that wander along a scale show that the law has the wrong shape."""
    if len(fit.scales) > 1 or fit.n_clusters < 10 or fit.noise == 0:
        return
    order = np.argsort(next(iter(fit.scales.values())), kind="stable")
    bound = OUTLIER * fit.noise
    wave = np.clip(fit.residuals[order], -bound, bound)
    together = float(np.sum(wave[1:] * wave[:-1]) / np.sum(wave**2))
    if together > WANDERING:
        yield Note(
            "lack_of_fit",
            "warning",
            f"Neighbouring residuals move together (correlation {together:.2f}): the law has the "
            "wrong shape for these runs, and its intervals are too narrow. Try a law with a bend "
            "('shifted_power', 'm4', 'bnsl1'), or leave out the smallest runs.",
        )
