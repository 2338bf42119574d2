"""The max-margin perceptron on pruned examples, as a convex problem of three variables.

The student `J = a T + b V + c (rest)` of smallest norm must satisfy, for g standard normal,

    alpha E[(1 - y (a u + b v) - c g)_+^2] <= c^2        (Gordon's comparison, exact here)

with alpha kept examples a dimension. Along a direction (1, beta, chi) of J the constraint fixes
its length; stationarity of the margin over directions gives three smooth equations, solved by
Newton's method. Equivalent to the saddle point of Sorscher et al. 2022 (appendix), which has many
wrong roots; the convex form has one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import ndtr

from scalekit.selectors.pruning_theory.fields import Fields

STEPS, EXACT = 60, 1e-13
TINY = 1e-300  # no direction without a margin is ever best


@dataclass(frozen=True)
class Direction:
    """The student: `beta = b/a`, `chi = c/a`, `scale = 1/a`."""

    beta: float
    chi: float
    scale: float

    @property
    def norm(self) -> float:
        """The student's norm over its overlap with the teacher."""
        return float(np.sqrt(1 + self.beta**2 + self.chi**2))


def find_student(alpha: float, fields: Fields) -> Direction:
    """Return the max-margin student for `alpha` kept examples a dimension."""
    beta, chi = (0.0, _best_chi(alpha, 0.0, fields)) if not fields.across.any() else _climb(
        alpha, fields
    )  # fmt: skip
    return _polish(alpha, Direction(beta, chi, _scale(alpha, beta, chi, fields)), fields)


def _slopes(alpha: float, beta: float, chi: float, fields: Fields) -> tuple[float, float, float]:
    """Return the log margin along a direction, and its slopes with beta and log chi."""
    scale = _scale(alpha, beta, chi, fields)
    size = 1 + beta**2 + chi**2
    _, first, cross, own = _moments(scale, beta, chi, fields)
    return (
        float(np.log(max(scale, TINY)) - 0.5 * np.log(size)),
        float(cross / first / scale - beta / size),
        float(own / first / scale - chi / size) * chi,
    )


def _best_chi(alpha: float, beta: float, fields: Fields) -> float:
    """Return the chi of largest margin at this beta: the slope changes its sign once."""

    def slope(at: float) -> float:
        return _slopes(alpha, beta, float(np.exp(at)), fields)[2]

    usual = float(np.log(np.sqrt(fields.weights @ fields.along**2) / alpha))
    low, high = usual - 1, usual + 1
    while slope(low) < 0:
        low -= 1
    while slope(high) > 0:
        high += 1
    return float(np.exp(brentq(slope, low, high, xtol=1e-4)))


def _climb(alpha: float, fields: Fields) -> tuple[float, float]:
    """Return beta and chi of largest margin; any way up leads there, bounds keep steps sane."""
    chi = np.log(_best_chi(alpha, 0.0, fields))

    def cost(at: np.ndarray) -> tuple[float, np.ndarray]:
        value, across, out = _slopes(alpha, at[0], float(np.exp(at[1])), fields)
        return -value, -np.array([across, out])

    bounds = [(-3.0, 3.0), (chi - 3, chi + 3)]
    found = minimize(cost, [0.0, chi], jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), float(np.exp(found[1]))


def _hinge(q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return E[(q - g)_+^2], E[(q - g)_+] and P(g < q)."""
    below, density = ndtr(q), np.exp(-0.5 * q**2) / np.sqrt(2 * np.pi)
    return (q * q + 1) * below + q * density, q * below + density, below


def _moments(scale: float, beta: float, chi: float, fields: Fields) -> tuple[float, ...]:
    q = (scale - fields.along - beta * fields.across) / chi
    square, first, _ = _hinge(q)
    w = fields.weights
    found = (w @ square, w @ first, w @ (first * fields.across), w @ (first * q))
    return tuple(map(float, found))


def _scale(alpha: float, beta: float, chi: float, fields: Fields) -> float:
    """Return 1/a for which the constraint is tight: its left side grows with it (Newton, log)."""
    low, high = -np.inf, np.inf
    at = float((fields.along + beta * fields.across).min()) + 0.5 * chi
    for _ in range(200):
        square, first, _, _ = _moments(at, beta, chi, fields)
        miss = np.log(max(square * alpha, TINY))
        low, high = (at, high) if miss < 0 else (low, at)
        step = -miss * square * chi / (2 * max(first, TINY))
        new = at + step
        if not low < new < high:
            new = (low + high) / 2 if np.isfinite(low + high) else at + np.sign(step) * abs(at)
        if abs(new - at) <= 1e-15 * abs(new):
            break
        at = new
    return float(at)


def _polish(alpha: float, start: Direction, fields: Fields) -> Direction:
    """Newton's method on the three equations, with their exact Jacobian."""
    at = np.array([start.beta, start.chi, start.scale])
    w, v = fields.weights, fields.across
    free = np.array([bool(v.any()), True, True])
    best, best_size = at, np.inf
    for _ in range(STEPS):
        beta, chi, scale = at
        q = (scale - fields.along - beta * v) / chi
        square, first, below = _hinge(q)
        size = 1 + beta**2 + chi**2
        a, b, d = w @ first, w @ (first * v), w @ (first * q)
        residual = np.array([
            b / a - beta * scale / size, d / a - chi * scale / size, (w @ square) * alpha - 1
        ])  # fmt: skip
        if (now := float(np.abs(residual[free]).max())) >= best_size:
            break
        best, best_size = at, now
        if best_size < EXACT:
            break
        moves = np.stack([-v, -q, np.ones_like(q)]) / chi  # of q with beta, chi, scale
        da, db = moves @ (w * below), moves @ (w * below * v)
        dd, ds = moves @ (w * (below * q + first)), moves @ (w * 2 * first) * alpha
        unit = np.array([
            [scale / size - 2 * beta**2 * scale / size**2, -2 * beta * chi * scale / size**2,
             beta / size],
            [-2 * beta * chi * scale / size**2, scale / size - 2 * chi**2 * scale / size**2,
             chi / size],
        ])  # fmt: skip
        ratios = np.stack([db / a - b / a**2 * da, dd / a - d / a**2 * da])
        jacobian = np.vstack([ratios - unit, ds])
        step = np.zeros(3)
        step[free] = np.linalg.solve(jacobian[np.ix_(free, free)], residual[free])
        at = at - step
    return Direction(*map(float, best))
