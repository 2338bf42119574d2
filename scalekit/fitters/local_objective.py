"""The objective of a problem at given parameters: its value, its slopes, its curvature.

The second derivatives are exact (semismooth where Huber's function has its knee); beside them
stands the majorising curvature, which is never negative. All is summed over blocks of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalekit.fitters.problem import Problem, blocks, cut_weights


@dataclass
class Local:
    """Value, gradient, Hessian and majorising curvature of the objective; arrays over a batch."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    curvature: np.ndarray

    def put(self, place: np.ndarray, other: Local, rows: np.ndarray) -> None:
        """Overwrite the members at `place` with those at `rows` of `other`."""
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[place] = theirs[rows]

    def at(self, rows: np.ndarray) -> Local:
        """Return some members of the batch."""
        return Local(*[entry[rows] for entry in vars(self).values()])


def evaluate(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the objective at each member's parameters; inf where the law has no value there."""
    total = np.zeros(len(theta))
    for members, rows in blocks(len(theta), problem.target.shape[-1]):
        part = problem.part(members, rows)
        with np.errstate(all="ignore"):
            rho = problem.objective.rho(part.residual(theta[members]))
            total[members] += (cut_weights(weights, members, rows) * rho).sum(axis=1)
    if problem.prior is not None:
        total += problem.prior.pull(theta)[0]
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
    for _, part in blocks(1, rows):
        piece = problem.part(slice(None), part)
        predicted, first, _ = piece.model.derivatives(batch, piece.scales)
        psi = piece.objective.slopes(piece.residual_of(predicted))[0]
        scale = 1.0 / predicted if piece.objective.on_log else 1.0
        pull = cut_weights(weights, slice(None), part) * psi * scale
        for k, entry in enumerate(first):
            gradients[part, k] = -(pull * entry)[0]
    total = expand(problem, batch, np.broadcast_to(weights, (1, rows)))
    return float(total.value[0]), gradients, total.hessian[0]


def local_models(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the majorising curvature of the objective at each member's parameters."""
    return expand(problem, theta, weights).curvature


def expand(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> Local:
    """Return the local model of the objective, summed over blocks of rows."""
    batch, count = theta.shape
    total = Local(
        np.zeros(batch),
        np.zeros((batch, count)),
        np.zeros((batch, count, count)),
        np.zeros((batch, count, count)),
    )
    for members, rows in blocks(batch, problem.target.shape[-1]):
        part = problem.part(members, rows)
        found = _local_rows(part, theta[members], cut_weights(weights, members, rows))
        for mine, theirs in zip(vars(total).values(), vars(found).values(), strict=True):
            mine[members] += theirs
    if problem.prior is not None:
        value, slope = problem.prior.pull(theta)
        total.value += value
        total.gradient += slope
        total.hessian += problem.prior.precision
        total.curvature += problem.prior.precision
    bad = ~np.isfinite(total.value) | ~np.isfinite(total.gradient).all(axis=1)
    total.value[bad] = np.inf
    return total


def _local_rows(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> Local:
    predicted, first, second = problem.model.derivatives(theta, problem.scales)
    residual = problem.residual_of(predicted)
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
    return Local(value, gradient, hessian, majorant)
