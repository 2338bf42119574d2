"""Point predictions and draws of the error for any mixtures and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalekit.selectors.mixtures.projecting.members import Member, response

if TYPE_CHECKING:
    from scalekit.selectors.mixtures.projection import Projection

# How much the exponent may change per e-fold of samples beyond the pilots (sd, relative): in all
# mixtures alike, and in each of its own. Measured on 24 small tasks (benchmarks/LOG.md).
EXPONENT_DRIFT, OWN_DRIFT = 0.4, 0.2


@dataclass(frozen=True)
class _Part:
    """The draws of one member that are used: `fitted` (D, k) and who they are."""

    member: Member
    pick: np.ndarray
    fitted: np.ndarray


def point_errors(
    projection: Projection, points: np.ndarray, samples: np.ndarray, effects: bool = True
) -> np.ndarray:
    """Return the point prediction of the error (k,) of mixtures (k, m) at samples (k,).

    Averaged over members; with `effects`, pilot mixtures keep what the surface leaves of them.
    """
    known = _known(projection, points) if effects else np.full(len(points), -1)
    total = np.zeros(len(points))
    for member in projection.members:
        (columns,) = member.columns(points, np.log(samples), np.array([0]))
        fitted = columns @ member.centre
        fitted += np.where(known >= 0, member.effects[np.maximum(known, 0)], 0.0)
        total += member.weight * _inverse(projection, fitted)
    return total


def surface_draws(projection: Projection, points: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return draws (D, k) of the error from the surface alone, without mixture effects."""
    parts = _parts(projection, points, samples)
    return _inverse(projection, np.concatenate([part.fitted for part in parts]))


def error_draws(
    projection: Projection, points: np.ndarray, samples: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return draws (D, k) of the mean error, mixture effects included, and of one new run."""
    rng, known = np.random.default_rng(0), _known(projection, points)
    of_point = np.unique(points, axis=0, return_inverse=True)[1].ravel()
    means, runs = [], []
    for part in _parts(projection, points, samples):
        sigma = part.member.sigma[part.pick][:, None]
        centre, spread = _effect_draws(projection, part, known)
        shared = rng.normal(size=(len(sigma), of_point.max() + 1))[:, of_point]
        own = rng.normal(size=(len(sigma), of_point.max() + 1))[:, of_point]
        bend = OWN_DRIFT * _slope_beyond(projection, part.member, part.pick, np.log(samples))
        mean = part.fitted + centre + spread * shared + bend * own
        means.append(mean)
        runs.append(mean + sigma * rng.normal(size=mean.shape))
    return (
        _inverse(projection, np.concatenate(means)),
        _inverse(projection, np.concatenate(runs)),
    )


def _inverse(projection: Projection, values: np.ndarray) -> np.ndarray:
    """Return errors from fitted values: never negative, and of an accuracy at most all of it."""
    metric = projection.pilots.metric
    most = metric.ceiling if metric.higher_is_better else np.inf
    if projection.form == "surface" and len(projection.pilots.sizes) > 1:
        return np.minimum(np.exp(values), most)
    return np.clip(values, 0.0, most)


def _known(projection: Projection, points: np.ndarray) -> np.ndarray:
    """Return the index of the pilot mixture that each point equals, or -1."""
    same = np.abs(points[:, None] - projection.pilots.mixtures[None]).max(axis=2) < 1e-8
    return np.where(same.any(axis=1), same.argmax(axis=1), -1)


def _parts(projection: Projection, points: np.ndarray, samples: np.ndarray) -> list[_Part]:
    """Return the draws of each member, as many as its weight says."""
    members, logs = projection.members, np.log(samples)
    total = sum(len(member.sigma) for member in members) // len(members)
    parts = []
    for member in members:
        count = round(total * member.weight)
        if not count:
            continue
        pick = np.linspace(0, len(member.sigma) - 1, count).astype(int)
        used, place = np.unique(member.of_draw[pick], return_inverse=True)
        fitted = np.empty((count, len(points)))
        for row, table in enumerate(member.columns(points, logs, used)):
            mine = place == row
            fitted[mine] = member.terms[pick[mine]] @ table.T
        bend = EXPONENT_DRIFT * np.random.default_rng(1).normal(size=(count, 1))
        parts.append(
            _Part(member, pick, fitted + bend * _slope_beyond(projection, member, pick, logs))
        )
    return parts


def _slope_beyond(
    projection: Projection, member: Member, pick: np.ndarray, logs: np.ndarray
) -> np.ndarray:
    """Return what a drift of the exponent by all of itself an e-fold would add (D, k).

    Zero inside the pilots' sizes; beyond, the parabola that is zero at both their ends.
    """
    if member.form != "surface" or not member.scaling.with_sizes:
        return np.zeros((len(pick), len(logs)))
    low, high = np.log(projection.pilots.sizes[[0, -1]])
    beyond = np.maximum((logs - low) * (logs - high), 0) / 2
    result: np.ndarray = member.terms[pick, 1][:, None] * beyond
    return result


def _effect_draws(
    projection: Projection, part: _Part, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and sd (D, k) of each point's effect: free, or pulled to its pilots."""
    member, pick, pilots = part.member, part.pick, projection.pilots
    sigma, effect = member.sigma[pick], member.effect[pick]
    centre = np.zeros((len(pick), len(known)))
    spread = np.broadcast_to(effect[:, None], centre.shape).copy()
    if not effect.any():
        return centre, spread
    y, relative = response(pilots), (effect / sigma) ** 2
    used, place = np.unique(member.of_draw[pick], return_inverse=True)
    for mixture in np.unique(known[known >= 0]):
        rows = np.flatnonzero(pilots.which == mixture)
        tables = member.columns(
            pilots.mixtures[pilots.which[rows]], np.log(pilots.samples[rows]), used
        )
        fitted = np.einsum("dq,drq->dr", member.terms[pick], np.stack(tables)[place])
        shrink = relative / (1 + relative * pilots.count[rows].sum())
        at = known == mixture
        centre[:, at] = (shrink * ((y[rows] - fitted) @ pilots.count[rows]))[:, None]
        spread[:, at] = (sigma * np.sqrt(shrink))[:, None]
    return centre, spread
