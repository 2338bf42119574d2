"""One number for many tasks and few seeds: means, medians and IQM with intervals that cover.

The metrics are those of rliable (Agarwal et al. 2021, arXiv:2108.13264). Its percentile bootstrap
covers 85% instead of 95% at three seeds; here the resampled spread is rescaled by sqrt(n/(n-1))
and a t quantile taken, which covers 92% or more. Everything is one vectorised resampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalekit.errors import InputError, did_you_mean
from scalekit.evals.standard_errors import t_quantile
from scalekit.results import Interval, check_level
from scalekit.seeds import RandomState, as_generator

Array = NDArray[np.float64]


def iqm(scores: ArrayLike) -> Array:
    """Return the mean of the middle half of all scores; (..., runs, tasks) -> (...).

    >>> float(iqm([[1.0, 2.0], [3.0, 100.0]]))
    2.5
    """
    x = np.asarray(scores, dtype=np.float64)
    flat = x.reshape(*x.shape[:-2], -1)
    n = flat.shape[-1]
    cut = int(0.25 * n)
    part = np.partition(flat, [cut, n - cut - 1], axis=-1) if cut else flat
    return np.asarray(part[..., cut : n - cut].mean(axis=-1))


def mean_score(scores: ArrayLike) -> Array:
    """Return the mean over tasks of the mean over runs; (..., runs, tasks) -> (...)."""
    return np.asarray(np.asarray(scores, dtype=np.float64).mean(axis=(-2, -1)))


def median_score(scores: ArrayLike) -> Array:
    """Return the median over tasks of the mean over runs; (..., runs, tasks) -> (...)."""
    return np.asarray(np.median(np.asarray(scores, dtype=np.float64).mean(axis=-2), axis=-1))


def optimality_gap(scores: ArrayLike, target: float = 1.0) -> Array:
    """Return by how much scores fall short of `target` on average; (..., runs, tasks) -> (...)."""
    return np.asarray(target - np.minimum(np.asarray(scores, float), target).mean(axis=(-2, -1)))


METRICS: dict[str, Callable[[ArrayLike], Array]] = {
    "iqm": iqm, "mean": mean_score, "median": median_score, "optimality_gap": optimality_gap,
}  # fmt: skip


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> float:
    """Return the mean over tasks of P(a run of `a` beats one of `b`), ties one half.

    `a` (runs, tasks) and `b` (runs, tasks) have the same tasks.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise InputError(f"Expected (runs, tasks) with the same tasks; got {x.shape}, {y.shape}.")
    return float(((np.sign(x[:, None] - y[None]) + 1) / 2).mean())


@dataclass(frozen=True)
class Aggregate:
    """An aggregate score with its interval over runs; `percentile` is rliable's, for reference."""

    metric: str
    estimate: float
    interval: Interval
    percentile: Interval


def aggregate(
    scores: ArrayLike,
    metric: str = "iqm",
    resamples: int = 2000,
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Aggregate:
    """Return an aggregate of `scores` (runs, tasks) and its interval over runs.

    Runs are resampled within each task (stratified); the same `rng` gives the same interval.
    Raises InputError for one run, NaN values and unknown metrics.
    """
    check_level(confidence_level)
    x = np.asarray(scores, dtype=np.float64)
    if metric not in METRICS:
        raise InputError(f"No aggregate '{metric}'. {did_you_mean(metric, METRICS)}")
    if x.ndim != 2 or len(x) < 2:
        raise InputError(f"Expected scores (runs, tasks) with two runs or more; got {x.shape}.")
    if not np.isfinite(x).all():
        raise InputError("NaN among the scores. Leave out tasks that a run did not finish.")
    n = len(x)
    estimate = float(METRICS[metric](x))
    draws = _resampled(x, METRICS[metric], resamples, as_generator(rng))
    tail = (1 - confidence_level) / 2
    lower, upper = np.quantile(draws, [tail, 1 - tail])
    df = _degrees_of_freedom(x)
    half = float(t_quantile(confidence_level, df)) * float(draws.std()) * np.sqrt(n / (n - 1))
    method = f"stratified bootstrap, {resamples} resamples"
    return Aggregate(
        metric,
        estimate,
        Interval(estimate - half, estimate + half, confidence_level,
                 f"{method}, rescaled, t with {df:.3g} degrees of freedom"),
        Interval(float(lower), float(upper), confidence_level, f"{method}, percentile"),
    )  # fmt: skip


def _resampled(
    x: Array, metric: Callable[[ArrayLike], Array], resamples: int, rng: np.random.Generator
) -> Array:
    n, tasks = x.shape
    by_task = np.ascontiguousarray(x.T).ravel()
    offset = (np.arange(tasks) * n)[None, None, :]
    chunk = max(1, 4_000_000 // x.size)
    parts = []
    for start in range(0, resamples, chunk):
        size = (min(chunk, resamples - start), n, tasks)
        parts.append(metric(by_task[rng.integers(0, n, size) + offset]))
    return np.concatenate(parts)


def _degrees_of_freedom(x: Array) -> float:
    """Return Satterthwaite's degrees of freedom of the mean over tasks of unequal variances."""
    variances = x.var(axis=0, ddof=1)
    total = variances.sum()
    return float(total**2 / (variances**2).sum() * (len(x) - 1)) if total > 0 else len(x) - 1.0
