"""How far a new run may lie from a mixing law: quantiles of held-out residuals over their scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SHRINKAGE = 25.0  # pilots' worth of doubt that residuals depend on a hint at all


def residual_reach(
    hints: np.ndarray, residuals: np.ndarray, new: np.ndarray, level: float
) -> np.ndarray:
    """Return the half-width that holds a share `level` of new runs (rows,).

    `residuals` (repeats, pilots) are held out; entries without a residual are NaN. `hints`
    (hints, repeats, pilots) say how large they may be, `new` (hints, rows) the same of new runs.
    The logarithm of a residual's size is linear in the hints, shrunk towards one size for all;
    the quantile is that of residuals over this scale, as in locally weighted conformal
    prediction (Lei et al. 2018). Beyond the hints at the pilots the scale stays what it is at
    their ends.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(2, 4, (1, 200))
    >>> errors = 0.1 * (x - 1.9) * rng.standard_normal((1, 200))
    >>> reach = residual_reach(x[None], errors, x, 0.9)
    >>> bool(reach[x[0].argmax()] > 3 * reach[x[0].argmin()])
    True
    """
    kept = np.isfinite(residuals)
    if not kept.any():
        return np.full(new.shape[1], np.nan)
    size, told = np.abs(residuals[kept]), hints[:, kept]
    pilots = max(1.0, kept.sum() / len(residuals))
    level = min(1.0, level * (1 + 1 / pilots))  # the next run is one more
    middle, spread = told.mean(axis=1, keepdims=True), told.std(axis=1, keepdims=True)
    useful = spread[:, 0] > 1e-9 * np.maximum(np.abs(middle[:, 0]), 1.0)
    if not useful.any() or not size.max() > 0:
        return np.full(new.shape[1], float(np.quantile(size, level)))
    middle, spread = middle[useful], spread[useful]
    standard, ahead = (told[useful] - middle) / spread, (new[useful] - middle) / spread
    logs = np.log(size + 0.1 * max(float(np.median(size)), 1e-3 * float(size.max())))
    normal = standard @ standard.T / len(logs) + SHRINKAGE / pilots * np.eye(len(standard))
    slopes = np.linalg.solve(normal, standard @ (logs - logs.mean()) / len(logs))
    quantile = np.quantile(size / np.exp(slopes @ standard), level)
    ends = standard.min(axis=1, keepdims=True), standard.max(axis=1, keepdims=True)
    return np.asarray(quantile * np.exp(slopes @ np.clip(ahead, *ends)))


def rounding_effect(
    predict: Callable[[np.ndarray], np.ndarray], shares: np.ndarray, resolution: float
) -> np.ndarray:
    """Return how much the rounding of `shares` (rows, sources) moves losses (targets, rows).

    `predict` returns the losses of shares.
    Each share was rounded to a multiple of `resolution`, so that it may be anything within half
    of that. The deviation over this range is that of two-point Gauss quadrature. The law makes
    most of it where a source is nearly absent.
    """
    count = shares.shape[1]
    edge = np.maximum(shares - resolution / 2, 0.0)
    middle = (shares + resolution / 2 + edge) / 2
    reach = (middle - edge) / np.sqrt(3)
    changed = np.eye(count, dtype=bool)[:, None]
    ends = [np.where(changed, middle + sign * reach, shares) for sign in (1, -1)]
    above, below = (predict(end.reshape(-1, count)) for end in ends)
    apart = (above - below).reshape(len(above), count, len(shares)) / 2
    return np.asarray(np.sqrt((apart**2).sum(axis=1)))
