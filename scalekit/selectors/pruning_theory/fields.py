"""Quadrature over the examples that pruning keeps, as a perceptron sees them.

An example meets the teacher by its field u and, orthogonal to it in the plane of teacher and
probe, by v; both are standard normal. Its difficulty is |z|, the size of the probe's field
`z = u cos(angle) + v sin(angle)`. Pruning keeps a share of the smallest |z| (hard) or of the
largest (easy).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

FAR = 9.0  # standard deviations at which the normal density is cut
POINTS, CROSS_POINTS = 24, 40  # of Gauss-Legendre in a panel along z, and across it
NEAREST, PANELS = 1e-4, 9  # panels shrink towards z = 0, where many examples resolve the boundary
SIDES = ("hard", "easy", "random")


@dataclass(frozen=True)
class Fields:
    """Nodes (nodes,) of the kept examples: label times u and v, and weights of sum one."""

    along: np.ndarray
    across: np.ndarray
    weights: np.ndarray


def kept_fields(keep: float, angle: float, side: str) -> Fields:
    """Return nodes and weights; by symmetry only those with z > 0."""
    edges = _edges(keep, side)
    z, weights = _panels(edges[:-1], edges[1:], POINTS)
    weights = weights * _density(z)
    weights = weights / weights.sum()
    if angle == 0:
        return Fields(z, np.zeros_like(z), weights)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.clip(-cos * z / sin, -FAR, FAR)  # across the probe: where the teacher's field is 0
    below, below_weights = _panels(np.full_like(z, -FAR), turn, CROSS_POINTS, flat=False)
    above, above_weights = _panels(turn, np.full_like(z, FAR), CROSS_POINTS, flat=False)
    side_on = np.concatenate([below, above], axis=1)
    share = np.concatenate([below_weights, above_weights], axis=1) * _density(side_on)
    u, v = cos * z[:, None] + sin * side_on, sin * z[:, None] - cos * side_on
    label = np.sign(u)
    return Fields((label * u).ravel(), (label * v).ravel(), (weights[:, None] * share).ravel())


def _edges(keep: float, side: str) -> np.ndarray:
    if side == "easy" and keep < 1:
        return np.linspace(-ndtri(keep / 2), FAR, PANELS)
    far = FAR if keep >= 1 or side == "random" else min(-ndtri((1 - keep) / 2), FAR)
    return np.concatenate([[0.0], far * np.geomspace(NEAREST, 1.0, PANELS)])


def _panels(
    low: np.ndarray, high: np.ndarray, points: int, flat: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    node, weight = np.polynomial.legendre.leggauss(points)
    half = (high - low)[:, None] / 2
    at, weights = half * node + (high + low)[:, None] / 2, half * weight
    return (at.ravel(), weights.ravel()) if flat else (at, weights)


def _density(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi))
