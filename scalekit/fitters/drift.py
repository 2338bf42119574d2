"""What a law gets wrong beyond its data, measured on the data: forecasts from smaller runs.

A resample shows how the fit moves with noise; it holds the law to be right. So the law is fitted
to the smaller runs only and asked for the larger ones, from several origins. Where it misses by
more than its own uncertainty and the noise explain, the excess is taken as an unknown change of
slope in log-log, growing with the distance beyond the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scalekit.fitters.fitted import Fit
from scalekit.fitters.intervals import covariance
from scalekit.fitters.solver import solve

ORIGINS = 8
DRAWS = 64


def drift_scale(fits: Sequence[Fit], along: str) -> float:
    """Return the standard deviation of the change of slope beyond the data, pooled over systems.

    Sum over origins and held-out runs of (error^2 - variance explained) / sum of distance^2, with
    distances in log scale from the origin; 0 where the law forecasts as well as it says.
    """
    excess, reach = 0.0, 0.0
    for fit in fits:
        if along not in fit.scales or len(fit.law.scales) > 1:
            continue
        for error, variance, distance in _forecasts(fit, np.asarray(fit.scales[along])):
            excess += float((error**2 - variance).sum())
            reach += float((distance**2).sum())
    return float(np.sqrt(max(excess, 0.0) / reach)) if reach else 0.0


def _forecasts(fit: Fit, x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return errors, explained variances and log distances of held-out runs, by origin."""
    places = np.unique(x)
    fewest = len(fit.theta) + 1
    if len(places) <= fewest:
        return []
    ends = np.unique(np.linspace(fewest, len(places) - 1, ORIGINS).round().astype(int)) - 1
    used = np.array([x <= places[end] for end in ends])
    weights = fit.weights * used
    found = solve(fit.problem, np.repeat(fit.theta[None], len(ends), axis=0), weights)
    predicted = fit.law.model.value(found.theta, fit.scales)
    rng = np.random.default_rng(0)  # of a numerical integral; no result hangs on its seed
    forecasts = []
    for k, end in enumerate(ends):
        held = ~used[k]
        part = replace(
            fit,
            scales={name: scale[~held] for name, scale in fit.scales.items()},
            loss=fit.loss[~held], weights=fit.weights[~held], clusters=fit.clusters[~held],
        )  # fmt: skip
        matrix = covariance(part.problem, part.weights, found.theta[k], part.clusters)
        values, vectors = np.linalg.eigh(matrix)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        moved = found.theta[k] + rng.standard_normal((DRAWS, len(root))) @ root.T
        moved = np.clip(moved, fit.problem.lower, fit.problem.upper)
        with np.errstate(all="ignore"):
            spread = np.log(fit.law.model.value(moved, {n: s[held] for n, s in fit.scales.items()}))
            error = np.log(fit.loss[held]) - np.log(predicted[k, held])
        explained = np.nanvar(spread, axis=0) + fit.noise**2
        good = np.isfinite(error) & np.isfinite(explained)
        distance = np.log(x[held] / places[end])
        forecasts.append((error[good], explained[good], distance[good]))
    return forecasts
