"""The result of a fit: a law with estimated parameters, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.fitters.fit_store import arrays_of, fields_of, payload_of
from scalekit.fitters.intervals import percentile_interval, small_sample_factor, student_factor
from scalekit.fitters.law import Law
from scalekit.fitters.model import to_natural
from scalekit.fitters.objectives import Objective
from scalekit.fitters.prediction import (
    Prediction,
    asked_scales,
    describe_predictions,
    predict,
)
from scalekit.fitters.problem import Problem
from scalekit.notes import Note
from scalekit.results import Interval, Provenance, Result, check_level, with_notes
from scalekit.units import format_quantity, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.fitters.frontier_result import Frontier
    from scalekit.fitters.profiles import Profile


@dataclass(frozen=True)
class Search:
    """How the optimum was found: starts, how many agree on it, whether the solver converged."""

    starts: int
    agreeing: int
    converged: bool
    condition: float
    resample_agreement: float = 1.0


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Result):
    """A law with estimated parameters.

    `theta` (parameters,) and `draws` (resamples, parameters) are in the solver's coordinates
    (logarithms of positive parameters); `params` and `samples` give them as they stand in the
    formula. `scales`, `loss` and `weights`, of shape (rows,), are the data that were used,
    `clusters` says which rows belong together. `sensitivity` is a table of the parameters under
    other objectives and without the worst rows; `asked` a table of predictions.
    """

    law: Law
    theta: np.ndarray
    objective: Objective
    objective_value: float
    scales: Mapping[str, np.ndarray]
    loss: np.ndarray
    weights: np.ndarray
    clusters: np.ndarray
    draws: np.ndarray
    interval_method: str
    confidence_level: float
    search: Search
    sensitivity: pd.DataFrame
    notes: tuple[Note, ...]
    provenance: Provenance
    asked: pd.DataFrame | None = field(default=None)
    kind: ClassVar[str] = "fit"

    @property
    def values(self) -> dict[str, float]:
        """The parameters of the law as plain numbers, by name."""
        natural = to_natural(self.theta, self.law.parameters)
        return dict(zip(self.law.names, natural.tolist(), strict=True))

    @property
    def params(self) -> pd.Series:
        """The parameters of the law, by name."""
        return pd.Series(self.values)

    @property
    def samples(self) -> pd.DataFrame:
        """The draws of the parameters, one row a resample."""
        return pd.DataFrame(
            to_natural(self.draws, self.law.parameters), columns=list(self.law.names)
        )

    @property
    def n_clusters(self) -> int:
        """The number of independent pieces of data: configurations or runs."""
        return int(self.clusters.max()) + 1

    @cached_property
    def residuals(self) -> np.ndarray:
        """Observed against fitted, per row: log ratios, or differences for `squares`."""
        return self.problem.residual(self.theta[None])[0]

    @property
    def scaled_residuals(self) -> np.ndarray:
        """The residuals, widened for the parameters that the fit has used up."""
        return self.residuals * small_sample_factor(self.n_clusters, self.law.n_free)

    @property
    def noise(self) -> float:
        """The robust standard deviation of single runs about the curve (of log loss, as a rule)."""
        return robust_deviation(self.residuals, self.law.n_free)

    @property
    def problem(self) -> Problem:
        """The data and the objective, as the solver takes them."""
        return Problem.of(self.law.model, self.scales, self.loss, self.objective)

    def widening(self, confidence_level: float) -> float:
        """Return the factor by which few runs widen percentile intervals (Student's quantile)."""
        return student_factor(self.n_clusters, self.law.n_free, confidence_level)

    def interval(self, name: str, confidence_level: float | None = None) -> Interval:
        """Return the interval of one parameter; raises InputError for a name that is none.

        Percentiles of the draws about the estimate, widened by Student's factor for few runs and
        kept inside the parameter's bounds.
        """
        if name not in self.law.names:
            raise InputError(
                f"The law '{self.law.name}' has no parameter '{name}'. "
                f"{did_you_mean(name, self.law.names)}"
            )
        level = check_level(self.confidence_level if confidence_level is None else confidence_level)
        k = self.law.names.index(name)
        low, high = percentile_interval(
            self.draws[:, k], self.theta[k], level, self.widening(level)
        )
        parameter = self.law.parameters[k]
        if parameter.fixed:
            return Interval(parameter.lower, parameter.upper, level, "held fixed")
        with np.errstate(over="ignore"):  # a parameter that the runs leave open ends at infinity
            ends = np.exp([low, high]) if parameter.log else np.array([low, high])
        lower, upper = np.clip(ends, parameter.lower, parameter.upper)
        return Interval(float(lower), float(upper), level, self.interval_method)

    def predict(
        self,
        at: pd.DataFrame | Mapping[str, Any] | None = None,
        *,
        confidence_level: float | None = None,
        interval: str = "parameters",
        **scales: Any,
    ) -> Prediction:
        """Return the loss at scales, with the intervals of the mean and of one new run.

        Give a table with the law's scales as columns, or the scales as keywords, which broadcast
        (`fit.predict(params=70e9, tokens=[1.4e12, 3e12])`); of params, tokens and flops one may
        be left out and follows from C = 6ND. With interval="observation" both intervals are those
        of roll-outs of this law on these runs: what its forecasts were worth from earlier on,
        instead of what the parameters alone leave open. Raises ColumnNotFoundError where a scale
        is missing, InputError where there are too few runs for a roll-out.
        """
        level = check_level(self.confidence_level if confidence_level is None else confidence_level)
        found = predict(self, asked_scales(self, at, scales), level)
        if interval == "observation":
            from scalekit.fitters.roll_out_intervals import with_roll_out_intervals

            return with_roll_out_intervals(self, found)
        if interval != "parameters":
            raise InputError(
                f"There is no interval '{interval}'. Say 'parameters' (the fit's own draws) or "
                "'observation' (errors of roll-outs)."
            )
        return found

    def profile(self, name: str, points: int = 41) -> Profile:
        """Return the profile of the objective over one parameter: the others refitted at each."""
        from scalekit.fitters.profiles import profile

        return profile(self, name, points)

    def frontier(self, flops: float | Sequence[float], **constraints: Any) -> Frontier:
        """Return how to spend these budgets best; see `scalekit.fitters.frontier.frontier`."""
        from scalekit.fitters.frontier import frontier

        return frontier(self, flops, **constraints)

    def with_predictions(
        self, at: pd.DataFrame | Mapping[str, Any] | None = None, **scales: Any
    ) -> Fit:
        """Return the fit with predictions at these scales in its table, summary and JSON."""
        found = self.predict(at, **scales)
        return replace(self, asked=found.table, notes=(*self.notes, *found.notes))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a parameter: estimate, interval, method."""
        rows = []
        for name, value in self.params.items():
            interval = self.interval(str(name))
            rows.append((name, value, interval.lower, interval.upper, interval.method))
        return pd.DataFrame(
            rows, columns=["parameter", "estimate", "ci_lower", "ci_upper", "method"]
        )

    def summary(self) -> str:
        """Return the asked predictions, the law, how it was fitted, the parameters, the notes."""
        left_out = sum(self.provenance.rows_left_out.values())
        lines = []
        if self.asked is not None:
            lines += [describe_predictions(self.asked, self.confidence_level), ""]
        lines += [
            f"{self.law.name}: loss = {self.law.formula}"
            if not self.law.between
            else f"{self.law.name}: 0 = {self.law.formula}",
            f"{len(self.loss)} rows{f' ({left_out} left out)' if left_out else ''} of "
            f"{self.provenance.source}; {self.objective.describe()}; objective "
            f"{self.objective_value:.7g}; {self.search.agreeing} of {self.search.starts} starts "
            "agree",
            "",
            _parameter_table(self.to_frame(), self.confidence_level),
            "",
            f"intervals: {self.interval_method}; scatter of single runs: {self._scatter()}",
        ]
        return with_notes("\n".join(lines), self.notes)

    def _scatter(self) -> str:
        return f"{self.noise:.2%} of the loss" if self.objective.on_log else f"{self.noise:.3g}"

    def payload(self) -> dict[str, Any]:
        """Return the fit as plain values."""
        return payload_of(self)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return draws and data, which `save` keeps beside the JSON."""
        return arrays_of(self)

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Fit:
        """Return the fit that `save` wrote."""
        return cls(search=Search(**values["search"]), **fields_of(values, arrays))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the runs, the fitted curve with both intervals, and the asked predictions."""
        from scalekit.fitters.plots import plot_fit

        return plot_fit(self, ax)


def robust_deviation(values: np.ndarray, spent: int = 0) -> float:
    """Return the standard deviation of `values` about zero by their median size (MAD).

    A nearly absolute objective passes through as many points as it has parameters; the `spent`
    smallest residuals therefore do not count (Holland & Welsch 1977).
    """
    sizes = np.sort(np.abs(values))
    return float(1.4826 * np.median(sizes[min(spent, len(sizes) - 1) :]))


def _parameter_table(table: pd.DataFrame, confidence_level: float) -> str:
    lines = [f"{'parameter':<10} {'estimate':>12}  {percent(confidence_level)} interval"]
    for row in table.to_dict("records"):
        shown = f"[{_short(row['ci_lower'])}, {_short(row['ci_upper'])}]"
        shown = shown if np.isfinite(row["ci_lower"]) else "none computed"
        shown = row["method"] if row["method"] == "held fixed" else shown
        lines.append(f"{row['parameter']:<10} {_short(row['estimate']):>12}  {shown}")
    return "\n".join(lines)


def _short(value: float) -> str:
    return format_quantity(value, 5) if abs(value) >= 1e6 else f"{value:.5g}"
