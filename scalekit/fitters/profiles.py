"""The profile of the objective over one parameter: how flat is the valley?

A bootstrap shows how the estimate moves with the data; the profile shows which values the data
cannot tell apart at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.fitters.model import to_natural
from scalekit.fitters.solver import solve
from scalekit.fitters.starts import propose_starts
from scalekit.notes import Note
from scalekit.results import Interval, Provenance, Result, with_notes
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.fitters.fitted import Fit

FURTHEST_LOG = np.log(1e4)  # each side, of a positive parameter: four decades
FURTHEST = 3.0  # each side, of any other parameter, in multiples of it (or of 1)


@dataclass(frozen=True, eq=False, repr=False)
class Profile(Result):
    """The objective over values of one parameter, all other parameters refitted at each.

    `table` has the columns `value`, `objective` and the other parameters. `interval` holds the
    values whose objective lies below `threshold`; an end at the edge of the table is open.
    """

    name: str
    table: pd.DataFrame
    estimate: float
    threshold: float
    interval: Interval
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "profile"

    def to_frame(self) -> pd.DataFrame:
        """Return the profile as a table."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return the interval and the curve."""
        estimate = {
            "estimate": self.estimate,
            "ci_lower": self.interval.lower,
            "ci_upper": self.interval.upper,
        }
        return {
            "params": {self.name: estimate},
            "threshold": self.threshold,
            "confidence_level": self.interval.confidence_level,
            "interval_method": self.interval.method,
            "table": self.table.to_dict("records"),
        }

    def summary(self) -> str:
        """Return the interval in a sentence."""
        text = (
            f"{self.name} = {self.estimate:.5g}, {percent(self.interval.confidence_level)} profile "
            f"interval {self.interval} (objective below {self.threshold:.6g})"
        )
        return with_notes(text, self.notes)

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Profile:
        """Return the profile that `save` wrote."""
        ((name, entry),) = values["params"].items()
        low = -np.inf if entry["ci_lower"] is None else entry["ci_lower"]
        high = np.inf if entry["ci_upper"] is None else entry["ci_upper"]
        return cls(
            name,
            pd.DataFrame(values["table"]),
            entry["estimate"],
            values["threshold"],
            Interval(low, high, values["confidence_level"], values["interval_method"]),
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the objective over the parameter, with the threshold and the interval."""
        from scalekit.fitters.plots import plot_profile

        return plot_profile(self, ax)


def profile(fit: Fit, name: str, points: int = 41) -> Profile:
    """Return the profile of the objective of `fit` over its parameter `name`.

    The interval is that of the likelihood-ratio test with the scale of robust regression: values
    whose objective exceeds the minimum by less than `chi2 * S / (2 H)`, with S the mean squared
    slope and H the mean curvature of the objective (Huber & Ronchetti 2009, section 7.6).
    """
    from scipy.special import chdtri

    if name not in fit.law.names:
        raise InputError(
            f"The law '{fit.law.name}' has no parameter '{name}'. "
            f"{did_you_mean(name, fit.law.names)}"
        )
    k = fit.law.names.index(name)
    if fit.law.parameters[k].fixed:
        held = fit.law.parameters[k].lower
        raise InputError(f"{name} is held fixed at {held:g}, so it has no profile.")
    level = fit.confidence_level
    psi, inner, _ = fit.objective.slopes(fit.residuals)
    spent = max(len(fit.loss) - fit.law.n_free, 1) / len(fit.loss)
    ratio = np.mean(fit.weights * psi**2) / max(np.mean(fit.weights * inner), 1e-300) / spent
    threshold = fit.objective_value + 0.5 * float(chdtri(1, 1 - level)) * ratio
    grid = _grid(fit, k, threshold, points)
    theta, value = _refit_at(fit, k, grid)
    values = to_natural(theta, fit.law.parameters)
    table = pd.DataFrame({"value": values[:, k], "objective": value}).join(
        pd.DataFrame(values, columns=list(fit.law.names)).drop(columns=name)
    )
    best = min(float(value.min()), fit.objective_value)
    threshold += best - fit.objective_value
    low, high, notes = _ends(fit, k, grid, value, threshold, best)
    ends = to_natural(_row(fit, k, np.array([low, high])), fit.law.parameters)[:, k]
    interval = Interval(float(ends[0]), float(ends[1]), level, "profile of the objective")
    return Profile(
        name, table, float(fit.params[name]), threshold, interval, tuple(notes), fit.provenance
    )


def _row(fit: Fit, k: int, grid: np.ndarray) -> np.ndarray:
    theta = np.repeat(fit.theta[None], len(grid), axis=0)
    theta[:, k] = grid
    return theta


def _refit_at(fit: Fit, k: int, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Refit the other parameters with parameter `k` held at each value of `grid`."""
    problem = fit.problem
    others = propose_starts(problem, fit.weights, 8)
    starts = np.concatenate([fit.theta[None], others])
    lower = np.repeat(problem.lower[None], len(grid) * len(starts), axis=0)
    upper = np.repeat(problem.upper[None], len(grid) * len(starts), axis=0)
    lower[:, k] = upper[:, k] = np.repeat(grid, len(starts))
    held = replace(problem, lower=lower, upper=upper)
    found = solve(held, np.tile(starts, (len(grid), 1)), fit.weights).best_of(len(grid))
    # neighbours' optima as starts, from both ends: the valley is followed, not hoped for
    theta, value = found.theta, found.value
    for _ in range(2):
        for shift in (1, -1):
            start = np.roll(theta, shift, axis=0)
            start[:, k] = grid
            near = solve(
                replace(problem, lower=lower[:: len(starts)], upper=upper[:: len(starts)]),
                start,
                fit.weights,
            )
            better = near.value < value
            theta = np.where(better[:, None], near.theta, theta)
            value = np.minimum(near.value, value)
    return theta, value


def _grid(fit: Fit, k: int, threshold: float, points: int) -> np.ndarray:
    """Return values of parameter `k` that reach past the threshold on both sides, if they can."""
    lower, upper = fit.problem.lower[k], fit.problem.upper[k]
    centre = fit.theta[k]
    draws = fit.draws[:, k] if len(fit.draws) else np.array([centre])
    width = max(float(np.quantile(np.abs(draws - centre), 0.9)), 1e-3 * max(abs(centre), 1.0))
    furthest = FURTHEST_LOG if fit.law.parameters[k].log else FURTHEST * max(abs(centre), 1.0)
    sides: list[float] = []
    for sign, bound in ((-1, lower), (1, upper)):
        reach = np.geomspace(0.5 * width, max(furthest, 8 * width), 20)
        ends = np.clip(centre + sign * reach, lower, upper)
        _, value = _refit_at(fit, k, ends)
        past = np.flatnonzero(value > threshold)
        end = ends[past[0]] if past.size else ends[-1]
        further = np.clip(centre + 1.15 * (end - centre), min(bound, end), max(bound, end))
        sides.append(float(further))
    return np.unique(np.append(np.linspace(sides[0], sides[1], points), centre))


def _ends(
    fit: Fit, k: int, grid: np.ndarray, value: np.ndarray, threshold: float, best: float
) -> tuple[float, float, list[Note]]:
    """Return where the profile crosses the threshold (by linear interpolation), and notes."""
    name, notes = fit.law.names[k], []
    inside = np.flatnonzero(value <= threshold)
    ends = []
    for last, step in ((inside[0], -1), (inside[-1], 1)):
        beyond = last + step
        if not 0 <= beyond < len(grid):
            at_bound = grid[last] in (fit.problem.lower[k], fit.problem.upper[k])
            ends.append(grid[last] if at_bound else step * np.inf)
            if not at_bound:
                side = "above" if step > 0 else "below"
                notes.append(
                    Note(
                        "flat_profile",
                        "warning",
                        f"The data do not bound {name} {side}: the objective stays within the "
                        "threshold as far as it was followed.",
                    )
                )
            continue
        share = (threshold - value[last]) / (value[beyond] - value[last])
        ends.append(grid[last] + share * (grid[beyond] - grid[last]))
    if best < fit.objective_value * (1 - 1e-6):
        notes.append(
            Note(
                "better_optimum",
                "error",
                f"The profile found a lower objective ({best:.8g}) than the fit "
                f"({fit.objective_value:.8g}). Fit again with more starts.",
            )
        )
    return float(ends[0]), float(ends[1]), notes
