"""Where two curves cross: all roots of their difference on a log axis."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

LARGEST_LOG = 690.0  # of a scale that a float holds
POINTS = 512  # of the grid in log scale; a dip between two points is looked for as well

Difference = Callable[[np.ndarray], np.ndarray]


def power_law_crossings(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> list[float]:
    """Return all scales x > 0 where `E + A * x**-alpha` of two laws (E, A, alpha) agree.

    In log x the difference is a sum of three exponentials, so it has at most two roots, one on
    each side of its only extremum (Xiao 2024, arXiv:2409.15156, studies such crossings). Equal
    laws cross nowhere. Amplitudes and exponents are positive. Scales that no float can hold
    (beyond 1e300) are left out.

    >>> [round(x, 3) for x in power_law_crossings((0.0, 8.0, 0.5), (0.0, 2.0, 0.25))]
    [256.0]
    """
    (e1, a1, s1), (e2, a2, s2) = first, second
    gap = e1 - e2
    if s1 == s2:
        ratio = (a2 - a1) / gap if gap else 0.0
        return _scales([np.log(ratio) / s1] if ratio > 0 else [])
    if gap == 0:
        return _scales([(np.log(a1) - np.log(a2)) / (s1 - s2)])

    def difference(u: float) -> float:
        # divided by the larger term, so that nothing overflows far out
        top = max(np.log(abs(gap)), np.log(a1) - s1 * u, np.log(a2) - s2 * u)
        terms = (np.log(a1) - s1 * u - top, np.log(a2) - s2 * u - top)
        return float(gap * np.exp(-top) + np.exp(terms[0]) - np.exp(terms[1]))

    from scipy.optimize import brentq

    turn = np.log(a1 * s1 / (a2 * s2)) / (s1 - s2)
    (steep, s), (flat, r) = sorted(((a1, s1), (a2, s2)), key=lambda law: -law[1])
    # to the left of `left` the steeper term outweighs the rest, to the right of `right` the gap
    outweighs = np.log(steep) - np.log(4 * flat), np.log(steep) - np.log(4 * abs(gap))
    left = min(turn, outweighs[0] / (s - r), outweighs[1] / s) - 1
    faint = [(np.log(4 * a) - np.log(abs(gap))) / k for a, k in ((a1, s1), (a2, s2))]
    right = max(turn, *faint) + 1
    roots = []
    for low, high in ((left, turn), (turn, right)):
        if difference(low) * difference(high) < 0:
            roots.append(brentq(difference, low, high, xtol=1e-13, rtol=1e-15))
    return _scales(roots)


def _scales(logs: list[float]) -> list[float]:
    return [float(np.exp(u)) for u in logs if abs(u) < LARGEST_LOG]


def crossings(difference: Difference, low: float, high: float, points: int = POINTS) -> np.ndarray:
    """Return all roots of `difference` (a function of an array of scales) in [low, high].

    A grid in log scale brackets the roots; where the size of the difference dips between two
    points without a change of sign, the dip is followed to see whether it touches zero.
    """
    from scipy.optimize import brentq, minimize_scalar

    grid = np.linspace(np.log(low), np.log(high), points)
    values = difference(np.exp(grid))

    def at(u: float) -> float:
        return float(difference(np.array([np.exp(u)]))[0])

    knots, found = list(grid), list(values)
    sizes = np.abs(values)
    dips = np.flatnonzero(
        (sizes[1:-1] < sizes[:-2]) & (sizes[1:-1] <= sizes[2:])
        & (np.sign(values[1:-1]) == np.sign(values[:-2]))
        & (np.sign(values[1:-1]) == np.sign(values[2:]))
    ) + 1  # fmt: skip
    for k in dips:
        sign = float(np.sign(values[k]))
        dip = minimize_scalar(
            lambda u, sign=sign: sign * at(u), bounds=(grid[k - 1], grid[k + 1]), method="bounded",
            options={"xatol": 1e-10},
        )  # fmt: skip
        knots.append(float(dip.x))
        found.append(sign * float(dip.fun))
    order = np.argsort(knots)
    u, d = np.array(knots)[order], np.array(found)[order]
    apart = np.flatnonzero(d)
    roots = []
    for left, right in pairwise(apart):
        if d[left] * d[right] > 0:
            continue
        if right > left + 1:  # zero on the grid itself: the middle of where it is
            roots.append(float(np.exp(u[left + 1 : right].mean())))
        else:
            roots.append(float(np.exp(brentq(at, u[left], u[right], xtol=1e-13, rtol=1e-14))))
    return np.array(roots)


def count_crossings(differences: np.ndarray) -> np.ndarray:
    """Return how often each row of `differences` (draws, grid) changes sign."""
    ahead = differences < 0
    return np.asarray((ahead[:, 1:] != ahead[:, :-1]).sum(axis=1))


def followed_crossings(differences: np.ndarray, grid: np.ndarray, place: float) -> np.ndarray:
    """Return, for each draw, its downward crossing of zero that is nearest to `place`.

    `differences` has shape (draws, grid); crossings are interpolated on the log axis. A draw
    without one counts as crossing below the range (0) where it is negative at `place`, and above
    it (infinity) where it is not.
    """
    logs = np.log(grid)
    left, right = differences[:, :-1], differences[:, 1:]
    down = (left > 0) & (right <= 0)
    with np.errstate(all="ignore"):
        share = np.where(down, left / (left - right), 0.0)
    places = logs[:-1] + share * np.diff(logs)
    k = np.where(down, np.abs(places - np.log(place)), np.inf).argmin(axis=1)
    rows = np.arange(len(differences))
    ahead = differences[:, int(np.argmin(np.abs(logs - np.log(place))))] < 0
    return np.where(down.any(axis=1), np.exp(places[rows, k]), np.where(ahead, 0.0, np.inf))
