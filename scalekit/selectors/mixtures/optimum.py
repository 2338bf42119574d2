"""The best mixture under linear limits: an interior-point method for a batch, and a search.

Convex laws go to the interior-point method, which is certain up to its gap. Others are searched
over sampled mixtures; the best one is then improved, by the same method where the law has
derivatives, else by exchanging shares between pairs of sources.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scalekit.selectors.mixtures.limits import Limits
from scalekit.selectors.mixtures.terms import Point

LAST_BARRIER = 1e-9  # times the number of limits: how far from the minimum the result may be
SHRINK = 0.1
NEWTON_STEPS = 12
WALK = 60
INWARD = 0.1  # how far a start is moved from the edge
Function = Callable[[np.ndarray], Point]


@dataclass(frozen=True)
class Optimum:
    """Best shares (batch, sources), and the price of each limit (batch, limits).

    A price is how much the objective falls when the limit gives way by one unit of share; it is
    zero where the limit does not bind. `gap` bounds how far the objective is from its minimum
    (infinite where the law is not convex and nothing is certain).
    """

    shares: np.ndarray
    prices: np.ndarray
    gap: float


def minimise_convex(function: Function, limits: Limits, batch: int) -> Optimum:
    """Return the minimum of a convex `function` of shares (batch, sources), one a member.

    A primal barrier method with Newton steps on the simplex (Boyd & Vandenberghe 2004, chapter
    11). It keeps strictly inside the limits, where powers of a share below one have a slope.
    """
    return _barrier_method(function, limits, np.tile(limits.inside, (batch, 1)))


def descend(function: Function, limits: Limits, starts: np.ndarray) -> Optimum:
    """Return a minimum of `function` near `starts` (batch, sources), one a member.

    The same method where the function need not be convex: negative curvature counts as none. What
    it finds is the best nearby; nothing is certain of the whole.
    """

    def bowl(shares: np.ndarray) -> Point:
        here = function(shares)
        values, vectors = np.linalg.eigh(here.hessian)
        turned = vectors * np.maximum(values, 0.0)[:, None, :]
        return here._replace(hessian=turned @ vectors.transpose(0, 2, 1))

    inner = starts + INWARD * (limits.inside - starts)
    return replace(_barrier_method(bowl, limits, inner), gap=np.inf)


def _barrier_method(function: Function, limits: Limits, shares: np.ndarray) -> Optimum:
    fixed = limits.upper - limits.lower <= 1e-9
    batch = len(shares)
    rows = ~np.all((limits.matrix == 0) | fixed, axis=1)
    matrix, bound = limits.matrix[rows], limits.bound[rows]
    first = function(shares).gradient
    barrier = np.maximum(np.ptp(first, axis=1), 1e-6) * 0.1
    last = LAST_BARRIER
    while (~fixed).sum() > 1:
        for _ in range(NEWTON_STEPS):
            shares, settled = _newton(function, shares, matrix, bound, barrier, ~fixed)
            if settled:
                break
        if barrier.max() <= last:
            break
        barrier = np.maximum(SHRINK * barrier, last)
    prices = np.zeros((batch, len(limits.bound)))
    prices[:, rows] = barrier[:, None] / np.maximum(bound - shares @ matrix.T, 1e-300)
    return Optimum(limits.clip(shares), prices, float(last * rows.sum()))


def _newton(
    function: Function,
    shares: np.ndarray,
    matrix: np.ndarray,
    bound: np.ndarray,
    barrier: np.ndarray,
    free: np.ndarray,
) -> tuple[np.ndarray, bool]:
    """Return the shares after one Newton step of the barrier problem, and whether it is solved."""
    here = function(shares)
    slack = bound - shares @ matrix.T
    inverse = 1 / slack
    gradient = here.gradient + barrier[:, None] * (inverse @ matrix)
    curved = (matrix.T * (inverse**2)[:, None, :]) @ matrix
    hessian = here.hessian + barrier[:, None, None] * curved
    step = _step_on_simplex(gradient, hessian, free)
    slope = (gradient * step).sum(axis=1)
    ahead = step @ matrix.T
    with np.errstate(divide="ignore"):
        room = np.where(ahead > 0, slack / np.where(ahead > 0, ahead, 1.0), np.inf).min(axis=1)
    length = np.minimum(1.0, 0.95 * room)
    value = here.value - barrier * np.log(slack).sum(axis=1)
    for _ in range(30):
        trial = shares + length[:, None] * step
        left = np.maximum(bound - trial @ matrix.T, 1e-300)
        new = function(trial).value - barrier * np.log(left).sum(axis=1)
        worse = ~(new <= value + 1e-4 * length * slope + 1e-13 * np.abs(value))
        if not worse.any():
            break
        length = np.where(worse, 0.5 * length, length)
    else:
        trial = np.where(worse[:, None], shares, trial)
    return trial, bool((-slope <= 0.1 * barrier).all())


def _step_on_simplex(gradient: np.ndarray, hessian: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return Newton steps that keep the sum of the free shares."""
    batch, count = gradient.shape
    inner = int(free.sum())
    system = np.zeros((batch, inner + 1, inner + 1))
    system[:, :inner, :inner] = hessian[:, free][:, :, free]
    # powers of tiny shares make entries of very different size: scale to a unit diagonal
    size = 1 / np.sqrt(np.maximum(np.einsum("bii->bi", system)[:, :inner], 1e-300))
    system[:, :inner, :inner] *= size[:, :, None] * size[:, None, :]
    system[:, np.arange(inner), np.arange(inner)] += 1e-12
    system[:, :inner, inner] = system[:, inner, :inner] = size
    right = np.zeros((batch, inner + 1))
    right[:, :inner] = -gradient[:, free] * size
    step = np.zeros((batch, count))
    step[:, free] = np.linalg.solve(system, right[:, :, None])[:, :inner, 0] * size
    return step


