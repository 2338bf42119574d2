"""Exact optimal transport by POT's network simplex, with potentials that hold everywhere.

The raw potentials of a network simplex mean nothing at points without mass; a gradient in the
mixture taken from them is wrong at the edge of the simplex by hundreds of per cent. Here they
are tightened by the c-transform f_i = min_j (C_ij - g_j), which is feasible for all marginals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalekit.errors import FitError, InputError, require

MAX_ITERATIONS = 10**8
SMALL_COST = 1e-2


@dataclass(frozen=True)
class Solution:
    """A transport problem solved: `value` is the cost of a plan, `lower` the dual value.

    `f` (n,) and `g` (m,) are potentials with f_i + g_j <= C_ij for all pairs, so that
    a @ f + b @ g is a lower bound for every pair of marginals a, b.
    """

    value: float
    lower: float
    f: np.ndarray
    g: np.ndarray


def solve_exact(
    cost: np.ndarray, a: np.ndarray | None = None, b: np.ndarray | None = None
) -> Solution:
    """Return the exact optimum for a cost (n, m) and weights a (n,), b (m,), uniform by default.

    Points of zero weight are left out of the problem and get their potentials afterwards.
    Raises InputError on costs that are not finite and on zero mass, FitError where the simplex
    does not finish. Method: Bonneel et al. 2011, through POT.

    >>> solve_exact(np.array([[0.0, 1.0], [1.0, 0.0]])).value
    0.0
    """
    ot = require("ot", "selectors", "Exact optimal transport")
    n, m = cost.shape
    a = np.full(n, 1 / n) if a is None else np.asarray(a, dtype=float)
    b = np.full(m, 1 / m) if b is None else np.asarray(b, dtype=float)
    check_problem(cost, a, b)
    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    whole = len(rows) == n and len(columns) == m
    part = np.ascontiguousarray(cost if whole else cost[np.ix_(rows, columns)], dtype=np.float64)
    mass_a, mass_b = a[rows] / a.sum(), b[columns] / b.sum()
    unit = _unit(part)
    if unit != 1:
        part = part / unit
    value, log = ot.emd2(mass_a, mass_b, part, log=True, numItermax=MAX_ITERATIONS)
    if log["warning"]:
        raise FitError(f"The network simplex did not finish: {log['warning']}. Rescale the cost.")
    f, g = tighten(cost, unit * np.asarray(log["v"]), columns)
    return Solution(unit * float(value), float(a @ f / a.sum() + b @ g / b.sum()), f, g)


def _unit(cost: np.ndarray) -> float:
    """Return what to divide a cost by: POT's tolerance is absolute, too coarse for small costs."""
    largest = float(cost.max())
    return largest if 0 < largest < SMALL_COST else 1.0


def tighten(cost: np.ndarray, g: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the c-transforms (f, g) for a potential g known on `columns` only."""
    n, m = cost.shape
    f = np.empty(n)
    rows = max(1, int(32e6 / (8 * m)))
    for start in range(0, n, rows):
        block = cost[start : start + rows]
        known = block if len(columns) == m else block[:, columns]
        f[start : start + rows] = (known - g[None]).min(axis=1)
    if len(columns) == m:
        return f, g
    return f, (cost - f[:, None]).min(axis=0)


def check_problem(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Raise InputError where weights do not fit the cost, or either side has no mass."""
    if a.shape != (cost.shape[0],) or b.shape != (cost.shape[1],):
        raise InputError(
            f"A cost of shape {cost.shape} needs {cost.shape[0]} and {cost.shape[1]} weights; "
            f"got {a.shape} and {b.shape}."
        )
    for name, weights in (("first", a), ("second", b)):
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise InputError(f"The {name} side has weights that are negative or not finite.")
        if weights.sum() <= 0:
            raise InputError(f"The {name} side has zero mass. Give some point weight.")
    if not np.isfinite(cost).all():
        raise InputError("The cost has values that are not finite. Check the features.")
