"""Curves that inform each other: a hierarchical prior by empirical Bayes.

Each parameter of a curve is a common value, plus an effect of each group that the curve belongs
to (its task, its model), plus an effect of its own; all effects are normal, with covariances that
the curves themselves determine. A short curve then borrows what it cannot know (where it will
level off) from the long ones, and a long one stays where its own data put it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalekit.fitters.batch import Members, fit_members
from scalekit.fitters.law import Law
from scalekit.fitters.local_objective import local_models
from scalekit.fitters.objectives import Objective
from scalekit.fitters.problem import Prior, Problem
from scalekit.fitters.solver import solve

ROUNDS = 8
RESTARTS = 3  # every so many rounds the solver also starts from the prior's centre
WILD = 3.0  # deviations beyond which a first estimate is pulled in before the prior is formed
TINY = 1e-4  # variance that every effect keeps, so that no covariance is singular
PRIOR_FREEDOM = 4.0  # rows that the typical noise counts as, when a curve's own noise is shrunk


@dataclass(frozen=True)
class Shared:
    """Curves fitted together.

    `theta` (members, parameters) and `covariance` (members, parameters, parameters) are the
    posterior's centre and curvature, `centre` the prior's mean for each member, `spread` the
    covariance of a member's own effect; `noise` (members,) the deviation of log loss of one row.
    """

    law: Law
    theta: np.ndarray
    covariance: np.ndarray
    noise: np.ndarray
    centre: np.ndarray
    spread: np.ndarray


def in_logs(law: Law) -> Law:
    """Return the law with every parameter that cannot be negative fitted as its logarithm.

    Effects of groups are then factors, and a constant can be small without ever being exactly 0.
    """
    moved = [
        p if p.log or p.lower < 0
        else replace(p, log=True, start=(max(p.start[0], 0.02), p.start[1]))
        for p in law.parameters
    ]  # fmt: skip
    return replace(law, parameters=tuple(moved))


def share(law: Law, members: Members, groups: list[np.ndarray]) -> Shared:
    """Fit `law` to every member under a prior that all members determine together.

    `groups` holds, for each kind of group, the number of the group that each member belongs to.
    Expectation-maximisation with Laplace's approximation of each member's posterior.
    Source: Morris 1983 (parametric empirical Bayes); Lindstrom & Bates 1990 (nonlinear form).
    """
    law = in_logs(law)
    first, problem = fit_members(law, members, Objective("huber_log"))
    noise = shrunk_noise(problem.residual(first.theta), members.weights, first.theta.shape[1])
    variance = noise**2
    problem = replace(problem, objective=Objective("log_squares"))
    effects = _Effects.start(first.theta, groups)
    theta = effects.pull_in(first.theta)
    for turn in range(ROUNDS):
        precision = np.linalg.inv(effects.own)
        prior = Prior(effects.centre(), precision[None] * variance[:, None, None])
        theta, curvature = _posterior(problem, prior, theta, members.weights, turn)
        covariance = np.linalg.inv(
            curvature / variance[:, None, None] + 1e-9 * np.eye(len(precision))
        )
        effects.update(theta, covariance)
    return Shared(law, theta, covariance, noise, effects.centre(), effects.own)


def _posterior(
    problem: Problem, prior: Prior, theta: np.ndarray, weights: np.ndarray, turn: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best parameters under the prior and the curvature of the objective there."""
    problem = replace(problem, prior=prior)
    starts = [theta] if turn % RESTARTS else [theta, prior.mean]
    found = [
        solve(problem, np.clip(s, problem.lower, problem.upper), weights, 60, 1e-9) for s in starts
    ]
    best = np.argmin([entry.value for entry in found], axis=0)
    theta = np.stack([entry.theta for entry in found])[best, np.arange(len(theta))]
    return theta, local_models(problem, theta, weights)


def shrunk_noise(residual: np.ndarray, weights: np.ndarray, parameters: int) -> np.ndarray:
    """Return each member's noise, shrunk to the typical one: short curves cannot tell their own."""
    rows = (weights > 0).sum(axis=1)
    freedom = np.maximum(rows - parameters, 0)
    # the median is robust; squares of a few large steps would call a bent curve noisy
    size = 1.4826 * np.array(
        [np.median(np.abs(r[w > 0])) for r, w in zip(residual, weights, strict=True)]
    )
    own = size**2 * rows / np.maximum(freedom, 1)
    known = freedom >= parameters
    typical = float(np.median(own[known])) if known.any() else float(np.median(own))
    shrunk = (freedom * own + PRIOR_FREEDOM * typical) / (freedom + PRIOR_FREEDOM)
    return np.sqrt(np.maximum(shrunk, 1e-10))


@dataclass
class _Effects:
    """The common value, the effects of groups, and the covariances of all effects."""

    common: np.ndarray
    own: np.ndarray
    groups: list[np.ndarray]
    values: list[np.ndarray]
    between: list[np.ndarray]
    size: np.ndarray
    members: int

    @classmethod
    def start(cls, theta: np.ndarray, groups: list[np.ndarray]) -> _Effects:
        common = np.median(theta, axis=0)
        size = 1.4826 * np.median(np.abs(theta - common), axis=0) + 0.1
        spread = np.diag(size**2)
        groups = [g for g in groups if 1 < g.max() + 1 < len(g)]
        values = [np.zeros((g.max() + 1, theta.shape[1])) for g in groups]
        return cls(common, spread, groups, values, [0.5 * spread] * len(groups), size, len(theta))

    def pull_in(self, theta: np.ndarray) -> np.ndarray:
        """Return first estimates without the wild ones, which would make the prior useless."""
        return np.clip(theta, self.common - WILD * self.size, self.common + WILD * self.size)

    def _of_groups(self, without: int | None = None) -> np.ndarray:
        parts = [
            v[g]
            for k, (g, v) in enumerate(zip(self.groups, self.values, strict=True))
            if k != without
        ]
        return np.sum(parts, axis=0) if parts else np.zeros(1)

    def centre(self) -> np.ndarray:
        return np.tile(self.common, (self.members, 1)) + self._of_groups()

    def update(self, theta: np.ndarray, covariance: np.ndarray) -> None:
        """Re-estimate all effects and covariances from the members' posteriors."""
        floor = TINY * np.eye(theta.shape[1])
        inverse = np.linalg.inv(self.own[None] + covariance)
        for k, group in enumerate(self.groups):
            left = theta - self.common - self._of_groups(without=k)
            doubt = np.zeros_like(self.own)
            for member in range(len(self.values[k])):
                mine = group == member
                precision = inverse[mine].sum(axis=0) + np.linalg.inv(self.between[k])
                pull = np.einsum("bij,bj->i", inverse[mine], left[mine])
                self.values[k][member] = np.linalg.solve(precision, pull)
                doubt += np.linalg.inv(precision)
            effect = self.values[k]
            self.between[k] = (effect.T @ effect + doubt) / len(effect) + floor
        left = theta - self._of_groups()
        self.common = np.linalg.solve(inverse.sum(axis=0), np.einsum("bij,bj->i", inverse, left))
        own = theta - self.centre()
        self.own = (own.T @ own + covariance.sum(axis=0)) / len(theta) + floor
