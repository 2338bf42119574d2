"""What repeated data is worth: the share of a source that counts when it is seen several times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scalekit.selectors.mixtures.terms import Point

REPEAT_VALUE = 15.387756  # R*_D of Muennighoff et al. 2023, arXiv:2305.16264 section 6


def effective_share(
    shares: np.ndarray, unique: np.ndarray, repeat_value: float = REPEAT_VALUE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what shares are worth when data repeats, with first and second derivative.

    `unique` (sources,) is the share at which a source has been seen once (tokens available over
    the budget). Up to there a share counts in full; beyond, R = share / unique - 1 repetitions
    count as `repeat_value * (1 - exp(-R / repeat_value))` (Muennighoff et al. 2023, eq. 5).
    It is concave, so a convex law that falls with every share stays convex.

    >>> worth = effective_share(np.array([0.1, 0.5]), np.array([0.1, 0.1]))[0]
    >>> worth.round(3).tolist()
    [0.1, 0.452]
    """
    unique = np.maximum(unique, 1e-12)
    repeats = np.maximum(shares / unique - 1, 0.0)
    decay = np.exp(-repeats / repeat_value)
    worth = np.where(repeats > 0, unique * (1 + repeat_value * (1 - decay)), shares)
    slope = np.where(repeats > 0, decay, 1.0)
    bend = np.where(repeats > 0, -decay / (unique * repeat_value), 0.0)
    return worth, slope, bend


def with_repeats(
    function: Callable[[np.ndarray], Point], unique: np.ndarray, repeat_value: float
) -> Callable[[np.ndarray], Point]:
    """Return `function` of what the shares are worth, with its derivatives in the shares."""

    def composed(shares: np.ndarray) -> Point:
        worth, slope, bend = effective_share(shares, unique, repeat_value)
        inner = function(worth)
        hessian = inner.hessian * slope[:, :, None] * slope[:, None, :]
        hessian = hessian + (inner.gradient * bend)[:, :, None] * np.eye(shares.shape[1])
        return Point(inner.value, inner.gradient * slope, hessian)

    return composed
