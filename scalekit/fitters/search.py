"""The search for the optimum: many starts, a delta tied to the noise, how well the starts agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalekit.errors import FitError
from scalekit.fitters.fitted import Search, robust_deviation
from scalekit.fitters.intervals import SAME
from scalekit.fitters.law import Law
from scalekit.fitters.local_objective import local_model
from scalekit.fitters.objectives import Objective
from scalekit.fitters.preparing import Data
from scalekit.fitters.problem import Problem, Solution
from scalekit.fitters.solver import solve
from scalekit.fitters.starts import MOST_ROWS, propose_starts

SMALLEST_AUTO_DELTA = 1e-4  # of log loss; noise-free data would make it 0
ROUNDING = 1e-9  # of the loss: residuals below it are no disagreement
EFFICIENT_DELTA = 1.345  # noise deviations: 95% efficiency under a normal distribution (Huber)


def optimise(law: Law, data: Data, objective: Objective, starts: int) -> tuple[Problem, Solution]:
    """Return the problem and all optima found from `starts` starts, the best first.

    Where delta is to be tied to the noise, a first round with a small delta measures it. Starts
    are tried on a sample of the rows where there are many; the best are finished on all rows.
    """
    rough = objective
    if objective.needs_delta or objective.name == "absolute_log":
        rough = Objective("huber_log", 1e-3, objective.overestimate_weight)
    problem = Problem.of(law.model, data.scales, data.loss, rough)
    proposed = propose_starts(problem, data.weights, starts)
    solutions = _solve_from(problem, proposed, data.weights)
    if not np.isfinite(solutions.value[0]):
        raise FitError(
            f"The law '{law.name}' has no finite value at any start on these runs. Check the "
            "formula's domain (logarithms and powers need positive arguments) and the units."
        )
    if objective.needs_delta:
        noise = robust_deviation(problem.residual(solutions.theta[:1])[0], law.n_free)
        objective = objective.with_delta(max(EFFICIENT_DELTA * noise, SMALLEST_AUTO_DELTA))
    if objective != rough:
        problem = replace(problem, objective=objective)
        solutions = _solve_from(problem, solutions.theta, data.weights)
    return problem, solutions


def _solve_from(problem: Problem, starts: np.ndarray, weights: np.ndarray) -> Solution:
    """Return the optima from `starts`, best first; on many rows only distinct ones are finished."""
    rows = len(problem.target)
    if rows > 10 * MOST_ROWS:
        keep = np.linspace(0, rows - 1, 5 * MOST_ROWS).astype(int)
        part = replace(
            problem,
            scales={name: scale[keep] for name, scale in problem.scales.items()},
            target=problem.target[keep],
        )
        rough = solve(part, starts, weights[keep])
        order = np.argsort(rough.value, kind="stable")
        best = Solution(rough.theta[order], rough.value[order], rough.converged[order])
        starts = distinct_optima(part, best).theta[:3]
    found = solve(problem, starts, weights)
    order = np.argsort(found.value, kind="stable")
    return Solution(found.theta[order], found.value[order], found.converged[order])


def describe_search(problem: Problem, solutions: Solution, weights: np.ndarray) -> Search:
    """Return how the search went: starts that agree, convergence, conditioning at the optimum."""
    best = solutions.value[0]
    # without noise all good objectives are rounding errors, whose ratios mean nothing
    level = 1.0 if problem.objective.on_log else float(np.mean(problem.target**2))
    rounding = ROUNDING**2 * level * float(weights.sum())
    agreeing = solutions.value <= best + SAME * abs(best) + rounding
    _, _, hessian = local_model(problem, solutions.theta[0], weights)
    held = (solutions.theta[0] <= problem.lower) | (solutions.theta[0] >= problem.upper)
    free = np.flatnonzero(~held)
    inner = hessian[np.ix_(free, free)]
    size = np.sqrt(np.abs(np.diagonal(inner)))
    size = np.where(size > 0, size, 1.0)
    condition = float(np.linalg.cond(inner / np.outer(size, size))) if len(free) else 1.0
    return Search(
        len(solutions.value), int(agreeing.sum()), bool(solutions.converged[0]), condition
    )


def distinct_optima(problem: Problem, solutions: Solution) -> Solution:
    """Return the optima that predict differently, best first (at most five)."""
    finite = np.flatnonzero(np.isfinite(solutions.value))
    if len(problem.target) > MOST_ROWS:
        return Solution(
            solutions.theta[finite[:3]],
            solutions.value[finite[:3]],
            solutions.converged[finite[:3]],
        )
    residuals = problem.residual(solutions.theta[finite])
    kept: list[int] = []
    for place, index in enumerate(finite):
        gaps = [np.max(np.abs(residuals[place] - residuals[int(np.searchsorted(finite, k))]))
                for k in kept]  # fmt: skip
        if all(gap > 1e-6 * np.std(residuals[0]) for gap in gaps):
            kept.append(int(index))
        if len(kept) == 5:
            break
    return Solution(solutions.theta[kept], solutions.value[kept], solutions.converged[kept])
