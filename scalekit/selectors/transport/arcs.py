"""From entropic potentials to an exact plan: a network simplex on the few pairs that matter.

Pairs whose reduced cost C_ij - f_i - g_j is far above zero carry no mass in an optimal plan.
Solving on the others (some ten a row) takes a second where the whole matrix takes a minute, and
gives a feasible plan: an upper bound that, in practice, is the optimum. Pairs that violate the
new potentials are added and the problem solved again, until the bounds meet or rounds run out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalekit.errors import require
from scalekit.selectors.transport.entropic import row_blocks, row_minima

if TYPE_CHECKING:
    import torch

ARCS_PER_ROW = 12
CLOSED = 1e-5  # relative gap at which the bounds are taken to have met


@dataclass(frozen=True)
class Refined:
    """`upper` is the cost of a feasible plan, `lower` the best certified dual value."""

    upper: float
    lower: float
    arcs: int
    rounds: int


def refine(
    cost: torch.Tensor,
    g: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    lower: float,
    rounds: int = 4,
    arcs_per_row: int = ARCS_PER_ROW,
) -> Refined:
    """Return bounds on the exact cost from the potential `g` (m,) of an entropic solution."""
    import torch

    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    if len(rows) < len(a) or len(columns) < len(b):
        cost = cost[torch.as_tensor(rows)][:, torch.as_tensor(columns)]
        a, b, g = a[rows] / a.sum(), b[columns] / b.sum(), g[columns]
    n, m = cost.shape
    arcs = np.unique(
        np.concatenate([_nearly_tight(cost, g, arcs_per_row), _staircase(a, b)]),
    )
    upper = np.inf
    for done in range(1, rounds + 1):
        upper, potential = _solve(cost, arcs, a, b)
        lower = max(lower, _dual_value(cost, potential, a, b))
        if upper - lower <= CLOSED * abs(upper) or done == rounds:
            break
        grown = np.union1d(arcs, _nearly_tight(cost, potential, arcs_per_row))
        if len(grown) == len(arcs):
            break
        arcs = grown
    return Refined(upper, lower, len(arcs), done)


def _nearly_tight(cost: torch.Tensor, g: np.ndarray, per_row: int) -> np.ndarray:
    """Return the pairs (as i * m + j) of smallest reduced cost in each row and each column."""
    import torch

    n, m = cost.shape
    potential = torch.as_tensor(g, dtype=torch.float32, device=cost.device)
    tight, _ = row_minima(cost, potential)
    best_value = torch.full((per_row, m), float("inf"), device=cost.device)
    best_place = torch.zeros((per_row, m), dtype=torch.long, device=cost.device)
    found = []
    for rows in row_blocks(cost.shape):
        reduced = cost[rows] - tight[rows, None] - potential[None]
        near = reduced.topk(min(per_row, m), dim=1, largest=False).indices
        index = torch.arange(rows.start, rows.stop, device=cost.device)
        found.append((index[:, None] * m + near).flatten().cpu().numpy())
        few = reduced.topk(min(per_row, len(reduced)), dim=0, largest=False)
        stacked = torch.cat([best_value, few.values])
        places = torch.cat([best_place, few.indices + rows.start])
        best_value, order = stacked.topk(per_row, dim=0, largest=False)
        best_place = places.gather(0, order)
    real = torch.isfinite(best_value)
    column = torch.arange(m, device=cost.device).expand_as(best_place)
    found.append((best_place * m + column)[real].cpu().numpy())
    return np.concatenate(found)


def _staircase(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the pairs of the north-west corner plan: with them, some plan is always feasible."""
    cut_a, cut_b = np.cumsum(a)[:-1], np.cumsum(b)[:-1]
    cuts = np.sort(np.concatenate([[0.0], cut_a, cut_b]))
    i = np.searchsorted(cut_a, cuts, side="right")
    j = np.searchsorted(cut_b, cuts, side="right")
    steps = np.concatenate([i * len(b) + j, i[1:] * len(b) + j[:-1], i[:-1] * len(b) + j[1:]])
    return np.asarray(steps)


def _solve(
    cost: torch.Tensor, arcs: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[float, np.ndarray]:
    import torch
    from scipy.sparse import coo_matrix

    ot = require("ot", "selectors", "Refining entropic transport")
    i, j = np.divmod(arcs, len(b))
    values = cost[torch.as_tensor(i), torch.as_tensor(j)].double().cpu().numpy()
    # a zero would not be stored; the shift is taken off again
    shift = 1.0
    table = coo_matrix((values + shift, (i, j)), shape=cost.shape)
    _, log = ot.lp.emd(a, b, table, log=True, numItermax=10**8)
    return float(log["cost"]) - shift, np.asarray(log["v"])


def _dual_value(cost: torch.Tensor, g: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    import torch

    potential = torch.as_tensor(g, dtype=torch.float32, device=cost.device)
    tight, _ = row_minima(cost, potential)
    return float(tight.double().cpu().numpy() @ a + g @ b)
