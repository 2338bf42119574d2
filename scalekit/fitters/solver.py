"""The batched solver: many fits, starts and resamples of one law in one call.

A damped Newton method on the exact objective, run on all members of the batch at once; members
that have converged drop out. The second derivatives are exact (semismooth where Huber's function
has its knee), which is what makes nearly absolute objectives converge in a few steps. Bounds are
active sets: a parameter whose optimum lies at its bound is found exactly there.
"""

from __future__ import annotations

import numpy as np

from scalekit.fitters.local_objective import Local, expand
from scalekit.fitters.problem import Problem, Solution, cut_weights, members_at_once

MAX_ITERATIONS = 1000
RIDGE = 1e-14  # relative, so that a direction without any information does not move


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
    size = members_at_once(problem.target.shape[-1])
    for start in range(0, len(starts), size):
        block = slice(start, start + size)
        part = problem.part(block)
        found = _newton(
            part, starts[block], cut_weights(weights, block, slice(None)), max_iterations, tolerance
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
    here = expand(problem, theta, weights)
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
        there = expand(part, trial, weights if whole else weights[active])
        gain = at.value - there.value
        better = gain > 0
        theta[active[better]] = trial[better]
        promised = -0.5 * (at.gradient * (trial - theta_before)).sum(axis=1)
        small = np.where(better, gain, np.abs(promised)) <= tolerance * np.abs(at.value)
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


def _step(
    at: Local, theta: np.ndarray, lower: np.ndarray, upper: np.ndarray, damping: np.ndarray
) -> np.ndarray:
    """Return the damped Newton step inside the bounds.

    A parameter that would cross its bound is put on it, and the step of the others found again:
    cutting off one coordinate of a joint step may make it lead uphill.
    """
    held = (theta <= lower) & (at.gradient > 0) | (theta >= upper) & (at.gradient < 0)
    held |= lower == upper
    moved = np.zeros_like(theta)
    step = _step_of_free(at, held, moved, damping)
    for _ in range(theta.shape[1]):
        end = theta + step
        crossing = ~held & ((end < lower) | (end > upper))
        rows = np.flatnonzero(crossing.any(axis=1))
        if not rows.size:
            break
        held[rows] |= crossing[rows]
        moved[rows] = np.where(held[rows], (np.clip(end, lower, upper) - theta)[rows], 0.0)
        step[rows] = _step_of_free(at.at(rows), held[rows], moved[rows], damping[rows])
    return step


def _step_of_free(
    at: Local, held: np.ndarray, moved: np.ndarray, damping: np.ndarray
) -> np.ndarray:
    """Return the step of the parameters that are not held, given how far the others are moved.

    Gauss-Newton where the Hessian bends down. The damping is measured in the majorising
    curvature, so it does not depend on units.
    """
    free = ~held
    gradient = at.gradient
    if moved.any():
        gradient = gradient + np.matmul(at.hessian, moved[:, :, None])[:, :, 0]
    gradient = np.where(free, gradient, 0.0)
    both = free[:, :, None] & free[:, None, :]
    diagonal = np.arange(held.shape[1])
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
    soft = 0.05 * np.eye(held.shape[1])  # a little of the diagonal, where the metric is singular
    damper = damping[:, None, None] * (metric + soft)
    right = gradient / root
    step, sound = _solve_positive(hessian + damper, right)
    if not sound.all():
        bent = np.flatnonzero(~sound)
        step[bent], _ = _solve_positive((metric + damper)[bent], right[bent], floor=1e-13)
    return np.where(free, -step / root, moved)


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
