"""Solvers for a pooled problem: weights of both sides in, a solution with potentials out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from scalekit.errors import InputError, did_you_mean
from scalekit.selectors.transport.arcs import refine
from scalekit.selectors.transport.budget import EXACT_LIMIT, check_memory
from scalekit.selectors.transport.cost import (
    add_class_cost,
    check_labels,
    feature_cost,
    feature_cost_torch,
)
from scalekit.selectors.transport.entropic import solve_entropic
from scalekit.selectors.transport.exact import Solution, solve_exact
from scalekit.selectors.transport.one_dimension import potentials
from scalekit.selectors.transport.samples import Sample
from scalekit.selectors.transport.sliced import random_directions

Cost = Literal["features", "labels", "sliced"]
COSTS: tuple[str, ...] = get_args(Cost)
DIRECTIONS = 100


def make_solver(
    samples: Sequence[Sample], target: Sample, cost: str, rng: np.random.Generator
) -> Callable[[np.ndarray, np.ndarray], Solution]:
    """Return a function (a, b) -> Solution on the pooled points of `samples`.

    Up to about 5,000 points a side the network simplex; above, the entropic solver refined.
    """
    if cost not in COSTS:
        raise InputError(f"Unknown cost '{cost}'. {did_you_mean(cost, COSTS)}")
    pooled = np.concatenate([sample.features for sample in samples])
    if cost == "sliced":
        check_memory("sliced", len(pooled), len(target), 6 * DIRECTIONS)
        return _SlicedSolver(pooled, target.features, rng)
    n, m = len(pooled), len(target)
    check_memory(solver_method(n, m), n, m, target.dim)
    if cost == "labels":
        for sample in samples:
            check_labels(sample, target)
    large = solver_method(n, m) == "entropic"
    matrix: Any = (feature_cost_torch if large else feature_cost)(pooled, target.features)
    if cost == "labels":
        first = 0
        for sample in samples:
            add_class_cost(matrix[first : first + len(sample)], sample, target, rng=rng)
            first += len(sample)
    return _EntropicSolver(matrix) if large else _ExactSolver(matrix)


def solver_method(n: int, m: int) -> Literal["exact", "entropic"]:
    """Return the method for n pooled points against m: exact up to about 5,000 a side."""
    return "entropic" if max(n, m) > EXACT_LIMIT else "exact"


class _ExactSolver:
    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def __call__(self, a: np.ndarray, b: np.ndarray) -> Solution:
        return solve_exact(self.matrix, a, b)


class _EntropicSolver:
    def __init__(self, matrix: object) -> None:
        import torch

        self.matrix = torch.as_tensor(matrix, dtype=torch.float32)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> Solution:
        start = solve_entropic(self.matrix, a, b, epsilon=0.003, tolerance=2e-2)
        refined = refine(self.matrix, start.g, a, b)
        return Solution(refined.upper, refined.lower, refined.f, refined.g)


class _SlicedSolver:
    """The mean over fixed directions of transport on the line; its potentials are means too."""

    def __init__(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
        theta = random_directions(DIRECTIONS, x.shape[1], rng)
        self.x, self.y = theta @ x.T, theta @ y.T
        self.order_x, self.order_y = self.x.argsort(axis=1), self.y.argsort(axis=1)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> Solution:
        f, g = np.zeros(self.x.shape[1]), np.zeros(self.y.shape[1])
        for x, y, i, j in zip(self.x, self.y, self.order_x, self.order_y, strict=True):
            along_f, along_g = potentials(x[i], y[j], a[i], b[j])
            f[i] += along_f / DIRECTIONS
            g[j] += along_g / DIRECTIONS
        value = float(a @ f + b @ g)
        return Solution(value, value, f, g)
