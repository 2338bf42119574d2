"""What a law gets wrong beyond its data, measured on the data: forecasts from smaller runs.

A resample shows how the fit moves with noise; it holds the law to be right. So the law is fitted
to the smaller runs only and asked for the larger ones, from several origins. Where it misses by
more than its own uncertainty and the noise explain, the excess is taken as an unknown change of
slope in log-log, growing with the distance beyond the data. What the law misses in the same way
for all systems is told apart from what it misses for each, since only the latter moves a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scalekit.fitters.fitted import Fit, robust_deviation
from scalekit.fitters.intervals import covariance, small_sample_factor
from scalekit.fitters.solver import solve

ORIGINS = 8
ITERATIONS = 60  # of the refits: a valley that is still being followed then predicts the same
DRAWS = 64


@dataclass(frozen=True)
class Drift:
    """Standard deviations of the change of slope beyond the data: common to all systems, own."""

    common: float
    own: float

    def draw(self, systems: int, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return changes of slope, (systems, draws)."""
        shared = self.common * rng.standard_normal((1, draws))
        return np.asarray(shared + self.own * rng.standard_normal((systems, draws)))


@dataclass(frozen=True)
class _Forecast:
    """Errors of log loss of the runs held out beyond one origin, and their log distances."""

    error: np.ndarray
    explained: np.ndarray
    distance: np.ndarray

    @property
    def slope(self) -> float:
        """The change of slope that fits the errors best."""
        return float((self.error * self.distance).sum() / (self.distance**2).sum())


Forecasts = list[dict[float, _Forecast]]  # of each system, by origin


def forecast_larger(fits: Sequence[Fit], along: str) -> Forecasts:
    """Return what each system's smaller runs say about its larger ones, from common origins."""
    if any(fit.law.scales != (along,) for fit in fits):
        return [{} for _ in fits]
    origins = _origins(fits, along)
    return [_forecasts(fit, origins) for fit in fits]


def measure_drift(forecasts: Forecasts) -> Drift:
    """Return how much the slope of the systems changes beyond an origin, more than explained.

    The variance of one system's change is the sum over origins and held-out runs of (error^2 -
    variance explained) over the sum of distance^2; the common part is the mean product of two
    systems' changes from the same origin, in which independent noise cancels.
    """
    excess = reach = 0.0
    for row in forecasts:
        for forecast in row.values():
            excess += float((forecast.error**2 - forecast.explained).sum())
            reach += float((forecast.distance**2).sum())
    variance = max(excess, 0.0) / reach if reach else 0.0
    products = [
        one[origin].slope * other[origin].slope
        for k, one in enumerate(forecasts)
        for other in forecasts[k + 1 :]
        for origin in one.keys() & other.keys()
    ]
    common = float(np.clip(np.mean(products), 0.0, variance)) if products else 0.0
    return Drift(float(np.sqrt(common)), float(np.sqrt(variance - common)))


def _origins(fits: Sequence[Fit], along: str) -> np.ndarray:
    """Return scales from which every system can be forecast, at most `ORIGINS`."""
    places = np.unique(np.concatenate([fit.scales[along] for fit in fits]))
    fewest = len(fits[0].theta) + 1
    low = max(np.sort(np.unique(fit.scales[along]))[:fewest][-1] for fit in fits)
    high = min(fit.scales[along].max() for fit in fits)
    places = places[(places >= low) & (places < high)]
    return places[np.unique(np.linspace(0, len(places) - 1, ORIGINS).round().astype(int))] if (
        len(places)) else places  # fmt: skip


def _forecasts(fit: Fit, origins: np.ndarray) -> dict[float, _Forecast]:
    """Return the forecasts of the runs beyond each origin, from those up to it."""
    if not len(origins):
        return {}
    x = next(iter(fit.scales.values()))
    used = x <= origins[:, None]
    starts = np.repeat(fit.theta[None], len(origins), axis=0)
    found = solve(fit.problem, starts, fit.weights * used, max_iterations=ITERATIONS)
    with np.errstate(all="ignore"):
        errors = np.log(fit.loss) - np.log(fit.law.model.value(found.theta, fit.scales))
    forecasts = {}
    for k, origin in enumerate(origins):
        held = ~used[k]
        noise = robust_deviation(errors[k, ~held]) * small_sample_factor(
            len(np.unique(x[~held])), len(fit.theta)
        )
        explained = _variance(fit, found.theta[k], used[k]) + noise**2
        distance = np.log(x[held] / x[~held].max())
        error = errors[k, held]
        good = np.isfinite(error) & np.isfinite(explained) & (distance > 0)
        if good.any():
            forecasts[float(origin)] = _Forecast(error[good], explained[good], distance[good])
    return forecasts


def _variance(fit: Fit, theta: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the variance of the log loss forecast at the rows that were not used."""
    _, clusters = np.unique(fit.clusters[used], return_inverse=True)
    part = replace(
        fit, scales={name: scale[used] for name, scale in fit.scales.items()},
        loss=fit.loss[used], weights=fit.weights[used], clusters=clusters,
    )  # fmt: skip
    matrix = covariance(part.problem, part.weights, theta, clusters)
    values, vectors = np.linalg.eigh(matrix)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    rng = np.random.default_rng(0)  # points of an integral; results do not hang on this seed
    moved = theta + rng.standard_normal((DRAWS, len(theta))) @ root.T
    moved = np.clip(moved, fit.problem.lower, fit.problem.upper)
    rest = {name: scale[~used] for name, scale in fit.scales.items()}
    with np.errstate(all="ignore"):
        return np.asarray(np.var(np.log(fit.law.model.value(moved, rest)), axis=0))
