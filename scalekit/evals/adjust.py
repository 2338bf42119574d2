"""Many benchmarks at once: p-values adjusted for looking at all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalekit.errors import InputError

Array = NDArray[np.float64]


def holm(p_values: ArrayLike) -> Array:
    """Return Holm's adjusted p-values (family-wise error); NaN stays NaN.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    return _adjust(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: ArrayLike) -> Array:
    """Return Benjamini and Hochberg's adjusted p-values (false discovery rate); NaN stays NaN.

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.04, 0.04]
    """

    def step_up(p: Array) -> Array:
        scaled = p * len(p) / np.arange(1, len(p) + 1)
        return np.asarray(np.minimum.accumulate(scaled[::-1])[::-1])

    return _adjust(p_values, step_up)


def _adjust(p_values: ArrayLike, rule: Callable[[Array], Array]) -> Array:
    p = np.asarray(p_values, dtype=np.float64)
    if ((p < 0) | (p > 1)).any():
        raise InputError("p-values must be between 0 and 1.")
    result = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    result[order] = np.minimum(rule(p[order]), 1.0)
    return result
