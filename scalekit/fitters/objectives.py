"""Objectives: what a fit makes small, as a function of one residual.

A residual is `log(observed) - log(predicted)` for the objectives on the log scale and
`observed - predicted` for `squares`. Each objective is a convex function of it with its first
and second derivative. The reported value is the weighted sum over the rows (not the mean, whose
small gradients stop optimisers early).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalekit.errors import InputError, did_you_mean

OBJECTIVES = ("huber_log", "log_squares", "squares", "absolute_log")
SMALLEST_DELTA = 1e-6  # of `absolute_log`: its kink is rounded at this size so that it has a slope


@dataclass(frozen=True)
class Objective:
    """A choice of objective.

    `name` is one of `OBJECTIVES`; `delta` is where Huber's function turns from squares to
    absolute values (Hoffmann et al. 2022 use 1e-3, None ties it to the noise);
    `overestimate_weight` above 1 makes an observation above the curve cost less than one below
    it: under-tuned runs lie above what the recipe can reach.
    """

    name: str = "huber_log"
    delta: float | None = None
    overestimate_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in OBJECTIVES:
            raise InputError(
                f"There is no objective '{self.name}'. {did_you_mean(self.name, OBJECTIVES)}"
            )
        if self.delta is not None and not (np.isfinite(self.delta) and self.delta > 0):
            raise InputError(f"delta must be a positive number or None; got {self.delta}.")
        if not (np.isfinite(self.overestimate_weight) and self.overestimate_weight > 0):
            raise InputError(
                f"overestimate_weight must be a positive number; got {self.overestimate_weight}."
            )

    @property
    def on_log(self) -> bool:
        """True where residuals are differences of logarithms."""
        return self.name != "squares"

    @property
    def needs_delta(self) -> bool:
        """True for Huber's function with a delta still to be tied to the noise."""
        return self.name == "huber_log" and self.delta is None

    @property
    def knee(self) -> float:
        """Where squares turn into absolute values; infinite for plain squares."""
        if self.name == "huber_log":
            return np.inf if self.delta is None else self.delta
        return SMALLEST_DELTA if self.name == "absolute_log" else np.inf

    def with_delta(self, delta: float) -> Objective:
        """Return the same objective with `delta` given."""
        return replace(self, delta=float(delta))

    def side(self, residual: np.ndarray) -> np.ndarray | float:
        """Return the factor for each residual's sign (1 where the objective is symmetric).

        A negative residual is a prediction above the observation: an overestimate.
        """
        if self.overestimate_weight == 1.0:
            return 1.0
        return np.where(residual < 0, self.overestimate_weight, 1.0)

    def rho(self, residual: np.ndarray) -> np.ndarray:
        """Return the objective of each residual."""
        knee = self.knee
        size = np.abs(residual)
        if np.isinf(knee):
            value = 0.5 * size * size
        else:
            inside = np.minimum(size, knee)
            value = inside * (size - 0.5 * inside)
            if self.name == "absolute_log":
                value /= knee
        return value * self.side(residual)

    def slopes(self, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the first derivative, the second, and the majorising curvature psi/residual."""
        knee = self.knee
        if np.isinf(knee):
            psi, inner, curvature = residual, np.ones_like(residual), np.ones_like(residual)
        else:
            size = np.abs(residual)
            psi = np.clip(residual, -knee, knee)
            inner = (size <= knee).astype(float)
            curvature = knee / np.maximum(size, knee)
            if self.name == "absolute_log":
                psi, inner, curvature = psi / knee, inner / knee, curvature / knee
        side = self.side(residual)
        return psi * side, inner * side, curvature * side

    def describe(self) -> str:
        """Return the objective in words, for summaries."""
        words = {
            "huber_log": f"Huber on log loss, delta {self.delta:.3g}"
            if self.delta
            else "Huber on log loss",
            "log_squares": "squares of log loss",
            "squares": "squares of the loss",
            "absolute_log": "absolute log loss",
        }[self.name]
        if self.overestimate_weight != 1.0:
            words += f", overestimates weighted {self.overestimate_weight:g}"
        return words
