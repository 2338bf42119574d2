"""How far a new run may lie from a mixing law: quantiles of held-out residuals, scaled by level."""

from __future__ import annotations

import numpy as np

SHRINKAGE = 25.0  # pilots' worth of doubt that residuals depend on the level at all


def residual_reach(
    predicted: np.ndarray, residuals: np.ndarray, new: np.ndarray, level: float
) -> np.ndarray:
    """Return the half-width that holds a share `level` of new runs at predictions `new` (rows,).

    `predicted` and `residuals` (repeats, pilots) are held out; entries without a residual are NaN.
    Residuals are larger where losses are higher, mostly (a source that is nearly absent), so that
    one width for all mixtures is too wide where one wants to be. The logarithm of their size is a
    line in the predicted loss here, shrunk towards a flat one; the quantile is that of residuals
    over this scale, as in locally weighted conformal prediction (Lei et al. 2018).
    Beyond the predictions at the pilots the scale stays what it is at their ends.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(2, 4, (1, 200))
    >>> reach = residual_reach(x, 0.1 * (x - 1.9) * rng.standard_normal((1, 200)), x[0], 0.9)
    >>> bool(reach[x[0].argmax()] > 3 * reach[x[0].argmin()])
    True
    """
    kept = np.isfinite(residuals)
    if not kept.any():
        return np.full(len(new), np.nan)
    place, size = predicted[kept], np.abs(residuals[kept])
    spread = place.std()
    pilots = max(1.0, kept.sum() / len(residuals))
    level = min(1.0, level * (1 + 1 / pilots))  # the next run is one more
    if not spread > 0 or not size.max() > 0:
        return np.full(len(new), float(np.quantile(size, level)))
    middle = place.mean()
    standard = (place - middle) / spread
    logs = np.log(size + 0.1 * max(float(np.median(size)), 1e-3 * float(size.max())))
    slope = standard @ (logs - logs.mean()) / len(logs) / (1 + SHRINKAGE / pilots)
    quantile = np.quantile(size / np.exp(slope * standard), level)
    ahead = np.clip((new - middle) / spread, standard.min(), standard.max())
    return np.asarray(quantile * np.exp(slope * ahead))
