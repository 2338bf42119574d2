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
from scalekit.selectors.transport.entropic import column_minima, row_blocks, row_minima

if TYPE_CHECKING:
    import torch

ARCS_PER_ROW = 12
CLOSED = 1e-5  # relative gap at which the bounds are taken to have met


@dataclass(frozen=True)
class Refined:
    """`upper` is the cost of a feasible plan, `lower` the best certified dual value.

    `f` and `g` are the potentials of that bound, feasible for all pairs.
    """

    upper: float
    lower: float
    f: np.ndarray
    g: np.ndarray
    arcs: int
    rounds: int


def refine(
    cost: torch.Tensor,
    g: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    rounds: int = 4,
    arcs_per_row: int = ARCS_PER_ROW,
) -> Refined:
    """Return bounds on the exact cost from the potential `g` (m,) of an entropic solution.

    Points without mass carry no flow; their potentials follow from the c-transform.
    """
    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    arcs = np.concatenate([_nearly_tight(cost, g, arcs_per_row), _staircase(a, b, rows, columns)])
    arcs = np.unique(arcs)
    lower, best = _dual_value(cost, g, a, b), g
    done = 0
    for done in range(1, rounds + 1):  # noqa: B007
        upper, potential = _solve(cost, arcs, a, b, rows, columns)
        bound = _dual_value(cost, potential, a, b)
        if bound > lower:
            lower, best = bound, potential
        grown = np.union1d(arcs, _nearly_tight(cost, potential, arcs_per_row))
        if upper - lower <= CLOSED * abs(upper) or len(grown) == len(arcs):
            break
        arcs = grown
    f = row_minima(cost, _on_device(best, cost))[0].double().cpu().numpy()
    return Refined(upper, min(lower, upper), f, best, len(arcs), done)


def _on_device(values: np.ndarray, cost: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.as_tensor(values, dtype=torch.float32, device=cost.device)


def _nearly_tight(cost: torch.Tensor, g: np.ndarray, per_row: int) -> np.ndarray:
    """Return the pairs (as i * m + j) of smallest reduced cost in each row and each column."""
    import torch

    m = cost.shape[1]
    potential = _on_device(g, cost)
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


def _staircase(a: np.ndarray, b: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the pairs of the north-west corner plan: with them, some plan is always feasible."""
    cut_a, cut_b = np.cumsum(a[rows])[:-1], np.cumsum(b[columns])[:-1]
    cuts = np.sort(np.concatenate([[0.0], cut_a, cut_b]))
    i = rows[np.searchsorted(cut_a, cuts, side="right")]
    j = columns[np.searchsorted(cut_b, cuts, side="right")]
    m = len(b)
    return np.concatenate([i * m + j, i[1:] * m + j[:-1], i[:-1] * m + j[1:]])


def _solve(
    cost: torch.Tensor,
    arcs: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Return the optimum on `arcs` and a potential on all columns, infinite where b is zero."""
    import torch
    from scipy.sparse import coo_matrix

    ot = require("ot", "selectors", "Refining entropic transport")
    i, j = np.divmod(arcs, len(b))
    used = (a[i] > 0) & (b[j] > 0)
    i, j = i[used], j[used]
    values = cost[torch.as_tensor(i), torch.as_tensor(j)].double().cpu().numpy()
    # POT's tolerance is absolute, and it drops pairs whose cost is exactly zero: costs are scaled
    # and shifted, which is taken off again
    unit, shift = float(values.max()) or 1.0, 1.0
    places = (np.searchsorted(rows, i), np.searchsorted(columns, j))
    table = coo_matrix((values / unit + shift, places), shape=(len(rows), len(columns)))
    _, log = ot.lp.emd(a[rows], b[columns], table, log=True, numItermax=10**8)
    g = np.full(len(b), -np.inf)
    g[columns] = unit * log["v"]
    if len(columns) < len(b):
        f = row_minima(cost, _on_device(g, cost))[0]
        g = np.where(b > 0, g, column_minima(cost, f).double().cpu().numpy())
    return unit * (float(log["cost"]) - shift), g


def _dual_value(cost: torch.Tensor, g: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    tight, _ = row_minima(cost, _on_device(g, cost))
    return float(tight.double().cpu().numpy() @ a + g @ b)
