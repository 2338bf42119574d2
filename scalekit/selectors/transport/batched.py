"""Entropic costs and debiased divergences of many mixtures at once, on one shared kernel.

All mixtures re-weight one pooled support, so their scalings are a batch against the same kernel
and a step is one matrix product. The kernel is absorbed at the uniform mixture; a mixture whose
scalings leave the range of float32, or that does not converge there, is solved on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalekit.selectors.simplex import MixtureLike, as_mixtures
from scalekit.selectors.transport.budget import check_memory
from scalekit.selectors.transport.cost import feature_cost_torch
from scalekit.selectors.transport.entropic import (
    LARGEST_SCALING,
    SMALLEST_SUM,
    check_epsilon,
    solve_entropic,
)
from scalekit.selectors.transport.samples import Sample, check_same_features


class EntropicMixtures:
    """Entropic transport of mixtures of `samples` to `target` at one epsilon, batched.

    `epsilon` is relative to the mean cost between the pooled points and the target; `device`
    is a torch device. Self terms are computed once a mixture and kept. `alone` counts the
    mixtures that had to be solved on their own, `unfinished` those of them that did not reach the
    tolerance: their values are too low.

    >>> rng = np.random.default_rng(0)
    >>> near, far = Sample(rng.normal(size=(40, 2))), Sample(rng.normal(size=(40, 2)) + 4)
    >>> problem = EntropicMixtures([near, far], Sample(rng.normal(size=(40, 2))), epsilon=0.05)
    >>> bool(np.diff(problem.divergences([[1.0, 0.0], [0.0, 1.0]]))[0] > 20)
    True
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        target: Sample,
        epsilon: float = 0.02,
        tolerance: float = 1e-4,
        device: str = "cpu",
    ) -> None:
        """Lay out the pooled cost; raise InputError where it does not fit in memory."""
        check_epsilon(epsilon)
        for sample in samples:
            check_same_features(sample, target)
        self.sources = tuple(sample.name for sample in samples)
        self.source_of_point = np.repeat(np.arange(len(samples)), [len(s) for s in samples])
        self._within = np.concatenate([sample.mass for sample in samples])
        self._pooled = np.concatenate([sample.features for sample in samples])
        self.target, self.tolerance, self.device = target, tolerance, device
        self.alone, self.unfinished = 0, 0
        check_memory("entropic", len(self._pooled), len(self._pooled), target.dim)
        self._cost = feature_cost_torch(self._pooled, target.features, device)
        self.epsilon = epsilon * float(self._cost.mean())
        self._self_terms: dict[bytes, float] = {}
        self._target_term: float | None = None

    def weights(self, mixtures: np.ndarray) -> np.ndarray:
        """Return the weights of the pooled points under each mixture (k, m), shape (k, n)."""
        result: np.ndarray = mixtures[:, self.source_of_point] * self._within
        return result

    def values(self, mixtures: MixtureLike) -> np.ndarray:
        """Return the entropic cost of each mixture, shape (k,)."""
        points = as_mixtures(mixtures, self.sources)
        b = np.broadcast_to(self.target.mass, (len(points), len(self.target)))
        return self._batch(self._cost, self.weights(points), b)

    def divergences(self, mixtures: MixtureLike) -> np.ndarray:
        """Return the debiased divergence of each mixture, shape (k,); zero for equal samples."""
        points = as_mixtures(mixtures, self.sources)
        return self.values(points) - 0.5 * self._mixture_terms(points) - 0.5 * self._target()

    def _target(self) -> float:
        if self._target_term is None:
            cost = feature_cost_torch(self.target.features, self.target.features, self.device)
            mass = self.target.mass[None]
            self._target_term = float(self._batch(cost, mass, mass)[0])
        return self._target_term

    def _mixture_terms(self, points: np.ndarray) -> np.ndarray:
        new = [point for point in points if point.tobytes() not in self._self_terms]
        if new:
            cost = feature_cost_torch(self._pooled, self._pooled, self.device)
            weights = self.weights(np.array(new))
            terms = self._batch(cost, weights, weights)
            self._self_terms |= {
                point.tobytes(): float(t) for point, t in zip(new, terms, strict=True)
            }
        return np.array([self._self_terms[point.tobytes()] for point in points])

    def _batch(self, cost: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the entropic costs for weights a (k, n), b (k, m) on one cost (n, m)."""
        relative = max(self.epsilon / max(float(cost.mean()), 1e-30), 2e-6)
        middle = solve_entropic(cost, a.mean(axis=0), b.mean(axis=0), relative, self.tolerance)
        values, good = _shared_kernel(
            cost, a, b, middle.f, middle.g, middle.epsilon, self.tolerance
        )
        for row in np.flatnonzero(~good):
            self.alone += 1
            single = solve_entropic(cost, a[row], b[row], relative, self.tolerance)
            self.unfinished += not single.converged
            values[row] = single.regularised
        return values


def _shared_kernel(
    cost: Any,
    a: np.ndarray,
    b: np.ndarray,
    f: np.ndarray,
    g: np.ndarray,
    epsilon: float,
    tolerance: float,
    steps: int = 300,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the costs (k,) and which of them converged within the range of float32."""
    import torch

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.array(values), dtype=torch.float32, device=cost.device)

    mass_a, mass_b, base_f, base_g = tensor(a), tensor(b), tensor(f), tensor(g)
    kernel = ((base_f[:, None] - cost).add_(base_g[None]).div_(epsilon)).exp_()
    u, v = torch.ones_like(mass_a), torch.ones_like(mass_b)
    error = torch.full((len(a),), float("inf"))
    for step in range(steps):
        rows = (mass_b * v) @ kernel.T
        error = (mass_a * (u * rows - 1).abs()).sum(dim=1)
        if step and bool((error < tolerance).all()):
            break
        u = 1 / rows.clamp_min(SMALLEST_SUM)
        v = 1 / ((mass_a * u) @ kernel).clamp_min(SMALLEST_SUM)
    in_range = torch.maximum(u.amax(dim=1), v.amax(dim=1)) < LARGEST_SCALING
    good = (error < tolerance) & in_range
    total_f = base_f.double() + epsilon * u.double().log()
    total_g = base_g.double() + epsilon * v.double().log()
    values = (total_f * mass_a.double()).sum(dim=1) + (total_g * mass_b.double()).sum(dim=1)
    return values.cpu().numpy(), good.cpu().numpy()