def sample_mixtures(limits: Limits, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return mixtures (count, sources) spread over the limits, edges included.

    Hit and run from the most inner mixture: exchanges between two sources, each to a random place
    on the whole way that the limits leave, now and then to its end.
    """
    sources = len(limits.sources)
    shares = np.tile(limits.inside, (count, 1))
    everyone = np.arange(count)
    for _ in range(WALK):
        giver, taker = rng.integers(sources, size=count), rng.integers(sources, size=count)
        direction = np.zeros_like(shares)
        direction[everyone, giver] -= 1
        direction[everyone, taker] += 1
        slack, ahead = limits.slack(shares), direction @ limits.matrix.T
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(ahead != 0, slack / ahead, np.inf)
        far = np.where(ahead > 0, ratio, np.inf).min(axis=1)
        back = np.where(ahead < 0, ratio, -np.inf).max(axis=1)
        place = np.clip(rng.uniform(-0.15, 1.15, size=count), 0, 1)
        still = giver == taker
        far, back = np.where(still, 0.0, far), np.where(still, 0.0, back)
        move = back + place * (far - back)
        shares = shares + move[:, None] * direction
    return limits.clip(shares)


def search(
    values: Callable[[np.ndarray], np.ndarray], limits: Limits, candidates: np.ndarray
) -> Optimum:
    """Return the best mixture of any function `values` of shares (rows, sources).

    Starts from the best of `candidates`; then moves shares between pairs of sources, by ever
    smaller amounts, while that helps. Nothing is certain for a function that is not convex.
    """
    shares = candidates[int(np.argmin(values(candidates)))]
    best, amount = float(values(shares[None])[0]), 0.1
    sources = len(limits.sources)
    moves = np.eye(sources)[:, None] - np.eye(sources)[None]
    moves = moves.reshape(-1, sources)
    while amount > 1e-4:
        trial = shares + amount * moves
        trial = trial[(limits.slack(trial) >= -1e-12).all(axis=1)]
        found = values(trial)
        place = int(np.argmin(found))
        if found[place] < best - 1e-12:
            shares, best = trial[place], float(found[place])
        else:
            amount /= 2
    return Optimum(limits.clip(shares)[None], np.zeros((1, len(limits.bound))), np.inf)
