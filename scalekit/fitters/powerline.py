"""A straight line through points in log-log whose heights are known by draws."""

from __future__ import annotations

import numpy as np

SHARPEST = 0.02  # no height counts as known better than 2% (of the size): grids are not finer


def power_line(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (slope, height at x = 0) of the line through (x, y), and of the line of every draw.

    `x, y` have shape (points,), `draws` (resamples, points) holds resampled heights, NaN where a
    resample has none; such a point has no weight there. Points weigh by the inverse variance of
    their draws. What scatters about the line more than the draws say is put into the draws of
    the line as well (normal, by the formula of least squares).
    """
    centre = np.nanmedian(draws, axis=0)
    spread = np.maximum(1.4826 * np.nanmedian(np.abs(draws - centre), axis=0), SHARPEST)
    weights = 1 / spread**2
    line = _weighted_line(x, y[None], weights[None])[0]
    kept = np.isfinite(draws)
    # draws move about their own centre; the estimates stay where they are
    heights = np.where(kept, y + draws - centre, 0.0)
    enough = kept.sum(axis=1) >= 3
    lines = _weighted_line(x, heights[enough], (kept * weights)[enough])
    lines = lines[np.isfinite(lines).all(axis=1)]
    left = y - line[0] * x - line[1]
    excess = float((weights * left**2).sum() / max(len(x) - 2, 1))
    if excess > 1:  # a misfit: spread the lines about their centre accordingly
        lines = line + np.sqrt(excess) * (lines - line)
    return line, lines


def _weighted_line(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (slope, height at 0) of a batch of weighted lines."""
    total = weights.sum(axis=1)
    with np.errstate(all="ignore"):
        middle = (weights * x).sum(axis=1) / total
        level = (weights * y).sum(axis=1) / total
        offset = x - middle[:, None]
        slope = (weights * offset * (y - level[:, None])).sum(axis=1) / (
            (weights * offset**2).sum(axis=1)
        )
    return np.stack([slope, level - slope * middle], axis=1)
