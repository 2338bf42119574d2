"""Decision accuracy: how often a proxy orders two recipes as the target does."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scalekit.errors import InputError


def decision_accuracy(proxy: ArrayLike, target: ArrayLike) -> float:
    """Return the share of pairs of recipes that `proxy` (M,) orders as `target` (M,) does.

    A tie in either counts one half. Raises InputError for fewer than two recipes, or lengths that
    differ.

    >>> round(decision_accuracy([1, 2, 3], [1, 3, 2]), 3)
    0.667
    """
    x, y = np.asarray(proxy, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 2:
        raise InputError(
            f"Expected two vectors of one length, two recipes or more; got {x.shape}, {y.shape}."
        )
    pairs = np.triu_indices(len(x), 1)
    sign = np.sign(np.subtract.outer(x, x)) * np.sign(np.subtract.outer(y, y))
    return float(((sign[pairs] + 1) / 2).mean())


def implied_decision_accuracy(
    reliability: ArrayLike, target_reliability: ArrayLike = 1.0, true_correlation: ArrayLike = 1.0
) -> np.ndarray:
    """Return the decision accuracy that Gaussian scores of these reliabilities have.

    1/2 + arcsin(rho)/pi with rho = true_correlation sqrt(reliability * target_reliability)
    (Sheppard 1899); reliability is the share of true variance in the scores of recipes.

    >>> float(implied_decision_accuracy(0.5))
    0.75
    """
    parts = [np.asarray(x, dtype=np.float64) for x in (reliability, target_reliability)]
    if any(((p < 0) | (p > 1)).any() for p in parts):
        raise InputError("A reliability is between 0 and 1.")
    rho = np.asarray(true_correlation, dtype=np.float64) * np.sqrt(parts[0] * parts[1])
    return np.asarray(0.5 + np.arcsin(np.clip(rho, -1, 1)) / np.pi)
