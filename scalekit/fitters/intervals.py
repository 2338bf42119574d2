"""How sure the parameters are: bootstraps, the sandwich formula, the profile of the objective.

All refits of a bootstrap are one call of the batched solver. Resamples share their rows and
differ only in their weights, so solutions of some serve as starts for all the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from scalekit.errors import InputError, did_you_mean
from scalekit.fitters.local_objective import cross_evaluate, local_model
from scalekit.fitters.problem import Problem, Solution
from scalekit.fitters.solver import solve

METHODS = ("auto", "pairs", "cluster", "wild", "delta", "none")
FEW_CONFIGURATIONS = 20  # below, resampling whole rows loses too many of them: wild bootstrap
LARGEST_BOOTSTRAP = 20_000_000  # rows x resamples; above, the sandwich formula is exact enough
POOL = 256  # resamples whose solutions are tried as starts for all others
ELEMENTS = 24_000_000  # of rows x resamples held at once
SMALLEST_SHARE = 0.2  # of its noise that a residual is taken to show at least
SAME = 1e-6  # relative difference of objectives up to which two starts found the same


@dataclass(frozen=True)
class Draws:
    """Parameter vectors (resamples, parameters) in the solver's coordinates, and their story.

    `agreement` is the share of resamples in which different starts ended at the same objective.
    """

    theta: np.ndarray
    method: str
    agreement: float


def choose_method(method: str, rows: int, clusters: int, repeated: bool, resamples: int) -> str:
    """Return the method that "auto" stands for; raise InputError for a name that is none."""
    if method not in METHODS:
        raise InputError(f"There is no interval method '{method}'. {did_you_mean(method, METHODS)}")
    if method != "auto":
        return method
    if resamples == 0:
        return "none"
    if rows * resamples > LARGEST_BOOTSTRAP:
        return "delta"
    if clusters < FEW_CONFIGURATIONS:
        return "wild"
    return "cluster" if repeated else "pairs"


def draw_parameters(
    problem: Problem,
    weights: np.ndarray,
    solutions: Solution,
    clusters: np.ndarray,
    method: str,
    resamples: int,
    rng: np.random.Generator,
) -> Draws:
    """Return parameter draws by `method`.

    `solutions` holds the fit first, other optima after it; `clusters` numbers the rows that are
    kept together. Methods: "pairs" resamples rows, "cluster" whole clusters, "wild" perturbs
    each cluster's residuals by Webb's six-point distribution (Webb 2014), "delta" draws from the
    normal distribution of the sandwich covariance.
    """
    if method == "none" or resamples == 0:
        return Draws(np.empty((0, len(problem.model.parameters))), "none", 1.0)
    if method == "delta":
        theta = _sandwich_draws(problem, weights, solutions.theta[0], clusters, resamples, rng)
        return Draws(theta, f"delta method (sandwich covariance), {resamples} draws", 1.0)
    if method == "wild":
        found, agreement = _wild(problem, weights, solutions, clusters, resamples, rng)
        words = "wild bootstrap (Webb weights)"
    else:
        labels = clusters if method == "cluster" else np.arange(len(clusters))
        found, agreement = _resample(problem, weights, solutions, labels, resamples, rng)
        words = "cluster bootstrap" if method == "cluster" else "pairs bootstrap"
    return Draws(found, f"{words}, {resamples} resamples", agreement)


def resample_counts(labels: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each row occurs in each resample of whole clusters, (resamples, rows)."""
    groups, inverse = np.unique(labels, return_inverse=True)
    chosen = rng.integers(0, len(groups), size=(resamples, len(groups)))
    offset = np.arange(resamples)[:, None] * len(groups)
    flat = np.bincount((chosen + offset).ravel(), minlength=resamples * len(groups))
    return flat.reshape(resamples, len(groups)).astype(float)[:, inverse]


