"""How many times less of a scale one system needs for the loss of another."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalekit.fitters.curve import Curve


def times_less_at(
    first: Curve, second: Curve, scales: np.ndarray, confidence_level: float
) -> pd.DataFrame:
    """Return how many times less `second` needs for the loss that `first` has at each scale.

    Columns: `at, ratio, ci_lower, ci_upper`; zero where that loss is not reached within six
    decades, infinity where even the smallest scale looked at has it.
    """
    ends = [(1 - confidence_level) / 2, (1 + confidence_level) / 2]
    rows = []
    for scale in scales:
        # wide enough for any ratio that one would believe, fine enough to interpolate
        grid, place = scale * np.geomspace(1e-6, 1e6, 481), np.array([scale])
        draws = _times_less(second.draws(grid), first.draws(place), grid, scale)
        low, high = np.quantile(draws[~np.isnan(draws)], ends, method="nearest")
        centre = _times_less(second.estimate(grid)[None], first.estimate(place)[None], grid, scale)
        rows.append((scale, centre[0], low, high))
    return pd.DataFrame(rows, columns=["at", "ratio", "ci_lower", "ci_upper"])


def _times_less(
    draws: np.ndarray, target: np.ndarray, grid: np.ndarray, scale: float
) -> np.ndarray:
    """Return scale over the smallest place at which each row of `draws` is at its target."""
    there = draws <= target
    k = np.argmax(there, axis=1)
    rows = np.arange(len(draws))
    before = np.maximum(k - 1, 0)
    with np.errstate(all="ignore"):
        share = (draws[rows, before] - target[:, 0]) / (draws[rows, before] - draws[rows, k])
    logs = np.log(grid)
    x = np.exp(logs[before] + np.where(k > 0, share, 0.0) * (logs[k] - logs[before]))
    ratio = np.where(there.any(axis=1), scale / x, 0.0)
    return np.where(there[:, 0], np.inf, ratio)
