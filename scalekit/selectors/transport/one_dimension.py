"""Optimal transport on the line: squared W2 and its potentials, exact for weights of any kind."""

from __future__ import annotations

import numpy as np


def matching(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (i, j, mass): how sorted samples of sizes n and m with uniform weights are matched.

    The mass moves between at most n + m - 1 pairs, and the pairs do not depend on the values.
    """
    cuts = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1/(n m)
    mass = np.diff(cuts, prepend=0) / (n * m)
    return (cuts - 1) // m, (cuts - 1) // n, mass


def squared_w2_sorted(
    x: np.ndarray, y: np.ndarray, pairs: tuple[np.ndarray, np.ndarray, np.ndarray] | None
) -> np.ndarray:
    """Return squared W2 for each row of sorted values x (k, n), y (k, m); `pairs` where n != m."""
    if pairs is None:
        gap = x - y
        return np.einsum("kn,kn->k", gap, gap, dtype=np.float64) / x.shape[1]
    i, j, mass = pairs
    gap = x[:, i] - y[:, j]
    return np.einsum("kn,kn,n->k", gap, gap, mass, dtype=np.float64)


def potentials(
    x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return optimal potentials (f, g) for sorted x (n,), y (m,) with weights a, b.

    Squared cost; f_i + g_j <= (x_i - y_j)^2 for all pairs, also where a or b is zero. Along the
    staircase of the monotone matching the constraint is tight, so f and g are running sums.
    """
    cut_a, cut_b = np.cumsum(a)[:-1], np.cumsum(b)[:-1]
    partner_of_step = np.searchsorted(cut_b, cut_a, side="right")  # j while i goes to i + 1
    partner_back = np.searchsorted(cut_a, cut_b, side="left")  # i while j goes to j + 1
    y_at, x_at = y[partner_of_step], x[partner_back]
    f = np.concatenate([[0.0], np.cumsum((x[1:] - y_at) ** 2 - (x[:-1] - y_at) ** 2)])
    g = np.concatenate([[0.0], np.cumsum((x_at - y[1:]) ** 2 - (x_at - y[:-1]) ** 2)])
    return f, g + (x[0] - y[0]) ** 2
