"""Noise between the checkpoints of one run, and how far it stands in for noise between seeds."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalekit.errors import InputError

Array = NDArray[np.float64]

# Median ratio of the SD between seeds to the SD of the last 5 checkpoints, over 55-60 games of
# Dopamine's Atari runs: 1.63 (Rainbow), 1.79 (C51), 2.05 (DQN), 2.15 (IQN).
STEP_TO_SEED = 1.9
FEWEST_FOR_AUTOCORRELATION = 20
GRID = np.linspace(0, 0.95, 39)


class StepNoise(NamedTuple):
    """Noise of one run's checkpoints: `sd` detrended and corrected, `plain_sd` as published."""

    sd: float
    plain_sd: float
    autocorrelation: float
    n: int


def step_noise(scores: ArrayLike, last: int | None = None) -> StepNoise:
    """Return the noise SD of the last checkpoints `scores` (T,) about their linear trend.

    `sd` has T - 2 degrees of freedom and is corrected for first-order autocorrelation (a smooth
    run looks quieter than it is: at a correlation of .8 the plain SD of 30 points is .84 of the
    true one, of 5 points .48). `plain_sd` is the SD about the mean with ddof 0 (Heineman et al.
    2025). Raises InputError for fewer than four checkpoints.
    """
    y = np.asarray(scores, dtype=np.float64)
    y = y[np.isfinite(y)]
    y = y[-last:] if last else y
    n = len(y)
    if n < 4:
        raise InputError(f"Step noise needs four checkpoints or more; got {n}.")
    t = np.arange(n) - (n - 1) / 2
    residual = y - y.mean() - t * (t @ y) / (t @ t)
    variance = float(residual @ residual) / (n - 2)
    rho = _autocorrelation(residual)
    factor = _expected_share(n, rho)
    return StepNoise(float(np.sqrt(variance / factor)), float(y.std()), rho, n)


def difference_sd(scores: ArrayLike) -> float:
    """Return the noise SD from successive differences of `scores` (T,): sqrt(mean diff^2 / 2).

    It does not see a slow trend of any shape; the mean step is taken out too.
    """
    steps = np.diff(np.asarray(scores, dtype=np.float64))
    if len(steps) < 2:
        raise InputError("Successive differences need three checkpoints or more.")
    return float(steps.std(ddof=1) / np.sqrt(2))


def _autocorrelation(residual: Array) -> float:
    """Return the lag-one autocorrelation, corrected for what detrending took away of it.

    From short traces it cannot be told (its error at 10 points is .3): zero below 20.
    """
    n, total = len(residual), float(residual @ residual)
    if n < FEWEST_FOR_AUTOCORRELATION or total == 0:
        return 0.0
    raw = float(residual[1:] @ residual[:-1]) / total
    return float(np.interp(raw, _expected_autocorrelations(n), GRID))


def _projection(n: int) -> Array:
    t = np.arange(n) - (n - 1) / 2
    return np.eye(n) - 1 / n - np.outer(t, t) / (t @ t)


def _ar1(n: int, rho: float) -> Array:
    return np.asarray(rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))))


def _expected_share(n: int, rho: float) -> float:
    """Return E[residual variance on n - 2 df] / true variance, for AR(1) noise."""
    return float(np.trace(_projection(n) @ _ar1(n, rho)) / (n - 2))


@functools.lru_cache(maxsize=64)
def _expected_autocorrelations(n: int) -> Array:
    """Return the expected raw autocorrelation of n detrended points, for each value of GRID."""
    project = _projection(n)
    covariances = [project @ _ar1(n, rho) @ project for rho in GRID]
    return np.array([np.trace(c, offset=1) / np.trace(c) for c in covariances])