def refit(problem: Problem, solutions: Solution, weights: np.ndarray) -> tuple[Solution, float]:
    """Refit under every row of `weights`; also return how often two starts agree.

    The first few hundred resamples start at the fit. Their solutions, and the other optima of the
    original problem, are a pool: every resample starts at the member that is best for it. At the
    end the solutions are tried on each other's resamples, and where one is better than a
    resample's own, that resample starts again from there.
    """
    first = solve(
        problem, np.repeat(solutions.theta[:1], min(POOL, len(weights)), axis=0), weights[:POOL]
    )
    pool = np.concatenate([first.theta, solutions.theta])
    found = solve(problem, pool[cross_evaluate(problem, pool, weights).argmin(axis=1)], weights)
    agree = np.abs(found.value[:POOL] - first.value) <= SAME * np.abs(first.value)
    _improve(found, slice(0, len(first.value)), first)
    spread = found.theta[:: max(1, len(weights) // POOL)]
    values = cross_evaluate(problem, spread, weights)
    again = np.flatnonzero(values.min(axis=1) < found.value * (1 - SAME))
    if again.size:
        starts = spread[values[again].argmin(axis=1)]
        _improve(found, again, solve(problem.part(again), starts, weights[again]))
    return found, float(np.mean(agree))


def _improve(found: Solution, places: slice | np.ndarray, other: Solution) -> None:
    """Put those solutions of `other` into `found` that are better."""
    better = other.value < found.value[places]
    rows = np.arange(len(found.value))[places][better]
    found.theta[rows], found.value[rows] = other.theta[better], other.value[better]
    found.converged[rows] = other.converged[better]


def _resample(
    problem: Problem,
    weights: np.ndarray,
    solutions: Solution,
    labels: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    found, agreements = [], []
    for size in _portions(resamples, len(labels)):
        counts = resample_counts(labels, size, rng)
        solution, agreement = refit(problem, solutions, counts * weights)
        found.append(solution.theta[np.isfinite(solution.value)])
        agreements.append(agreement)
    return np.concatenate(found), float(np.mean(agreements))


def _wild(
    problem: Problem,
    weights: np.ndarray,
    solutions: Solution,
    clusters: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """Refit to fitted values plus signed residuals, each widened for how far the fit follows it.

    Webb's distribution has six points, so that few clusters still give many resamples.
    """
    webb = np.sqrt([0.5, 1.0, 1.5])
    webb = np.concatenate([-webb[::-1], webb])
    fitted = problem.model.value(solutions.theta[:1], problem.scales)
    residual = problem.residual(solutions.theta[:1])[0]
    groups, inverse = np.unique(clusters, return_inverse=True)
    widening = _leverage_factor(problem, weights, solutions.theta[0], inverse)
    found, agreements = [], []
    for size in _portions(resamples, len(clusters)):
        signs = webb[rng.integers(0, 6, size=(size, len(groups)))][:, inverse]
        moved = signs * residual * widening
        target = fitted * np.exp(moved) if problem.objective.on_log else fitted + moved
        part = Problem(
            problem.model, problem.scales, target, problem.objective, problem.lower, problem.upper
        )
        runs = [
            solve(part, np.repeat(start[None], size, axis=0), weights)
            for start in solutions.theta[:3]
        ]
        values = np.stack([run.value for run in runs])
        best = values.argmin(axis=0)
        theta = np.stack([run.theta for run in runs])[best, np.arange(size)]
        found.append(theta[np.isfinite(values.min(axis=0))])
        agreements.append(np.mean(np.ptp(values, axis=0) <= SAME * np.abs(values.min(axis=0))))
    return np.concatenate(found), float(np.mean(agreements))


def _leverage_factor(
    problem: Problem, weights: np.ndarray, theta: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Return, per row, how much smaller than the noise the fit has made its cluster's residuals.

    1 / (1 - h) with the leverage h of the cluster (HC3; MacKinnon & White 1985): an outermost run
    pulls the curve to itself, so its residual says least about its noise.
    """
    predicted, first, _ = problem.model.derivatives(theta[None], problem.scales)
    slopes = np.stack([np.broadcast_to(entry, predicted.shape)[0] for entry in first], axis=1)
    if problem.objective.on_log:
        slopes = slopes / predicted[0][:, None]
    held = (theta <= problem.lower) | (theta >= problem.upper)
    slopes = np.where(held | ~np.isfinite(slopes), 0.0, slopes) * np.sqrt(weights)[:, None]
    size = np.linalg.norm(slopes, axis=0)
    basis, singular, _ = np.linalg.svd(slopes / np.where(size > 0, size, 1), full_matrices=False)
    leverage = np.bincount(groups, (basis[:, singular > 1e-10] ** 2).sum(axis=1))
    return (1 / np.maximum(1 - leverage, SMALLEST_SHARE))[groups]


def covariance(
    problem: Problem, weights: np.ndarray, theta: np.ndarray, clusters: np.ndarray
) -> np.ndarray:
    """Return the sandwich covariance of the parameters (in the solver's coordinates).

    `H^-1 S H^-1` with the Hessian of the objective and the sum over clusters of outer products
    of their gradients (Huber 1967), with the usual factor for few clusters. Parameters at a bound
    do not vary.
    """
    count = len(theta)
    _, slopes, hessian = local_model(problem, theta, weights)
    held = (theta <= problem.lower) | (theta >= problem.upper)
    groups, inverse = np.unique(clusters, return_inverse=True)
    scores = np.zeros((len(groups), count))
    np.add.at(scores, inverse, slopes)
    scores *= small_sample_factor(len(groups), _n_free(problem))
    free = np.flatnonzero(~held)
    result = np.zeros((count, count))
    inner = np.linalg.pinv(hessian[np.ix_(free, free)], hermitian=True)
    spread = scores[:, free].T @ scores[:, free]
    result[np.ix_(free, free)] = inner @ spread @ inner
    return result


def _sandwich_draws(
    problem: Problem,
    weights: np.ndarray,
    theta: np.ndarray,
    clusters: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    matrix = covariance(problem, weights, theta, clusters)
    values, vectors = np.linalg.eigh(matrix)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    moved = theta + rng.standard_normal((resamples, len(theta))) @ root.T
    return np.clip(moved, problem.lower, problem.upper)


def _n_free(problem: Problem) -> int:
    return int((problem.lower < problem.upper).sum())


def small_sample_factor(clusters: int, parameters: int) -> float:
    """Return the factor by which residuals are too small because the fit has used them."""
    return float(np.sqrt(clusters / max(clusters - parameters, 1)))


def student_factor(clusters: int, parameters: int, confidence_level: float) -> float:
    """Return how much wider Student's quantile is than the normal one, for few clusters."""
    tail = 0.5 + confidence_level / 2
    return float(stdtrit(max(clusters - parameters, 1), tail) / ndtri(tail))


def percentile_interval(
    draws: np.ndarray, estimate: np.ndarray, confidence_level: float, factor: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return percentiles over the first axis of `draws`, widened about `estimate` by `factor`.

    NaN where there are no draws.
    """
    if len(draws) == 0:
        empty = np.full(np.shape(estimate), np.nan)
        return empty, empty.copy()
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return estimate + factor * (low - estimate), estimate + factor * (high - estimate)


def _portions(resamples: int, rows: int) -> Iterator[int]:
    size = max(1, min(resamples, ELEMENTS // rows))
    for start in range(0, resamples, size):
        yield min(size, resamples - start)
