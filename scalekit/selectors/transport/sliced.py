"""Sliced Wasserstein distance with control variates: a million points, bounded memory.

For a direction theta on the unit sphere, w(theta) is squared W2 of the projected samples, by
sorting. Quadratic forms in theta have known means (E theta theta' = I / d), so they can take out
most of the Monte Carlo noise. Source: Nguyen and Ho, "Sliced Wasserstein Estimation with Control
Variates", ICLR 2024 (LCV, UCV); the joint and the Gaussian controls go beyond the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from scalekit.errors import InputError, did_you_mean
from scalekit.results import Interval
from scalekit.seeds import RandomState, as_generator
from scalekit.selectors.transport.one_dimension import matching, squared_w2_sorted
from scalekit.selectors.transport.samples import as_sample, check_same_features

Control = Literal["none", "lower", "upper", "joint", "gaussian", "union"]
CONTROLS: tuple[str, ...] = get_args(Control)
BLOCK_BYTES = 128e6
CHEAP_DIRECTIONS = 50  # directions without sorting, per direction with it


@dataclass(frozen=True)
class Moments:
    """Mean difference (d,) and covariances (d, d) of the two samples."""

    shift: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def forms(self, theta: np.ndarray) -> np.ndarray:
        """Return (theta.shift)^2, theta'S1 theta, theta'S2 theta for directions (L, d): (L, 3)."""
        return np.column_stack(
            [
                (theta @ self.shift) ** 2,
                np.einsum("ld,ld->l", theta @ self.first, theta),
                np.einsum("ld,ld->l", theta @ self.second, theta),
            ]
        )

    def means(self) -> np.ndarray:
        """Return the exact means of `forms` over the sphere, shape (3,)."""
        d = len(self.shift)
        return np.array([self.shift @ self.shift, np.trace(self.first), np.trace(self.second)]) / d


@dataclass(frozen=True)
class SlicedEstimate:
    """Squared sliced W2: the estimate, its standard error, its Monte Carlo interval."""

    value: float
    standard_error: float
    interval: Interval
    directions: int
    control: str
    plain: float  # the mean over the same directions without controls


def sliced_wasserstein(
    a: object,
    b: object,
    directions: int = 100,
    control: Control = "union",
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> SlicedEstimate:
    """Return squared sliced W2 of two samples, estimated from `directions` random directions.

    `control` names the control variates: "none" (Monte Carlo), "lower" (LCV) and "upper" (UCV)
    of the paper, "joint" (the three quadratic forms at once), "gaussian" (W2 of the projected
    Gaussians, its mean from 50 times more directions without sorting), "union" (joint and
    gaussian; below 20 directions gaussian alone). Coefficients come from the same directions,
    as in the paper, which biases the estimate by a term that falls as 1 / directions.
    Samples are sorted in float32; sizes may differ; weights are not supported.

    >>> x = np.random.default_rng(0).normal(size=(500, 3))
    >>> bool(abs(sliced_wasserstein(x, x + [1.0, 0.0, 0.0]).value - 1 / 3) < 1e-3)
    True
    """
    left, right = as_sample(a, "a"), as_sample(b, "b")
    check_same_features(left, right)
    if left.weights is not None or right.weights is not None:
        raise InputError("The sliced estimate takes samples without weights. Use method='exact'.")
    if control not in CONTROLS:
        raise InputError(f"Unknown control '{control}'. {did_you_mean(control, CONTROLS)}")
    least = 8 if control == "joint" else 3  # three coefficients leave no residual of few directions
    if directions < least:
        raise InputError(f"directions must be at least {least}; got {directions}.")
    generator = as_generator(rng)
    theta = random_directions(directions, left.dim, generator)
    slices = squared_w2_along(left.features, right.features, theta)
    moments = sample_moments(left.features, right.features)
    return estimate(slices, theta, moments, control, confidence_level, generator)


def random_directions(count: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` directions, uniform on the unit sphere, shape (count, dim)."""
    raw = rng.normal(size=(count, dim))
    result: np.ndarray = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    return result


