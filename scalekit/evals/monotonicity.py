"""Whether a benchmark rises with training: rank correlations with their null, and the rise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalekit.errors import InputError
from scalekit.evals.step_noise import difference_sd

Array = NDArray[np.float64]


class Monotonicity(NamedTuple):
    """Kendall's tau-b of scores with time, its null SD and z, Spearman's rho, rise in noise SDs.

    Tau saturates with the ratio of rise to noise and depends on the number of checkpoints; `rise`
    (fitted rise over all checkpoints, in SDs of the noise between neighbours) does not.
    """

    tau: float
    null_sd: float
    z: float
    spearman: float
    rise: float
    n: int


def monotonicity(scores: ArrayLike, direction: int = 1) -> Monotonicity:
    """Return how monotonically `scores` (T,) improve over checkpoints in time order.

    `direction` is -1 for metrics that improve by falling. Raises InputError for fewer than three
    checkpoints. A constant score has tau 0 and z 0.

    >>> monotonicity([0.1, 0.2, 0.3, 0.5]).tau
    1.0
    """
    y = direction * np.asarray(scores, dtype=np.float64)
    y = y[np.isfinite(y)]
    n = len(y)
    if n < 3:
        raise InputError(f"Monotonicity needs three checkpoints or more; got {n}.")
    tau, null = kendall_tau_b(y), tau_null_sd(n)
    t = np.arange(n) - (n - 1) / 2
    noise = difference_sd(y)
    rise = float(t @ y / (t @ t)) * (n - 1)
    in_noise = rise / noise if noise > 0 else (0.0 if rise == 0 else np.inf)
    return Monotonicity(tau, null, tau / null, _spearman(y), float(in_noise), n)


def kendall_tau_b(y: ArrayLike) -> float:
    """Return Kendall's tau-b of `y` (T,) with its order; ties in y are accounted for."""
    y = np.asarray(y, dtype=np.float64)
    n = len(y)
    sign = np.sign(np.subtract.outer(y, y))[np.tril_indices(n, -1)]
    untied = np.count_nonzero(sign)
    pairs = n * (n - 1) / 2
    return float(sign.sum() / np.sqrt(untied * pairs)) if untied else 0.0


def tau_null_sd(n: int) -> float:
    """Return the SD of tau over n checkpoints without any trend.

    >>> round(tau_null_sd(21), 3)
    0.158
    """
    return float(np.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1))))


def _spearman(y: Array) -> float:
    ranks = average_ranks(y)
    if ranks.std() == 0:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(len(y)))[0, 1])


def average_ranks(y: ArrayLike) -> Array:
    """Return ranks from 1, ties sharing their average."""
    _, inverse, counts = np.unique(np.asarray(y), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=np.float64)
