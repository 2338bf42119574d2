"""The bottom of an isoFLOP curve: loss over log size at one budget, in every resample.

Three ways to draw a curve through the points: a parabola, a cubic, Akima's spline. All work on a
batch: `loss` has shape (resamples, sizes), the result one minimum a resample.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from scalekit.errors import InputError, did_you_mean

METHODS = ("parabola", "cubic", "akima")
FEWEST = {"parabola": 3, "cubic": 4, "akima": 4}  # sizes with which a minimum can be found
WINDOW = {"parabola": 4.0, "cubic": 10.0, "akima": np.inf}  # default factor about the best size
NOISE_WINDOW = 5.0  # a cubic holds this near the bottom; its scatter there is taken for noise
POINTS = 25  # of the spline per interval between two sizes (Porian et al. 2024 use as many)


def check_valley_method(method: str) -> str:
    """Return `method`; raise InputError where there is none of that name."""
    if method not in METHODS:
        raise InputError(f"There is no method '{method}'. {did_you_mean(method, METHODS)}")
    return method


def smooth(log_params: np.ndarray, loss: np.ndarray, degree: int) -> np.ndarray:
    """Return the polynomial of `degree` through the points, at the sizes, by least squares."""
    design = np.vander(_centred(log_params), degree + 1)
    return np.asarray(design @ np.linalg.lstsq(design, loss, rcond=None)[0])


def near_bottom(log_params: np.ndarray, loss: np.ndarray, factor: float, fewest: int) -> np.ndarray:
    """Return which sizes lie within `factor` of the one of lowest loss, or are the nearest few."""
    distance = np.abs(log_params - log_params[np.argmin(loss)])
    return np.asarray(distance <= max(np.log(factor), np.sort(distance)[: fewest + 1].max()))


def valley(log_params: np.ndarray, loss: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the log size and the loss at the bottom, one a resample; NaN where it is not inside.

    `log_params` (sizes,) grows; `loss` has shape (resamples, sizes).
    """
    if method == "akima":
        return _spline(log_params, loss)
    x = _centred(log_params)
    design = np.vander(x, 3 if method == "parabola" else 4)
    coefficients = np.linalg.lstsq(design, loss.T, rcond=None)[0].T
    if method == "parabola":
        bend, slope = coefficients[:, 0], coefficients[:, 1]
        with np.errstate(all="ignore"):
            place = np.where(bend > 0, -slope / (2 * bend), np.nan)
    else:
        place = _cubic_minimum(coefficients)
    bottom = (np.vander(place, design.shape[1]) * coefficients).sum(axis=1)
    inside = (place > x[0]) & (place < x[-1])
    half = 0.5 * np.ptp(log_params)
    middle = 0.5 * (log_params[0] + log_params[-1])
    return np.where(inside, middle + half * place, np.nan), np.where(inside, bottom, np.nan)


def _centred(log_params: np.ndarray) -> np.ndarray:
    """Return sizes on [-1, 1], so that powers of them stay well conditioned."""
    middle = 0.5 * (log_params[0] + log_params[-1])
    return np.asarray((log_params - middle) / (0.5 * np.ptp(log_params)))


def _cubic_minimum(coefficients: np.ndarray) -> np.ndarray:
    """Return where each cubic has its minimum: the root of the slope at which it bends up."""
    a, b, c = 3 * coefficients[:, 0], 2 * coefficients[:, 1], coefficients[:, 2]
    with np.errstate(all="ignore"):
        root = np.sqrt(b**2 - 4 * a * c)
        # written so that a vanishing cubic term leaves the parabola's minimum
        return np.asarray(np.where(b >= 0, -2 * c / (b + root), (-b + root) / (2 * a)))


def _spline(log_params: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.interpolate import Akima1DInterpolator

    inner = [np.linspace(a, b, POINTS, endpoint=False)
             for a, b in pairwise(log_params)]  # fmt: skip
    grid = np.append(np.concatenate(inner), log_params[-1])
    curve = Akima1DInterpolator(log_params, loss, axis=1)(grid)
    best = curve.argmin(axis=1)
    inside = (best > 0) & (best < len(grid) - 1)
    rows, k = np.arange(len(loss)), np.clip(best, 1, len(grid) - 2)
    return (
        np.where(inside, grid[k], np.nan),
        np.where(inside, curve[rows, k], np.nan),
    )
