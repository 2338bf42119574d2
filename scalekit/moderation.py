"""Moderated variances: few seeds per benchmark, many benchmarks, one shared prior.

Empirical Bayes of Smyth 2004 (Stat. Appl. Genet. Mol. Biol. 3:3), from gene expression: the
variances s_b^2 are sigma_b^2 chi2_d / d, and 1/sigma_b^2 comes from a scaled chi-square prior with
d0 degrees of freedom, both estimated from the spread of log s_b^2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from scalekit.errors import InputError

Array = NDArray[np.float64]
MOST_PRIOR_DF = 1e4
SEED_DF = 2.0  # degrees of freedom of a standard error from three seeds
FEWEST = 3  # below this many variances their spread says nothing about a prior


class Moderated(NamedTuple):
    """Shrunk variances, their degrees of freedom, and the prior they were shrunk to."""

    variances: Array
    df: Array
    prior_variance: float
    prior_df: float


def moderate(variances: ArrayLike, df: ArrayLike) -> Moderated:
    """Return variances (B,) shrunk towards their common prior, with df + prior df.

    A variance of exactly zero (a constant metric) does not enter the prior. With fewer than three
    positive variances nothing is shrunk. Raises InputError for negative variances or df below 1.

    >>> moderate([1.0, 1.2, 0.8, 1.1], 4).prior_df
    10000.0
    """
    s2 = np.asarray(variances, dtype=np.float64)
    d = np.broadcast_to(np.asarray(df, dtype=np.float64), s2.shape)
    if not (np.isfinite(s2).all() and (s2 >= 0).all() and (d >= 1).all()):
        raise InputError("Moderation needs variances that are not negative, with df of 1 or more.")
    used = s2 > 0
    if used.sum() < FEWEST:
        return Moderated(s2.copy(), d.copy(), float("nan"), 0.0)
    half = d[used] / 2
    z = np.log(s2[used]) - special.digamma(half) + np.log(half)
    excess = float(z.var(ddof=1) - special.polygamma(1, half).mean())
    prior_df = min(2 * inverse_trigamma(excess), MOST_PRIOR_DF) if excess > 0 else MOST_PRIOR_DF
    prior = float(np.exp(z.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2)))
    shrunk = (prior_df * prior + d * s2) / (prior_df + d)
    return Moderated(shrunk, d + prior_df, prior, float(prior_df))


def inverse_trigamma(value: float) -> float:
    """Return y with trigamma(y) = value > 0, by Newton's method on 1/trigamma (Smyth 2004)."""
    if value < 1e-6:
        return 1 / value
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, y))
        y += step
        if -step / y < 1e-10:
            break
    return y


def noise_precision(noise: ArrayLike, df: ArrayLike = SEED_DF) -> Array:
    """Return weights (rows,) of mean one for standard errors `noise` (rows,): 1 / variance.

    Every variance is moderated first: standard errors from a few seeds are themselves noisy, and
    weights taken from them raw make forecasts worse. `df` is that of each standard error (three
    seeds have two).

    >>> noise_precision([0.01, 0.011, 0.009, 0.01]).round(2).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    variances = np.asarray(noise, dtype=np.float64) ** 2
    moderated = moderate(variances, df).variances
    precision = 1 / np.maximum(moderated, 1e-8 * moderated.max())
    return np.asarray(precision / precision.mean())
