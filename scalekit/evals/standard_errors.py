"""Standard errors and intervals of one mean: items, clusters, samples, seeds.

Sources: Miller 2024 (arXiv:2411.00640) for items and clusters; Bell and McCaffrey 2002 (Survey
Methodology 28:169) and Imbens and Kolesar 2016 for the small-sample degrees of freedom.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from scalekit.errors import InputError
from scalekit.results import Interval, check_level
from scalekit.seeds import RandomState, as_generator

Array = NDArray[np.float64]


class MeanVariance(NamedTuple):
    """The variance of a mean and its degrees of freedom."""

    variance: float
    df: float


def item_variance(values: ArrayLike, clusters: ArrayLike | None = None) -> MeanVariance:
    """Return the variance of the mean of `values` (N,) over items, clustered where codes are given.

    Clustered: v = k sum_c S_c^2 / (1 - h_c) / N^2 with S_c the sum of residuals of cluster c and
    h_c its share of the items; k makes v unbiased, and the degrees of freedom are Bell and
    McCaffrey's, under a working model whose correlation within clusters is the moment estimate.
    Unlike C/(C-1) with t(C-1), this holds its level for unequal cluster sizes.

    >>> item_variance([0.0, 1.0, 1.0, 1.0]).variance
    0.0625
    """
    y = np.asarray(values, dtype=np.float64)
    n = len(y)
    if n < 2:
        raise InputError(f"A variance over items needs two items; got {n}.")
    if clusters is None:
        return MeanVariance(float(y.var(ddof=1) / n), n - 1.0)
    codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
    size = np.bincount(codes).astype(np.float64)
    if len(size) < 2:
        raise InputError(
            "All items are in one cluster; clustered errors need two clusters. Leave the cluster "
            "column out, or name another."
        )
    residual = y - y.mean()
    sums = np.bincount(codes, residual, len(size))
    share, pairs = size / n, float((size * (size - 1)).sum())
    spread = float((residual**2).sum())
    if pairs == 0 or spread == 0:
        return MeanVariance(spread / (n - 1) / n, n - 1.0)
    rho = float(np.clip((sums @ sums - spread) / pairs / (spread / n), 0.0, 0.99))
    scale, df = _bell_mccaffrey(size, share, rho)
    return MeanVariance(float(scale * (sums**2 / (1 - share)).sum() / n**2), df)


def _bell_mccaffrey(size: Array, share: Array, rho: float) -> tuple[float, float]:
    """Return the factor that makes the variance unbiased, and its degrees of freedom.

    Cluster sums have covariance Om = G diag(v) G', v = N_c (1 - rho) + rho N_c^2 and
    G = I - N_c 1'/N. With A = diag(1/(1-h)): E[S'AS] = tr(A Om), df = tr(A Om)^2 / tr(A Om A Om).
    """
    v = size * (1 - rho) + rho * size**2
    total = v.sum()
    a = 1 / (1 - share)
    # Om = D + L with D = diag(v) and L = total h h' - h v' - v h', so that no matrix is formed
    low_rank = total * share**2 - 2 * share * v
    trace = float(a @ (v + low_rank))
    hh, hv, vv = (a * share) @ share, (a * share) @ v, (a * v) @ v
    square = ((a * v) ** 2).sum() + 2 * (a**2 * v) @ low_rank
    square += total**2 * hh**2 + 2 * hv**2 + 2 * hh * vv - 4 * total * hh * hv
    return float(total / trace), float(trace**2 / square)


def design_effect(values: ArrayLike, clusters: ArrayLike) -> float:
    """Return by how much clusters inflate the variance of the mean over items."""
    clustered, plain = item_variance(values, clusters), item_variance(values)
    return clustered.variance / plain.variance if plain.variance else 1.0


def t_quantile(confidence_level: float, df: ArrayLike) -> Array:
    """Return the two-sided t quantile; df may be infinite."""
    upper = (1 + check_level(confidence_level)) / 2
    df = np.asarray(df, dtype=np.float64)
    finite = np.where(np.isfinite(df), df, 1e12)
    return np.asarray(special.stdtrit(finite, upper), dtype=np.float64)


def mean_interval(values: ArrayLike, confidence_level: float = 0.95) -> Interval:
    """Return the t interval of the mean over seeds (or anything independent) of `values` (n,).

    A percentile bootstrap covers 75% instead of 95% at three seeds; this one covers 95%.
    """
    y = _at_least_two(values)
    half = float(t_quantile(confidence_level, len(y) - 1) * y.std(ddof=1) / np.sqrt(len(y)))
    return Interval(float(y.mean()) - half, float(y.mean()) + half, confidence_level,
                    f"t, {len(y) - 1} degrees of freedom")  # fmt: skip


def sd_interval(values: ArrayLike, confidence_level: float = 0.95) -> Interval:
    """Return the chi-square interval of the standard deviation of `values` (n,)."""
    y = _at_least_two(values)
    lower, upper = sd_factors(len(y) - 1, confidence_level)
    sd = float(y.std(ddof=1))
    return Interval(sd * lower, sd * upper, confidence_level,
                    f"chi-square, {len(y) - 1} degrees of freedom")  # fmt: skip


def sd_factors(df: float, confidence_level: float = 0.95) -> tuple[float, float]:
    """Return what to multiply a standard deviation with `df` degrees of freedom by, both ends."""
    tail = (1 - check_level(confidence_level)) / 2
    lower = np.sqrt(df / special.chdtri(df, tail))
    upper = np.sqrt(df / special.chdtri(df, 1 - tail))
    return float(lower), float(upper)


def _at_least_two(values: ArrayLike) -> Array:
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 1 or len(y) < 2:
        raise InputError(
            f"One seed: an interval over seeds needs two or more; got shape {y.shape}."
        )
    if not np.isfinite(y).all():
        raise InputError(
            f"{int((~np.isfinite(y)).sum())} of {len(y)} values are no finite numbers."
        )
    return y


def wilson_interval(correct: float, n: int, confidence_level: float = 0.95) -> Interval:
    """Return Wilson's interval of a share; right for few items and near 0 or 1.

    >>> print(wilson_interval(30, 30))
    [0.8865, 1]
    """
    if n < 1 or not 0 <= correct <= n:
        raise InputError(f"Expected 0 <= correct <= n and n >= 1; got {correct} of {n}.")
    z = float(special.ndtri((1 + check_level(confidence_level)) / 2))
    p, denominator = correct / n, 1 + z**2 / n
    centre = (p + z**2 / (2 * n)) / denominator
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / denominator
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0), confidence_level, "Wilson")


def f1_standard_error(
    predicted: ArrayLike, actual: ArrayLike, resamples: int = 100_000, rng: RandomState = 0
) -> float:
    """Return the bootstrap standard error of binary F1 over items.

    F1 depends on the items only through the counts of the 2 x 2 table, and resampling items draws
    these counts from one multinomial: 100,000 resamples cost as much as one pass.
    """
    p, a = np.asarray(predicted, dtype=bool), np.asarray(actual, dtype=bool)
    if p.shape != a.shape or p.ndim != 1 or not len(p):
        raise InputError(f"Expected two vectors of one length; got {p.shape} and {a.shape}.")
    table = np.bincount(2 * p + a, minlength=4)
    draws = as_generator(rng).multinomial(len(p), table / len(p), size=resamples)
    hits, missed, wrong = draws[:, 3], draws[:, 1], draws[:, 2]
    return float(np.std(2 * hits / np.maximum(2 * hits + missed + wrong, 1), ddof=1))
