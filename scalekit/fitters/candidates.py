"""Candidates of a forecast: a law, on all rows or mostly the largest, alone or sharing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalekit.fitters.batch import Members, fit_members
from scalekit.fitters.law import Law
from scalekit.fitters.local_objective import local_models
from scalekit.fitters.model import Scales
from scalekit.fitters.objectives import Objective
from scalekit.fitters.sharing import share, shrunk_noise

UNKNOWN = 0.5  # deviation of log loss above which a parameter doubt says no more than "unknown"


@dataclass(frozen=True)
class Candidate:
    """One way to forecast: `law`, `shared` or alone, and what the small rows count.

    A share `trimmed` of the smallest rows is dropped; the others weigh by the power `tilt` of
    their size. Both are for curves whose start is another regime.
    """

    law: Law
    trimmed: float = 0.0
    shared: bool = False
    tilt: float = 0.0

    @property
    def name(self) -> str:
        """The candidate in words: "chinchilla, smallest 30% dropped"."""
        name = self.law.name + (", shared" if self.shared else "")
        name += f", smallest {self.trimmed:.0%} dropped" if self.trimmed else ""
        return name + (f", weights size^{self.tilt:g}" if self.tilt else "")


@dataclass(frozen=True)
class Fitted:
    """A candidate fitted to all members; those with too few rows have NaN parameters."""

    candidate: Candidate
    law: Law
    theta: np.ndarray
    covariance: np.ndarray
    noise: np.ndarray

    def forecast(self, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
        """Return log loss at `scales` (members, rows), and the doubt from the parameters."""
        theta = np.where(np.isfinite(self.theta), self.theta, 0.0)
        value, first, _ = self.law.model.derivatives(theta, scales)
        shape = np.broadcast_shapes(value.shape, *[np.shape(scale) for scale in scales.values()])
        slopes = np.stack([np.broadcast_to(entry / value, shape) for entry in first], axis=-1)
        with np.errstate(all="ignore"):
            doubt = np.sqrt(np.einsum("bri,bij,brj->br", slopes, self.covariance, slopes))
            centre = np.broadcast_to(np.log(value), shape).copy()
        centre[~np.isfinite(self.theta).all(axis=1)] = np.nan
        centre[~np.isfinite(centre)] = np.nan
        return centre, np.where(np.isfinite(doubt), np.minimum(doubt, UNKNOWN), UNKNOWN)


def can_fit(candidate: Candidate, members: Members, size: np.ndarray) -> np.ndarray:
    """Return which members have rows enough for the candidate; none, where too few could share."""
    distinct = _distinct_rows(trim(members, size, candidate.trimmed))
    enough = distinct >= (2 if candidate.shared else len(candidate.law.parameters) + 1)
    return np.asarray(enough & (enough.sum() >= (3 if candidate.shared else 1)))


def fit_candidate(
    candidate: Candidate, members: Members, size: np.ndarray, groups: list[np.ndarray]
) -> Fitted:
    """Fit one candidate to every member that has rows enough for it."""
    seen = tilt(trim(members, size, candidate.trimmed), size, candidate.tilt)
    count = len(candidate.law.parameters)
    enough = can_fit(candidate, members, size)
    law, noise = candidate.law, np.full(len(members), np.nan)
    theta = np.full((len(members), count), np.nan)
    covariance = np.zeros((len(members), count, count))
    if enough.any():
        part = seen.part(enough)
        if candidate.shared:
            numbered = [np.unique(group[enough], return_inverse=True)[1] for group in groups]
            found = share(law, part, numbered)
            law, theta[enough], covariance[enough] = found.law, found.theta, found.covariance
            noise[enough] = found.noise
        else:
            theta[enough], covariance[enough], noise[enough] = _fit_alone(law, part)
    return Fitted(candidate, law, theta, covariance, noise)


def trim(members: Members, size: np.ndarray, share: float) -> Members:
    """Return the members without the given share of each one's smallest rows."""
    if not share:
        return members
    present = members.weights > 0
    ordered = np.where(present, size, np.nan)
    with np.errstate(all="ignore"):
        lowest = np.nanquantile(ordered, share, axis=1, keepdims=True)
    return replace(members, weights=np.where(size >= lowest, members.weights, 0.0))


def tilt(members: Members, size: np.ndarray, power: float) -> Members:
    """Return the members with weights times a power of size, their sums as before."""
    if not power:
        return members
    weights = members.weights * np.where(members.weights > 0, size, 1.0) ** power
    before = members.weights.sum(axis=1, keepdims=True)
    return replace(members, weights=weights * before / weights.sum(axis=1, keepdims=True))


def _fit_alone(law: Law, members: Members) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    solution, problem = fit_members(law, members, Objective("huber_log"))
    noise = shrunk_noise(problem.residual(solution.theta), members.weights, len(law.parameters))
    curvature = local_models(problem, solution.theta, members.weights)
    held = (solution.theta <= problem.lower) | (solution.theta >= problem.upper)
    scaled = curvature / (noise**2)[:, None, None]
    covariance = np.zeros_like(scaled)
    for k, matrix in enumerate(scaled):
        free = np.ix_(~held[k], ~held[k])
        if (~held[k]).any() and np.isfinite(matrix).all():
            covariance[k][free] = np.linalg.pinv(matrix[free], rcond=1e-12, hermitian=True)
    return solution.theta, covariance, noise


def _distinct_rows(members: Members) -> np.ndarray:
    """Return how many different scales each member has seen."""
    points = np.stack(list(members.scales.values()), axis=-1)
    return np.array(
        [len(np.unique(p[w > 0], axis=0)) for p, w in zip(points, members.weights, strict=True)]
    )
