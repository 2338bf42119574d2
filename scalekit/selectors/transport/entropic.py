"""Entropic optimal transport that stays fast at small regularisation and never underflows unseen.

Sinkhorn's iteration in scaling form costs two matrix-vector products a step, but its kernel
exp(-C / eps) underflows where eps is small. Here eps falls in stages and the potentials are
absorbed into the kernel, K = exp((f + g - C) / eps). A stage begins with the double c-transform
of its potentials, so that every row and every column of K has an entry that is exactly 1.

The potentials give a certified lower bound on the *exact* cost (their c-transform), and the few
pairs that they leave nearly tight give a plan, hence an upper bound: see `arcs`.
Sources: Schmitzer 2019 (stabilised sparse scaling), Feydy et al. 2019 (divergence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalekit.errors import FitError, InputError
from scalekit.selectors.transport.exact import check_problem

if TYPE_CHECKING:
    import torch

FIRST_EPSILON, SHRINK = 0.1, 4.0  # the first stage, relative to the mean cost; then a quarter each
STAGE_STEPS, LAST_STEPS = 20, 200
LARGEST_SCALING = 1e12  # beyond it the scalings are absorbed; float32 ends at 3e38
SMALLEST_SUM = 1e-30
UNFINISHED = 1e-2  # a marginal error at which the value is no entropic cost yet
LARGEST_EXPONENT = 60.0


@dataclass(frozen=True)
class EntropicSolution:
    """An entropic problem solved: potentials, bounds on the exact cost, how it went.

    `regularised` is the entropic cost (with KL to the product of the marginals), `lower` a bound
    on the exact cost that holds to float32 rounding. `marginal_error` is the L1 distance of the
    plan's first marginal from a; `absorbed` counts how often the kernel was rebuilt.
    """

    regularised: float
    lower: float
    f: np.ndarray
    g: np.ndarray
    epsilon: float
    steps: int
    absorbed: int
    marginal_error: float
    converged: bool


def solve_entropic(
    cost: torch.Tensor | np.ndarray,
    a: np.ndarray | None = None,
    b: np.ndarray | None = None,
    epsilon: float = 0.002,
    tolerance: float = 5e-3,
    last_steps: int = LAST_STEPS,
) -> EntropicSolution:
    """Return the entropic optimum for a cost (n, m), uniform weights by default.

    `epsilon` is relative to the mean cost. The cost stays where it is (CPU or GPU), as float32;
    one kernel of the same size is held beside it. Weights may be zero: potentials are defined
    at every point. Raises InputError as `solve_exact` does, and for an epsilon not above 1e-6.

    >>> import numpy as np
    >>> cost = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> round(solve_entropic(cost, epsilon=0.05).lower, 6)
    0.0
    """
    import torch

    matrix = torch.as_tensor(cost, dtype=torch.float32)
    n, m = matrix.shape
    a = np.full(n, 1 / n) if a is None else np.asarray(a, dtype=float)
    b = np.full(m, 1 / m) if b is None else np.asarray(b, dtype=float)
    check_problem(np.empty(matrix.shape, dtype=bool), a, b)
    mean = float(matrix.mean())
    if not np.isfinite(mean):
        raise InputError("The cost has values that are not finite. Check the features.")
    check_epsilon(epsilon)
    run = _Sinkhorn(matrix, a / a.sum(), b / b.sum())
    for stage in _stages(epsilon):
        last = stage == epsilon
        run.stage(
            max(stage * mean, 1e-30),
            last_steps if last else STAGE_STEPS,
            tolerance if last else 1e-2,
        )
    return run.solution(tolerance)


def check_epsilon(epsilon: float) -> None:
    """Raise InputError for an epsilon that float32 cannot resolve."""
    if not epsilon > 1e-6:
        raise InputError(
            f"epsilon is relative to the mean cost and must be above 1e-6; got {epsilon}."
        )


def _stages(epsilon: float) -> list[float]:
    stages, current = [], FIRST_EPSILON
    while current > epsilon * 1.5:
        stages.append(current)
        current /= SHRINK
    return [*stages, epsilon]


class _Sinkhorn:
    """The state of one run: cost, kernel, potentials."""

    def __init__(self, cost: torch.Tensor, a: np.ndarray, b: np.ndarray) -> None:
        import torch

        self.torch, self.cost = torch, cost
        self.a = torch.as_tensor(a, dtype=torch.float32, device=cost.device)
        self.b = torch.as_tensor(b, dtype=torch.float32, device=cost.device)
        self.kernel = torch.empty_like(cost)
        self.f, self.g = torch.zeros_like(self.a), torch.zeros_like(self.b)
        self.epsilon, self.steps, self.absorbed, self.error = 1.0, 0, 0, np.inf

    def stage(self, epsilon: float, steps: int, tolerance: float) -> None:
        """Run at most `steps` steps at `epsilon`, then absorb the scalings."""
        torch, self.epsilon = self.torch, epsilon
        self.f, _ = row_minima(self.cost, self.g)
        self.g = column_minima(self.cost, self.f)
        self._rebuild()
        u, v = torch.ones_like(self.a), torch.ones_like(self.b)
        for _ in range(steps):
            rows = self.kernel @ (self.b * v)
            self.error = float((self.a * (u * rows - 1).abs()).sum())
            if self.steps and self.error < tolerance and float(v.max()) < LARGEST_SCALING:
                break
            u = 1 / rows.clamp_min(SMALLEST_SUM)
            v = 1 / ((self.a * u) @ self.kernel).clamp_min(SMALLEST_SUM)
            self.steps += 1
            if float(torch.maximum(u.max(), v.max())) > LARGEST_SCALING:
                self._absorb(u, v)
                self._rebuild()
                u, v = torch.ones_like(u), torch.ones_like(v)
        self._absorb(u, v)

    def _absorb(self, u: torch.Tensor, v: torch.Tensor) -> None:
        self.f = self.f + self.epsilon * u.log()
        self.g = self.g + self.epsilon * v.log()

    def _rebuild(self) -> None:
        self.torch.sub(self.f[:, None], self.cost, out=self.kernel)
        self.kernel.add_(self.g[None]).div_(self.epsilon)
        # between two points without mass the exponent is free to grow; no other reaches this
        self.kernel.clamp_(max=LARGEST_EXPONENT).exp_()
        self.absorbed += 1

    def solution(self, tolerance: float) -> EntropicSolution:
        """Return the potentials and the certified lower bound."""
        f, g = self.f.double(), self.g.double()
        a, b = self.a.double(), self.b.double()
        tight, _ = row_minima(self.cost, self.g)
        return EntropicSolution(
            float(f @ a + g @ b),
            float(tight.double() @ a + g @ b),
            f.cpu().numpy(),
            g.cpu().numpy(),
            self.epsilon,
            self.steps,
            self.absorbed,
            self.error,
            self.error < tolerance,
        )


def row_minima(cost: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return min_j (C_ij - g_j) and where it is attained, by blocks of rows."""
    import torch

    values, places = torch.empty_like(cost[:, 0]), torch.empty(len(cost), dtype=torch.long)
    for rows in row_blocks(cost.shape):
        least = (cost[rows] - g[None]).min(dim=1)
        values[rows], places[rows] = least.values, least.indices.cpu()
    return values, places


