"""The batched solver: many fits, starts and resamples of one law in one call.

A damped Newton method on the exact objective, run on all members of the batch at once; members
that have converged drop out. The second derivatives are exact (semismooth where Huber's function
has its knee), which is what makes nearly absolute objectives converge in a few steps. Bounds are
active sets: a parameter whose optimum lies at its bound is found exactly there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scalekit.fitters.model import Model, Scales, bounds_of
from scalekit.fitters.objectives import Objective

BLOCK = 48_000  # elements (members x rows) worked on at once: the temporaries stay in cache
MAX_ITERATIONS = 1000
RIDGE = 1e-14  # relative, so that a direction without any information does not move


@dataclass(frozen=True)
class Problem:
    """What is made small: `objective` of a law's residuals on weighted rows.

    `scales` and `target` have shape (rows,) or (batch, rows). `lower` and `upper`, of shape
    (parameters,) or (batch, parameters), are in the solver's coordinates; a parameter is held
    fixed where they are equal.
    """

    model: Model
    scales: Scales
    target: np.ndarray
    objective: Objective
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def of(cls, model: Model, scales: Scales, target: np.ndarray, objective: Objective) -> Problem:
        """Return the problem with the bounds that the law declares."""
        lower, upper = bounds_of(model.parameters)
        return cls(model, scales, target, objective, lower, upper)

    def part(self, members: np.ndarray | slice, rows: slice = slice(None)) -> Problem:
        """Return the same problem for some members of the batch and some rows."""

        def cut(values: np.ndarray) -> np.ndarray:
            return values[members, rows] if values.ndim == 2 else values[rows]

        def bound(values: np.ndarray) -> np.ndarray:
            return values[members] if values.ndim == 2 else values

        return Problem(
            self.model,
            {name: cut(np.asarray(scale)) for name, scale in self.scales.items()},
            cut(self.target),
            self.objective,
            bound(self.lower),
            bound(self.upper),
        )

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """Return the residuals, of shape (batch, rows)."""
        return self._residual(self.model.value(theta, self.scales))

    def _residual(self, predicted: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            if self.objective.on_log:
                return np.log(self.target) - np.log(predicted)
            return np.asarray(self.target - predicted)


@dataclass(frozen=True)
class Solution:
    """Where the solver stopped, one entry per member of the batch.

    `theta` (batch, parameters) is in the solver's coordinates, `value` the objective there (inf
    where the law has no value), `converged` whether no step improves on it any more.
    """

    theta: np.ndarray
    value: np.ndarray
    converged: np.ndarray

    def best_of(self, groups: int) -> Solution:
        """Return the best of every `batch / groups` consecutive members."""
        size = len(self.value) // groups
        pick = self.value.reshape(groups, size).argmin(axis=1) + size * np.arange(groups)
        return Solution(self.theta[pick], self.value[pick], self.converged[pick])


@dataclass
class _Local:
    """Value, gradient, Hessian and majorising curvature of the objective; arrays over a batch."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    curvature: np.ndarray

    def put(self, place: np.ndarray, other: _Local, rows: np.ndarray) -> None:
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[place] = theirs[rows]

    def at(self, rows: np.ndarray) -> _Local:
        return _Local(*[entry[rows] for entry in vars(self).values()])


