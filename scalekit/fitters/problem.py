"""What the solver is given and what it returns: a problem, its prior, a solution.

A large batch is worked on in blocks of members and rows, so that the temporaries stay in cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scalekit.fitters.model import Model, Scales, bounds_of
from scalekit.fitters.objectives import Objective

BLOCK = 48_000  # elements (members x rows) worked on at once: the temporaries stay in cache


@dataclass(frozen=True)
class Prior:
    """A normal prior on the parameters, in the solver's coordinates and the objective's units.

    `mean` has shape (batch, parameters), `precision` (batch, parameters, parameters); half the
    square of the distance in this precision is added to the objective of each member.
    """

    mean: np.ndarray
    precision: np.ndarray

    def part(self, members: np.ndarray | slice) -> Prior:
        """Return the prior of some members of the batch."""
        return Prior(self.mean[members], self.precision[members])

    def pull(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the prior's part of the objective, and its gradient."""
        distance = theta - self.mean
        gradient = np.einsum("bij,bj->bi", self.precision, distance)
        return 0.5 * (gradient * distance).sum(axis=1), gradient


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
    prior: Prior | None = None

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
            self.prior and self.prior.part(members),
        )

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """Return the residuals, of shape (batch, rows)."""
        return self.residual_of(self.model.value(theta, self.scales))

    def residual_of(self, predicted: np.ndarray) -> np.ndarray:
        """Return the residuals of these predictions."""
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


def members_at_once(rows: int) -> int:
    """Return how many members of a batch with so many rows one block holds."""
    return max(1, BLOCK // rows)


def blocks(batch: int, rows: int) -> Iterator[tuple[slice, slice]]:
    """Yield (members, rows) so that each block has at most about BLOCK elements."""
    high = members_at_once(rows)
    wide = min(rows, BLOCK)
    for first in range(0, batch, high):
        for start in range(0, rows, wide):
            yield slice(first, first + high), slice(start, start + wide)


def cut_weights(weights: np.ndarray, members: slice | np.ndarray, rows: slice) -> np.ndarray:
    """Return the weights, of shape (rows,) or (batch, rows), of some members and rows."""
    return weights[rows] if weights.ndim == 1 else weights[members, rows]
