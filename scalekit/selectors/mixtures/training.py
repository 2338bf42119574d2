"""Fitting a mixing law to pilots: all targets, folds and resamples as one batch of the solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from scalekit.errors import FitError
from scalekit.fitters.objectives import Objective
from scalekit.fitters.problem import Problem
from scalekit.fitters.solver import solve
from scalekit.selectors.mixtures.pilots import Pilots
from scalekit.selectors.mixtures.sums import PRIOR_ROW, TermSum
from scalekit.selectors.mixtures.terms import Point

STARTS = ((0.7, 0.5), (0.3, 0.35), (0.5, 0.8), (0.85, 0.25))  # of E and of the exponents gamma
FIRST_NOISE, LEAST_NOISE = 0.02, 1e-5  # relative to the mean loss
ITERATIONS, REFIT_ITERATIONS = 100, 30
TOLERANCE = 1e-8
Scales = Mapping[str, np.ndarray]


class Trained(Protocol):
    """A law fitted to pilots: some members (refits, draws) of each target."""

    @property
    def pilots(self) -> Pilots:
        """The pilots that it was fitted to."""
        ...

    def predict(self, shares: np.ndarray, scales: Scales) -> np.ndarray:
        """Return losses (members, targets, rows) at shares (rows, sources)."""
        ...

    def refit(self, weights: np.ndarray) -> Trained:
        """Return one member for each row of `weights` (members, pilots); zero leaves one out."""
        ...

    def draw(self, count: int, deviation: np.ndarray, rng: np.random.Generator) -> Trained:
        """Return `count` members that are as plausible as this one; `deviation` (targets,)."""
        ...


@dataclass(frozen=True)
class TrainedSum:
    """A sum of terms fitted to pilots.

    `theta` (members, targets, parameters) belongs to losses divided by `level` (targets,), and
    to scales divided by `reference`; `noise` is the relative noise of each target.
    """

    model: TermSum
    pilots: Pilots
    theta: np.ndarray
    level: np.ndarray
    reference: Mapping[str, float]
    noise: np.ndarray
    agreement: float = 1.0

    def predict(self, shares: np.ndarray, scales: Scales) -> np.ndarray:
        """Return losses (members, targets, rows); see `Trained`."""
        members, targets, count = self.theta.shape
        inputs = _inputs(self.model, shares, self.relative(scales))
        found = self.model.predict(self.theta.reshape(-1, count), inputs)[0]
        return found.reshape(members, targets, -1) * self.level[:, None]

    def at(self, shares: np.ndarray, scales: Scales, weights: np.ndarray) -> Point:
        """Return the weighted sum of the targets at one mixture (members, sources) a member."""
        value, gradient, hessian = 0.0, 0.0, 0.0
        relative = self.relative(scales)
        for k, weight in enumerate(weights * self.level):
            part = self.model.at(self.theta[:, k], shares, relative)
            value = value + weight * part.value
            gradient = gradient + weight * part.gradient
            hessian = hessian + weight * part.hessian
        return Point(np.asarray(value), np.asarray(gradient), np.asarray(hessian))

    def refit(self, weights: np.ndarray) -> TrainedSum:
        """Return one member for each row of `weights`; see `Trained`."""
        theta = _solve(self, self._target(), weights[:, None, :] * self._precision(), self._warm())
        return replace(self, theta=theta)

    def draw(self, count: int, deviation: np.ndarray, rng: np.random.Generator) -> TrainedSum:
        """Return draws by randomise-then-optimise: losses and priors are both perturbed.

        Each draw fits losses with new noise of standard deviation `deviation` and priors moved by
        their spread; in a linear model that is a draw from the posterior (Bardsley et al. 2014).
        Unlike resampled rows it is honest about parameters that the pilots do not determine.
        """
        targets, rows = self.pilots.losses.shape
        relative = np.maximum(deviation / self.level, LEAST_NOISE)
        target = np.broadcast_to(self._target(), (count, targets, rows))
        target = target + relative[:, None] * rng.standard_normal((count, targets, rows))
        pulls = rng.standard_normal((count, targets, self.theta.shape[2]))
        precision = self._precision(relative)
        weights = np.broadcast_to(precision, (count, targets, rows))
        return replace(self, theta=_solve(self, target, weights, self._warm(), pulls))

    def relative(self, scales: Scales) -> Scales:
        """Return scales counted from the typical scale of the pilots."""
        return {
            name: np.asarray(scales[name], float) / unit for name, unit in self.reference.items()
        }

    def _target(self) -> np.ndarray:
        losses = self.pilots.losses / self.level[:, None]
        return np.where(np.isnan(losses), 1.0, losses)

    def _precision(self, noise: np.ndarray | None = None) -> np.ndarray:
        """Return the weight of each pilot for each target (targets, rows): 1 / noise squared."""
        deviation = self.noise if noise is None else noise
        return np.isfinite(self.pilots.losses) / deviation[:, None] ** 2

    def _warm(self) -> np.ndarray:
        return self.theta[:1, :, None]


def train(pilots: Pilots, model: TermSum) -> TrainedSum:
    """Return the law fitted to all targets, with the noise estimated along the way.

    Least squares with weak priors. The noise sets the weight of the priors: it is the residual
    deviation over the rows that the parameters leave free, estimated in two rounds.
    Raises FitError where the law has no finite value on the pilots.
    """
    targets, count = len(pilots.targets), len(model.parameters)
    reference = {name: float(np.exp(np.log(v).mean())) for name, v in pilots.scales.items()}
    level = np.nanmean(pilots.losses, axis=1)
    noise = np.full(targets, FIRST_NOISE)
    state = TrainedSum(model, pilots, np.zeros((1, targets, count)), level, reference, noise)
    starts = np.broadcast_to(_starts(model), (1, targets, len(STARTS), count))
    for _ in range(2):
        theta, agreement = _solve_starts(state, starts)
        state = replace(state, theta=theta, agreement=agreement)
        state = replace(state, noise=_residual_noise(state))
        starts = state._warm()
    return replace(state, theta=_solve_starts(state, starts)[0])


def _starts(model: TermSum) -> np.ndarray:
    """Return start vectors (starts, parameters): the priors, with spread-out E and exponents."""
    count = len(model.parameters)
    # an even sequence apart from its neighbours (golden ratio), so that equal terms separate
    jitter = (np.arange(1, 1 + len(STARTS) * count) * 0.6180339887) % 1 - 0.5
    starts = model.location + 0.6 * model.spread * jitter.reshape(len(STARTS), count)
    for row, (irreducible, exponent) in zip(starts, STARTS, strict=True):
        for k, parameter in enumerate(model.parameters):
            if parameter.name == "E":
                row[k] = irreducible
            elif parameter.name.startswith("gamma"):
                row[k] = exponent
    return starts


def _inputs(model: TermSum, shares: np.ndarray, scales: Scales) -> dict[str, np.ndarray]:
    """Return what the model reads: a column for each source and scale, all rows pilots."""
    columns = dict(zip(model.sources, np.asarray(shares, float).T, strict=True))
    rows = {name: np.broadcast_to(scale, len(shares)) for name, scale in scales.items()}
    return columns | rows | {PRIOR_ROW: np.full(len(shares), -1)}


def _with_priors(state: TrainedSum) -> dict[str, np.ndarray]:
    """Return the model's inputs for the pilots and, below them, one row for each prior."""
    inputs = _inputs(state.model, state.pilots.shares, state.relative(state.pilots.scales))
    count = len(state.model.parameters)
    below = {name: np.ones(count) for name in inputs} | {PRIOR_ROW: np.arange(count)}
    return {name: np.concatenate([column, below[name]]) for name, column in inputs.items()}


