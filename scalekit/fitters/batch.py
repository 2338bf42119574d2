"""Many fits of one law in one call: curves, origins and trimmings side by side.

A member of a batch is one weighting of one set of rows. Rows that a member lacks (a shorter
curve, a later origin, a trimmed run) have weight zero, so every set of fits is one array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scalekit.fitters.fitted import robust_deviation
from scalekit.fitters.law import Law
from scalekit.fitters.objectives import Objective
from scalekit.fitters.problem import Problem, Solution
from scalekit.fitters.solver import solve
from scalekit.fitters.starts import propose_starts

STARTS = 6
ROUGH_DELTA = 1e-2  # of log loss, for the first round, which measures the noise
SMALLEST_DELTA = 1e-4
MOST_ITERATIONS, TOLERANCE = 80, 1e-9  # forecasts need no more digits than the data have
EFFICIENT_DELTA = 1.345  # noise deviations (Huber 1964)


@dataclass(frozen=True)
class Members:
    """Weighted sets of rows: all arrays have the shape (members, rows).

    `scales` holds one array for each scale, `loss` the observations; where `weights` is zero the
    row is not the member's, and its other entries are any positive number.
    """

    scales: Mapping[str, np.ndarray]
    loss: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.loss)

    def part(self, members: np.ndarray | slice) -> Members:
        """Return some of the members."""
        return Members(
            {name: scale[members] for name, scale in self.scales.items()},
            self.loss[members],
            self.weights[members],
        )

    @classmethod
    def of(
        cls,
        scales: Sequence[Mapping[str, np.ndarray]],
        loss: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
    ) -> Members:
        """Return sets of rows of different lengths, padded by their first row at weight zero."""
        longest = max(len(values) for values in loss)

        def padded(values: Sequence[np.ndarray], fill: bool = True) -> np.ndarray:
            return np.stack(
                [np.append(v, np.full(longest - len(v), v[0] if fill else 0.0)) for v in values]
            )

        names = scales[0]
        return cls(
            {name: padded([entry[name] for entry in scales]) for name in names},
            padded(loss),
            padded(weights, fill=False),
        )


def fit_members(
    law: Law, members: Members, objective: Objective, starts: int = STARTS
) -> tuple[Solution, Problem]:
    """Fit `law` to every member; return the best solutions and the problem they solve.

    As in `fit`, a Huber delta that is not given is tied to the noise, here to the typical noise
    of the members, since one objective serves the batch.
    """
    rough = objective.with_delta(ROUGH_DELTA) if objective.needs_delta else objective
    problem = Problem.of(law.model, members.scales, members.loss, rough)
    proposed = np.stack([_propose(problem, members, k, starts) for k in range(len(members))])
    solution = _solve_all(problem, proposed, members.weights)
    if objective.needs_delta:
        residual = problem.residual(solution.theta)
        noise = [robust_deviation(r[w > 0]) for r, w in zip(residual, members.weights, strict=True)]
        delta = EFFICIENT_DELTA * float(np.median(noise))
        problem = replace(problem, objective=objective.with_delta(max(delta, SMALLEST_DELTA)))
        solution = solve(problem, solution.theta, members.weights, MOST_ITERATIONS, TOLERANCE)
    return solution, problem


def _propose(problem: Problem, members: Members, k: int, count: int) -> np.ndarray:
    rows = members.weights[k] > 0
    single = Problem(
        problem.model,
        {name: scale[k, rows] for name, scale in members.scales.items()},
        members.loss[k, rows],
        problem.objective,
        problem.lower,
        problem.upper,
    )
    found = propose_starts(single, members.weights[k, rows], count)
    return np.concatenate([found, np.repeat(found[:1], count - len(found), axis=0)])


def _solve_all(problem: Problem, proposed: np.ndarray, weights: np.ndarray) -> Solution:
    """Solve from every start; `proposed` has the shape (members, starts, parameters)."""
    members, starts, count = proposed.shape
    repeated = np.repeat(np.arange(members), starts)
    found = solve(
        problem.part(repeated),
        proposed.reshape(-1, count),
        weights[repeated],
        MOST_ITERATIONS,
        TOLERANCE,
    )
    return found.best_of(members)
