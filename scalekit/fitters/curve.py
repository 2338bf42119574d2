"""A system's loss along one scale, in every joint draw of every law."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from scalekit.errors import InputError
from scalekit.fitters.allocation import Cost, allocate, data_scale
from scalekit.fitters.fitted import Fit


@dataclass(frozen=True, eq=False)
class Curve:
    """The log loss of fitted laws along `along`, with everything that is unsure about it.

    A draw of the curve is a draw of the parameters of one law, spread about its estimate by
    Student's factor for few runs, plus what the law may get wrong beyond the data: a change of
    slope in log-log, `drift` (draws,), that sets in at `reach`. The draws of `fit` come first,
    then those of each of the `others`. A law of params and tokens is followed along its
    compute-optimal frontier. `runs` holds the scales of all runs, also of those that the curve
    does not follow (default: those that it does).
    """

    fit: Fit
    along: str
    drift: np.ndarray = field(default_factory=lambda: np.zeros(0))
    others: tuple[Fit, ...] = ()
    runs: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not (len(self.fit.law.scales) == 1 and self.fit.law.scales[0] == self.along):
            if self.along != "flops":
                raise InputError(
                    f"The law '{self.fit.law.name}' depends on {', '.join(self.fit.law.scales)}; "
                    f"it can be compared along flops (at each budget's best sizes), not along "
                    f"{self.along}. Take a law of one scale, such as 'power_constant'."
                )
            data_scale(self.fit.law)

    @cached_property
    def observed(self) -> np.ndarray:
        """The scale of every run that was used."""
        scales = self.fit.scales
        if self.along in scales:
            return np.asarray(scales[self.along])
        return np.asarray(6 * scales["params"] * scales[data_scale(self.fit.law)])

    @property
    def reach(self) -> float:
        """The largest scale that the curve follows: what lies beyond is extrapolated."""
        return float(self.observed.max())

    @property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest scale of all runs."""
        scales = self.observed if self.runs is None else self.runs
        return float(scales.min()), float(scales.max())

    @property
    def noise(self) -> float:
        """The deviation of log loss of single runs about the curve."""
        return noise_of_logs(self.fit)

    @property
    def fits(self) -> tuple[Fit, ...]:
        """The fit of every law."""
        return (self.fit, *self.others)

    def estimates(self, at: np.ndarray) -> np.ndarray:
        """Return the log loss of each law's fit at the scales `at`, (laws, scales)."""
        scales = np.asarray(at, dtype=float)
        return np.stack([self._log_loss(fit, fit.theta[None], scales)[0] for fit in self.fits])

    def estimate(self, at: np.ndarray) -> np.ndarray:
        """Return the log loss of the fits themselves at the scales `at`: the mean over laws."""
        return np.asarray(self.estimates(at).mean(axis=0))

    def draws(self, at: np.ndarray) -> np.ndarray:
        """Return the log loss at the scales `at` in every draw, (draws, scales)."""
        at = np.asarray(at, dtype=float)
        parts = [
            centre + _widening(fit) * (self._log_loss(fit, fit.draws, at) - centre)
            for fit, centre in zip(self.fits, self.estimates(at), strict=True)
        ]
        spread = np.concatenate(parts)
        if self.drift.size:
            spread = spread + np.outer(self.drift, np.maximum(np.log(at / self.reach), 0.0))
        return spread

    def run_draws(self, scales: dict[str, float], at: float) -> np.ndarray:
        """Return the log loss of one possible run in every draw; `at` is its place on `along`."""
        rows = {name: np.array([scales[name]]) for name in self.fit.law.scales}
        parts = []
        for fit in self.fits:
            with np.errstate(all="ignore"):
                centre = np.log(fit.law.model.value(fit.theta[None], rows)[0, 0])
                found = np.log(fit.law.model.value(fit.draws, rows)[:, 0])
            parts.append(centre + _widening(fit) * (found - centre))
        spread = np.concatenate(parts)
        if self.drift.size:
            spread = spread + self.drift * max(np.log(at / self.reach), 0.0)
        return np.asarray(spread)

    def _log_loss(self, fit: Fit, theta: np.ndarray, at: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            if self.along in fit.law.scales:
                return np.log(fit.law.model.value(theta, {self.along: at}))
            return np.log(allocate(fit.law, theta, at, Cost()).loss)


def noise_of_logs(fit: Fit) -> float:
    """Return the deviation of log loss of single runs, whatever the objective measures."""
    return fit.noise if fit.objective.on_log else fit.noise / float(np.median(fit.loss))


def _widening(fit: Fit) -> float:
    return fit.widening(fit.confidence_level)