def evaluate(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the objective at each member's parameters; inf where the law has no value there."""
    total = np.zeros(len(theta))
    for members, rows in _blocks(len(theta), problem.target.shape[-1]):
        part = problem.part(members, rows)
        with np.errstate(all="ignore"):
            rho = problem.objective.rho(part.residual(theta[members]))
            total[members] += (_cut(weights, members, rows) * rho).sum(axis=1)
    return np.where(np.isnan(total), np.inf, total)


def cross_evaluate(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the objective of every weighting at every parameter vector, (weightings, vectors).

    One matrix product: resamples differ only in their weights, so a pool of solutions can be
    tried on all of them for the price of one.
    """
    total = np.zeros((len(weights), len(theta)))
    rows_at_once = max(1, 20_000_000 // max(len(theta), len(weights)))
    for start in range(0, weights.shape[1], rows_at_once):
        rows = slice(start, start + rows_at_once)
        part = problem.part(slice(None), rows)
        with np.errstate(all="ignore"):
            rho = problem.objective.rho(part.residual(theta))
        total += weights[:, rows] @ np.where(np.isfinite(rho), rho, 1e300).T
    return total


def local_model(
    problem: Problem, theta: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the objective at one parameter vector, the gradient of each row, and the Hessian.

    The rows' gradients have shape (rows, parameters); their sum is the gradient of the objective.
    """
    rows, batch = problem.target.shape[-1], theta[None]
    gradients = np.empty((rows, len(theta)))
    for _, part in _blocks(1, rows):
        piece = problem.part(slice(None), part)
        predicted, first, _ = piece.model.derivatives(batch, piece.scales)
        psi = piece.objective.slopes(piece._residual(predicted))[0]
        scale = 1.0 / predicted if piece.objective.on_log else 1.0
        pull = _cut(weights, slice(None), part) * psi * scale
        for k, entry in enumerate(first):
            gradients[part, k] = -(pull * entry)[0]
    total = _local(problem, batch, np.broadcast_to(weights, (1, rows)))
    return float(total.value[0]), gradients, total.hessian[0]


def solve(
    problem: Problem,
    starts: np.ndarray,
    weights: np.ndarray,
    max_iterations: int = MAX_ITERATIONS,
    tolerance: float = 1e-13,
) -> Solution:
    """Minimise from each row of `starts`; weights have shape (rows,) or (batch, rows).

    `tolerance` is relative to the objective. Memory is bounded: the batch is worked on in blocks.
    """
    # glibc gives freed memory back at once until it has seen one large block freed; without this
    # line, half of the time of a large batch goes into page faults
    np.empty(31 << 20, dtype=np.uint8)
    theta = np.empty(np.shape(starts), dtype=float)
    value, converged = np.empty(len(starts)), np.empty(len(starts), dtype=bool)
    size = max(1, BLOCK // problem.target.shape[-1])
    for start in range(0, len(starts), size):
        block = slice(start, start + size)
        part = problem.part(block)
        found = _newton(
            part, starts[block], _cut(weights, block, slice(None)), max_iterations, tolerance
        )
        theta[block], value[block], converged[block] = found
    return Solution(theta, value, converged)


def _newton(
    problem: Problem, starts: np.ndarray, weights: np.ndarray, iterations: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    batch, count = starts.shape
    weights = np.broadcast_to(weights, (batch, problem.target.shape[-1]))
    lower = np.broadcast_to(problem.lower, (batch, count))
    upper = np.broadcast_to(problem.upper, (batch, count))
    theta = np.clip(starts, lower, upper)
    here = _local(problem, theta, weights)
    damping, quiet = np.full(batch, 1e-3), np.zeros(batch, dtype=int)
    active = np.flatnonzero(np.isfinite(here.value))
    for _ in range(iterations):
        if not active.size:
            break
        whole = active.size == batch
        part = problem if whole else problem.part(active)
        at = here if whole else here.at(active)
        low, high = lower[active], upper[active]
        theta_before = theta[active]
        step = _step(at, theta_before, low, high, damping[active])
        trial = np.clip(theta_before + step, low, high)
        there = _local(part, trial, weights if whole else weights[active])
        gain = at.value - there.value
        better = gain > 0
        theta[active[better]] = trial[better]
        promised = -0.5 * (at.gradient * (trial - theta_before)).sum(axis=1)
        small = np.where(better, gain, promised) <= tolerance * np.abs(at.value)
        here.put(active[better], there, better)
        damping[active] = np.where(
            better, np.maximum(0.15 * damping[active], 1e-12), 8 * damping[active]
        )
        quiet[active] = np.where(small, quiet[active] + 1, 0)
        done = (quiet[active] >= 2) | (damping[active] > 1e10) | (here.value[active] == 0)
        active = active[~done]
    left = np.zeros(batch, dtype=bool)
    left[active] = True
    return theta, here.value, np.isfinite(here.value) & ~left


def _local(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> _Local:
    """Return the local model of the objective, summed over blocks of rows."""
    batch, count = theta.shape
    total = _Local(
        np.zeros(batch),
        np.zeros((batch, count)),
        np.zeros((batch, count, count)),
        np.zeros((batch, count, count)),
    )
    for members, rows in _blocks(batch, problem.target.shape[-1]):
        part = problem.part(members, rows)
        found = _local_rows(part, theta[members], _cut(weights, members, rows))
        for mine, theirs in zip(vars(total).values(), vars(found).values(), strict=True):
            mine[members] += theirs
    bad = ~np.isfinite(total.value) | ~np.isfinite(total.gradient).all(axis=1)
    total.value[bad] = np.inf
    return total


def _local_rows(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> _Local:
    predicted, first, second = problem.model.derivatives(theta, problem.scales)
    residual = problem._residual(predicted)
    shape = residual.shape
    slopes = np.empty((shape[0], theta.shape[1], shape[1]))
    with np.errstate(all="ignore"):
        value = (weights * problem.objective.rho(residual)).sum(axis=1)
        psi, inner, curvature = problem.objective.slopes(residual)
        scale = 1.0 / predicted if problem.objective.on_log else None
        for k, entry in enumerate(first):
            slopes[:, k] = entry if scale is None else entry * scale
        pull = weights * psi
        gradient = -np.matmul(slopes, pull[:, :, None])[:, :, 0]
        bend = weights * inner if scale is None else weights * inner + pull
        turned = slopes.transpose(0, 2, 1)
        hessian = np.matmul(slopes * bend[:, None, :], turned)
        majorant = np.matmul(slopes * (weights * curvature)[:, None, :], turned)
        lift = pull if scale is None else pull * scale
        for (i, j), entry in second.items():
            part = (lift * entry).sum(axis=1)
            hessian[:, i, j] -= part
            if i != j:
                hessian[:, j, i] -= part
    return _Local(value, gradient, hessian, majorant)


def _step(
    at: _Local, theta: np.ndarray, lower: np.ndarray, upper: np.ndarray, damping: np.ndarray
) -> np.ndarray:
    """Return the damped Newton step inside the bounds; Gauss-Newton where the Hessian bends up.

    The damping is measured in the majorising curvature, so it does not depend on units.
    """
    held = (theta <= lower) & (at.gradient > 0) | (theta >= upper) & (at.gradient < 0)
    held |= lower == upper
    free = ~held
    gradient = np.where(free, at.gradient, 0.0)
    both = free[:, :, None] & free[:, None, :]
    diagonal = np.arange(theta.shape[1])
    metric = np.where(both, at.curvature, 0.0)
    size = np.where(free, metric[:, diagonal, diagonal], 1.0)
    size = np.where(size > 0, size, 1.0)
    # unit diagonal: the factorisation below then sees correlations, not units
    root = np.sqrt(size)
    outer = root[:, :, None] * root[:, None, :]
    metric = metric / outer
    metric[:, diagonal, diagonal] = np.where(free, 1.0 + RIDGE, 1.0)
    hessian = np.where(both, at.hessian, 0.0) / outer
    hessian[:, diagonal, diagonal] += np.where(free, RIDGE, 1.0)
    soft = 0.05 * np.eye(theta.shape[1])  # a little of the diagonal, where the metric is singular
    damper = damping[:, None, None] * (metric + soft)
    right = gradient / root
    step, sound = _solve_positive(hessian + damper, right)
    if not sound.all():
        bent = np.flatnonzero(~sound)
        step[bent], _ = _solve_positive((metric + damper)[bent], right[bent], floor=1e-13)
    return -np.where(free, step / root, 0.0)


def _solve_positive(
    matrix: np.ndarray, right: np.ndarray, floor: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Solve symmetric positive definite systems of a batch; the second output says which were.

    A square-root-free Cholesky factorisation written over the batch: for a few unknowns and
    thousands of members this is many times faster than one LAPACK call a member, and a matrix
    that is not positive definite is an answer, not an exception.
    """
    batch, count = right.shape
    lower = np.zeros((count, count, batch))
    pivots = np.empty((count, batch))
    entries = matrix.transpose(1, 2, 0)
    sound = np.ones(batch, dtype=bool)
    for j in range(count):
        pivot = entries[j, j] - (lower[j, :j] ** 2 * pivots[:j]).sum(axis=0)
        # not `pivot > 0`: rounding leaves positive dust where the true pivot is zero
        bad = ~(pivot > 1e-15 * np.abs(entries[j, j]))
        sound &= ~bad
        pivots[j] = np.where(bad, np.maximum(np.abs(pivot), floor or 1.0), pivot)
        for i in range(j + 1, count):
            cross = (lower[i, :j] * lower[j, :j] * pivots[:j]).sum(axis=0)
            lower[i, j] = (entries[i, j] - cross) / pivots[j]
    forward = np.empty((count, batch))
    for i in range(count):
        forward[i] = right[:, i] - (lower[i, :i] * forward[:i]).sum(axis=0)
    forward /= pivots
    for i in range(count - 1, -1, -1):
        forward[i] -= (lower[i + 1 :, i] * forward[i + 1 :]).sum(axis=0)
    return forward.T, sound


def _blocks(batch: int, rows: int) -> Iterator[tuple[slice, slice]]:
    """Yield (members, rows) so that each block has at most about BLOCK elements."""
    high = max(1, BLOCK // rows)
    wide = min(rows, BLOCK)
    for first in range(0, batch, high):
        for start in range(0, rows, wide):
            yield slice(first, first + high), slice(start, start + wide)


def _cut(weights: np.ndarray, members: slice | np.ndarray, rows: slice) -> np.ndarray:
    return weights[rows] if weights.ndim == 1 else weights[members, rows]
