"""Where to start: variable projection on a grid of the nonlinear parameters.

Given the nonlinear parameters, the linear ones (irreducible loss, amplitudes) follow from one
small non-negative least-squares problem, solved for the whole grid at once. No start values are
asked of the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scalekit.fitters.local_objective import evaluate
from scalekit.fitters.model import ImplicitModel, Parameter, to_internal, to_natural
from scalekit.fitters.problem import Problem

GRID = {0: 1, 1: 96, 2: 576}  # points by number of nonlinear parameters
LARGEST_GRID = 4096
IMPLICIT_GRID = 768  # an implicit law costs a root search at every point
MOST_ROWS = 2000  # enough to place a start; the solver then uses every row
ELEMENTS = 1_000_000  # of grid points x rows held at once


def propose_starts(problem: Problem, weights: np.ndarray, count: int) -> np.ndarray:
    """Return `count` start vectors (in the solver's coordinates), the most promising first.

    The middle of all starting ranges, which is where the user's own start values stand, is among
    them. `problem` has one batch member; `weights` has shape (rows,). Deterministic.
    """
    problem, weights = _thin(problem, weights)
    grid = _grid(problem)
    found, badness = [], []
    size = max(1, ELEMENTS // len(weights))
    for start in range(0, len(grid), size):
        theta = grid[start : start + size]
        if isinstance(problem.model, ImplicitModel):
            theta = problem.model.centred(theta, problem.scales, problem.target)
        elif problem.model.linear:
            theta = _with_linear(problem, theta, weights)
        theta = np.clip(theta, problem.lower, problem.upper)
        found.append(theta)
        badness.append(evaluate(problem, theta, weights))
    theta, value = np.concatenate(found), np.concatenate(badness)
    order = np.argsort(value, kind="stable")
    # half from the very best, half spread over the best quarter: a flat valley must not take all
    near = order[: max(1, count // 2)]
    last = min(len(order), max(len(order) // 4, count)) - 1
    spread = order[np.linspace(min(len(near), last), last, count).astype(int)]
    chosen = list(dict.fromkeys([*near, 0, *spread]))[:count]
    return theta[chosen]


def centred_on(parameters: Sequence[Parameter], start: Mapping[str, float]) -> list[Parameter]:
    """Return the parameters with their starting ranges two decades about the values of `start`.

    Start values are guesses, often far off: the search begins around them, not at them only.
    """
    moved = []
    for parameter in parameters:
        value = start.get(parameter.name)
        if value is None:
            moved.append(parameter)
            continue
        near = (value / 100, value * 100) if value else (-1.0, 1.0)
        moved.append(replace(parameter, start=near, scale=None, inverse=False))
    return moved


def _thin(problem: Problem, weights: np.ndarray) -> tuple[Problem, np.ndarray]:
    rows = problem.target.shape[-1]
    weights = np.broadcast_to(weights, (rows,))
    if rows <= MOST_ROWS:
        return problem, weights
    order = np.argsort(np.asarray(next(iter(problem.scales.values()))), kind="stable")
    keep = np.sort(order[np.linspace(0, rows - 1, MOST_ROWS).astype(int)])
    scales = {name: scale[keep] for name, scale in problem.scales.items()}
    thin = Problem(
        problem.model, scales, problem.target[keep], problem.objective, problem.lower, problem.upper
    )
    return thin, weights[keep]


def _grid(problem: Problem) -> np.ndarray:
    """Return start vectors that fill the ranges of the nonlinear parameters, their middle first."""
    parameters, linear = problem.model.parameters, problem.model.linear
    held = problem.lower == problem.upper
    free = [k for k, p in enumerate(parameters) if p.name not in linear and not held[k]]
    size = GRID.get(len(free), LARGEST_GRID)
    if isinstance(problem.model, ImplicitModel):
        size = IMPLICIT_GRID
    points = np.concatenate([np.full((1, len(free)), 0.5), _spread(size, len(free))])
    natural = np.ones((len(points), len(parameters)))
    for column, k in enumerate(free):
        natural[:, k] = _from_unit(points[:, column], parameters[k], problem)
    return np.where(held, problem.lower, to_internal(natural, parameters))


def _from_unit(unit: np.ndarray, parameter: Parameter, problem: Problem) -> np.ndarray:
    low, high = parameter.start
    if parameter.scale in ("smallest_loss", "largest_loss"):
        loss = problem.target
        level = loss.min() if parameter.scale == "smallest_loss" else loss.max()
        return np.asarray(level * (low + unit * (high - low)))
    if parameter.scale is not None:
        logs = np.log(problem.scales[parameter.scale])
        place = low + unit * (high - low)
        value = np.exp(logs.min() + place * max(np.ptp(logs), 1.0))
        return np.asarray(1 / value if parameter.inverse else value)
    if low * high > 0 and (parameter.log or high / low >= 100):
        return np.asarray(low * (high / low) ** unit)
    return np.asarray(low + unit * (high - low))


def _spread(points: int, dimensions: int) -> np.ndarray:
    """Return evenly spread points of the unit cube: a lattice up to 2-D, then Roberts' sequence.

    The additive recurrence of the generalised golden ratio (M. Roberts 2018) needs no seed.
    """
    if dimensions == 0:
        return np.zeros((1, 0))
    if dimensions <= 2:
        side = round(points ** (1 / dimensions))
        axes = np.meshgrid(*[np.linspace(0, 1, side)] * dimensions, indexing="ij")
        return np.stack([axis.ravel() for axis in axes], axis=1)
    ratio = 1.5
    for _ in range(50):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    return (0.5 + np.outer(np.arange(1, points + 1), steps)) % 1


def _with_linear(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return `theta` with the linear parameters that fit best, by (non-negative) least squares.

    Those that are held fixed keep their values; their terms are taken off the losses first.
    """
    model = problem.model
    names = [parameter.name for parameter in model.parameters]
    places = np.array([names.index(name) for name in model.linear])
    rest, columns = model.columns(theta, problem.scales)
    shape = (len(theta), problem.target.shape[-1])
    design = np.stack([np.broadcast_to(column, shape) for column in columns], axis=1)
    held = (problem.lower == problem.upper)[places]
    if held.all():
        return theta
    fixed = to_natural(theta, model.parameters)[:, places[held]]
    with np.errstate(all="ignore"):
        target = problem.target - rest - (fixed[:, :, None] * design[:, held]).sum(axis=1)
    places, design = places[~held], design[:, ~held]
    # a relative error of the loss is an error of its logarithm
    square = weights / problem.target**2 if problem.objective.on_log else weights
    nonnegative = np.array([model.parameters[k].lower >= 0 for k in places])
    amounts = _nonnegative_least_squares(design, target, square, nonnegative)
    theta = theta.copy()
    for column, k in enumerate(places):
        amount = amounts[:, column]
        if model.parameters[k].log:
            typical = np.median(np.abs(problem.target)) / np.abs(design[:, column]).mean(axis=1)
            amount = np.log(np.maximum(amount, 1e-3 * typical))
        theta[:, k] = amount
    return theta


def _nonnegative_least_squares(
    design: np.ndarray, target: np.ndarray, weights: np.ndarray, nonnegative: np.ndarray
) -> np.ndarray:
    """Solve a batch of least-squares problems; negative entries are dropped one round at a time.

    `design` has shape (batch, columns, rows). Good enough to start from, not an exact NNLS.
    """
    batch, count, _ = design.shape
    with np.errstate(all="ignore"):
        size = np.sqrt((weights * design**2).sum(axis=2))
        unit = np.where(size[:, :, None] > 0, design / size[:, :, None], 0.0)
    unit = np.where(np.isfinite(unit), unit, 0.0)
    normal = np.matmul(unit * weights, unit.transpose(0, 2, 1))
    right = np.matmul(unit * weights, target[:, :, None])[:, :, 0]
    kept = np.ones((batch, count), dtype=bool)
    solution: np.ndarray = np.zeros((batch, count))
    for _ in range(count):
        both = kept[:, :, None] & kept[:, None, :]
        matrix = np.where(both, normal, 0.0) + (~kept[:, :, None] + 1e-12) * np.eye(count)
        solution = np.linalg.solve(matrix, np.where(kept, right, 0.0)[:, :, None])[:, :, 0]
        wrong = kept & nonnegative & (solution < 0)
        if not wrong.any():
            break
        worst = np.where(wrong, solution, 0.0).argmin(axis=1)
        rows = np.flatnonzero(wrong.any(axis=1))
        kept[rows, worst[rows]] = False
    with np.errstate(all="ignore"):
        amounts = np.where(size > 0, np.where(kept, solution, 0.0) / size, 0.0)
    return np.where(nonnegative, np.maximum(amounts, 0.0), amounts)