def squared_w2_along(x: np.ndarray, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return squared W2 of the projections on each direction (L, d), by blocks of directions."""
    n, m = len(x), len(y)
    centre = y.mean(axis=0)
    x32, y32 = _float32_about(x, centre), _float32_about(y, centre)
    theta32 = theta.astype(np.float32)
    pairs = None if n == m else matching(n, m)
    step = max(1, int(BLOCK_BYTES / (8 * (n + m))))
    slices = np.empty(len(theta))
    for start in range(0, len(theta), step):
        block = theta32[start : start + step]
        left, right = block @ x32.T, block @ y32.T
        left.sort(axis=1)
        right.sort(axis=1)
        slices[start : start + step] = squared_w2_sorted(left, right, pairs)
    return slices


def _float32_about(x: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return x - centre in float32, without a float64 copy between."""
    moved = np.empty(x.shape, dtype=np.float32)
    return np.subtract(x, centre, out=moved, casting="same_kind")


def sample_moments(x: np.ndarray, y: np.ndarray) -> Moments:
    """Return the mean difference and the covariances (with 1/n) of two samples."""
    parts = []
    for z in (x, y):
        mean = z.mean(axis=0)
        parts.append((mean, z.T @ z / len(z) - np.outer(mean, mean)))
    return Moments(parts[0][0] - parts[1][0], parts[0][1], parts[1][1])


def estimate(
    slices: np.ndarray,
    theta: np.ndarray,
    moments: Moments,
    control: str,
    confidence_level: float,
    rng: np.random.Generator,
) -> SlicedEstimate:
    """Return the estimate from slices (L,) along theta (L, d) with the named control."""
    from scipy.special import stdtrit

    controls, extra = centred_controls(theta, moments, control, rng)
    published = control in ("lower", "upper")
    value, residual, coefficients, free, leverage = _regress(slices, controls, published)
    variance = residual @ residual / free * leverage
    if extra is not None:  # the mean of the Gaussian control is itself estimated
        variance += coefficients[-1] ** 2 * extra
    error = float(np.sqrt(variance))
    half = float(stdtrit(free, (1 + confidence_level) / 2)) * error
    method = f"Monte Carlo over {len(slices)} directions, control '{control}'"
    interval = Interval(max(value - half, 0.0), value + half, confidence_level, method)
    return SlicedEstimate(float(value), error, interval, len(slices), control, float(slices.mean()))


def centred_controls(
    theta: np.ndarray, moments: Moments, control: str, rng: np.random.Generator
) -> tuple[np.ndarray, float | None]:
    """Return the controls minus their means (L, k), and the variance of a sampled mean."""
    count = len(theta)
    if control == "union" and count < 20:
        control = "gaussian"
    forms, means = moments.forms(theta), moments.means()
    exact = {
        "none": np.empty((count, 0)),
        "lower": forms[:, :1] - means[:1],
        "upper": (forms - means).sum(axis=1, keepdims=True),
        "joint": forms - means,
        "union": forms - means,
        "gaussian": np.empty((count, 0)),
    }[control]
    if control not in ("gaussian", "union"):
        return exact, None
    many = random_directions(CHEAP_DIRECTIONS * count, theta.shape[1], rng)
    other = moments.forms(many)
    fine = _gaussian_w2(other)
    # the forms' exact means sharpen the sampled mean in turn
    value, residual, _, free, leverage = _regress(fine, other - means)
    column = _gaussian_w2(forms) - value
    return np.column_stack([exact, column]), float(residual @ residual / free * leverage)


def _gaussian_w2(forms: np.ndarray) -> np.ndarray:
    deviations = np.sqrt(np.maximum(forms[:, 1:], 0))
    result: np.ndarray = forms[:, 0] + (deviations[:, 0] - deviations[:, 1]) ** 2
    return result


def _regress(
    slices: np.ndarray, controls: np.ndarray, published: bool = False
) -> tuple[float, np.ndarray, np.ndarray, int, float]:
    """Return (value, residuals, coefficients, degrees of freedom, leverage) on centred controls.

    The leverage times the residual variance is the variance of the value: 1 / count, and more
    where the controls' mean over the directions is far from their exact mean.
    value = mean(w) - gamma . mean(C - E C). Ours is least squares with an intercept, exact where
    the controls explain everything; the published gamma leaves the controls at their exact mean
    in its denominator.
    """
    count, k = controls.shape
    mean = slices.mean()
    if k == 0:
        return float(mean), slices - mean, np.empty(0), count - 1, 1 / count
    scale = np.sqrt((controls**2).mean(axis=0))
    scale = np.where(scale > 0, scale, 1)
    unit = controls / scale
    around = unit if published else unit - unit.mean(axis=0)
    centre, gram = unit.mean(axis=0), around.T @ around
    gamma, *_ = np.linalg.lstsq(gram, around.T @ (slices - mean), rcond=1e-10)
    value = mean - gamma @ centre
    residual = slices - value - unit @ gamma
    leverage = 1 / count + centre @ np.linalg.lstsq(gram, centre, rcond=1e-10)[0]
    return float(value), residual, gamma / scale, max(count - 1 - k, 1), float(leverage)