def _problem(
    state: TrainedSum, target: np.ndarray, weights: np.ndarray, pulls: np.ndarray | None = None
) -> tuple[Problem, np.ndarray]:
    """Return the solver's problem and weights for members x targets, flattened."""
    count = len(state.model.parameters)
    shape = np.broadcast_shapes(target.shape, weights.shape)
    priors = np.zeros((*shape[:-1], count)) if pulls is None else pulls
    whole = np.concatenate([np.broadcast_to(target, shape), priors], axis=-1)
    weighting = np.concatenate(
        [np.broadcast_to(weights, shape), np.ones((*shape[:-1], count))], axis=-1
    )
    rows = whole.shape[-1]
    problem = Problem.of(
        state.model, _with_priors(state), whole.reshape(-1, rows), Objective("squares")
    )
    return problem, weighting.reshape(-1, rows)


def _solve(
    state: TrainedSum,
    target: np.ndarray,
    weights: np.ndarray,
    starts: np.ndarray,
    pulls: np.ndarray | None = None,
) -> np.ndarray:
    """Return parameters (members, targets, parameters) from warm starts (1, targets, 1, ...)."""
    problem, weighting = _problem(state, target, weights, pulls)
    members = len(weighting) // state.theta.shape[1]
    begin = np.tile(starts[0, :, 0], (members, 1))
    found = solve(problem, begin, weighting, REFIT_ITERATIONS, TOLERANCE)
    return found.theta.reshape(members, -1, found.theta.shape[1])


def _solve_starts(state: TrainedSum, starts: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the best parameters (1, targets, parameters) and the share of starts that agree."""
    _, targets, tries, count = starts.shape
    problem, weights = _problem(state, state._target()[None], state._precision()[None])
    problem = replace(problem, target=np.repeat(problem.target, tries, axis=0))
    found = solve(
        problem, starts.reshape(-1, count), np.repeat(weights, tries, axis=0), ITERATIONS, TOLERANCE
    )
    best = found.best_of(targets)
    if not np.isfinite(best.value).all():
        worst = state.pilots.targets[int(np.flatnonzero(~np.isfinite(best.value))[0])]
        raise FitError(
            f"The law has no finite value on the target '{worst}'. Check its losses and scales, "
            "or take another law."
        )
    values = found.value.reshape(targets, tries)
    agreement = float((values <= 1.01 * best.value[:, None]).mean())
    return best.theta[None], agreement


def _residual_noise(state: TrainedSum) -> np.ndarray:
    """Return each target's relative noise: residuals over the rows that parameters leave free."""
    inputs = _inputs(state.model, state.pilots.shares, state.relative(state.pilots.scales))
    value, slopes = state.model.predict(state.theta[0], inputs)
    kept = np.isfinite(state.pilots.losses)
    squares = (np.where(kept, value - state._target(), 0.0) ** 2).sum(axis=1)
    noise = np.empty(len(squares))
    prior = np.diag(1 / state.model.spread**2)
    for k, square in enumerate(squares):
        design = slopes[:, k, kept[k]] / state.noise[k]
        normal = design @ design.T
        used = np.trace(np.linalg.solve(normal + prior, normal))
        rows = kept[k].sum()
        noise[k] = np.sqrt(square / max(rows - used, 0.1 * rows))
    return np.maximum(noise, LEAST_NOISE)