def column_minima(cost: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
    """Return min_i (C_ij - f_i), by blocks of rows."""
    import torch

    values = torch.full_like(cost[0], float("inf"))
    for rows in row_blocks(cost.shape):
        values = torch.minimum(values, (cost[rows] - f[rows, None]).amin(dim=0))
    return values


def row_blocks(shape: tuple[int, ...], block_bytes: float = 64e6) -> list[slice]:
    """Return slices of rows whose float32 block of a matrix stays below `block_bytes`."""
    step = max(1, int(block_bytes / (4 * shape[1])))
    return [slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step)]


def sinkhorn_divergence(
    cost: np.ndarray | torch.Tensor,
    self_a: np.ndarray | torch.Tensor | float,
    self_b: np.ndarray | torch.Tensor | float,
    a: np.ndarray | None = None,
    b: np.ndarray | None = None,
    epsilon: float = 0.02,
) -> float:
    """Return the debiased divergence OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2.

    `self_a` and `self_b` are the costs within each side (n, n) and (m, m), or, where they are
    known from before, the numbers OT(a, a) and OT(b, b) themselves at the same absolute epsilon.
    All three use the epsilon of the cross term. Raises FitError where the cross term has not
    converged. Source: Feydy et al., AISTATS 2019, eq. 3.
    """
    import torch

    matrix = torch.as_tensor(cost, dtype=torch.float32)
    mean = float(matrix.mean())
    solution = solve_entropic(matrix, a, b, epsilon, tolerance=1e-4)
    if solution.marginal_error > UNFINISHED:
        raise FitError(
            f"At epsilon {epsilon:g} the marginal is still {solution.marginal_error:.1%} off after "
            f"{solution.steps} steps. Raise epsilon, or use the exact method."
        )
    cross = solution.regularised
    terms = [
        term if isinstance(term, (int, float)) else self_term(term, weights, epsilon * mean)
        for term, weights in ((self_a, a), (self_b, b))
    ]
    return float(cross - sum(terms) / 2)


def self_term(cost: np.ndarray | torch.Tensor, weights: np.ndarray | None, epsilon: float) -> float:
    """Return OT(a, a) of one side at an absolute `epsilon`, to be kept and used again."""
    import torch

    matrix = torch.as_tensor(cost, dtype=torch.float32)
    relative = max(epsilon / max(float(matrix.mean()), 1e-30), 2e-6)
    return solve_entropic(matrix, weights, weights, relative, tolerance=1e-4).regularised
