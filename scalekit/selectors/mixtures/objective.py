"""What the choice of a mixture makes small: loss, with repeated data, and distance to a prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from scalekit.errors import InputError
from scalekit.selectors.mixtures.limits import Limits
from scalekit.selectors.mixtures.mixture_fit import MixtureFit
from scalekit.selectors.mixtures.optimum import (
    Function,
    Optimum,
    descend,
    minimise_convex,
    sample_mixtures,
    search,
)
from scalekit.selectors.mixtures.pilots import by_name
from scalekit.selectors.mixtures.repeats import effective_share, with_repeats
from scalekit.selectors.mixtures.terms import Point
from scalekit.selectors.mixtures.training import Scales, TrainedSum

CANDIDATES = 20_000


@dataclass(frozen=True)
class Aim:
    """The weighted mean of the targets at `scales`, plus `kl` times KL(mixture, prior).

    `unique` (sources,) is the share at which a source has been seen once, None where repeated
    data counts in full; `repeat_value` is what repetitions are worth then.
    """

    fit: MixtureFit
    scales: Scales
    prior: np.ndarray | None = None
    kl: float = 0.0
    unique: np.ndarray | None = None
    repeat_value: float = np.inf

    def without_pull(self) -> Aim:
        """Return the aim without the pull towards the prior."""
        return replace(self, prior=None, kl=0.0)

    def plain(self) -> Aim:
        """Return the aim without pull and without regard to repeated data, as a pilot is run."""
        return replace(self.without_pull(), unique=None, repeat_value=np.inf)

    def losses(self, shares: np.ndarray, draws: bool = False) -> np.ndarray:
        """Return the mean loss (members, rows) at shares (rows, sources), without the pull."""
        worth = shares
        if self.unique is not None:
            worth = effective_share(shares, self.unique, self.repeat_value)[0]
        return self.fit.value(worth, self.scales, draws)

    def values(self, shares: np.ndarray, draws: bool = False) -> np.ndarray:
        """Return what is made small (members, rows), the pull included."""
        found = self.losses(shares, draws)
        return found if self.prior is None else found + self.kl * divergence(shares, self.prior)

    def best(self, limits: Limits, rng: np.random.Generator, draws: bool = False) -> Optimum:
        """Return the best mixture under `limits`, one for each draw of the law with `draws`."""
        trained = self.fit.draws if draws else self.fit.trained
        if isinstance(trained, TrainedSum) and self.fit.law.convex:
            return minimise_convex(self._function(trained), limits, len(trained.theta))
        candidates = sample_mixtures(limits, CANDIDATES // (10 if draws else 1), rng)
        if isinstance(trained, TrainedSum):
            return self._improve(trained, limits, candidates, draws)
        if not draws:
            return search(lambda shares: self.values(shares)[0], limits, candidates)
        places = self.values(candidates, draws=True).argmin(axis=1)
        prices = np.zeros((len(places), len(limits.bound)))
        return Optimum(candidates[places], prices, np.inf)

    def _improve(
        self, trained: TrainedSum, limits: Limits, candidates: np.ndarray, draws: bool
    ) -> Optimum:
        """Return the best candidate of each member, or what the law's slopes lead to from there."""
        starts = candidates[self.values(candidates, draws).argmin(axis=1)]
        function = self._function(trained)
        found = descend(function, limits, starts)
        worse = function(starts).value < function(found.shares).value
        shares = np.where(worse[:, None], starts, found.shares)
        return Optimum(shares, np.where(worse[:, None], 0.0, found.prices), np.inf)

    def _function(self, trained: TrainedSum) -> Function:
        def plain(shares: np.ndarray) -> Point:
            return trained.at(shares, self.scales, self.fit.weights)

        function: Function = plain
        if self.unique is not None:
            function = with_repeats(plain, self.unique, self.repeat_value)
        if self.prior is None or self.kl == 0:
            return function
        prior, kl = np.maximum(self.prior, 1e-12), self.kl

        def pulled(shares: np.ndarray) -> Point:
            inner, ratio = function(shares), np.log(np.maximum(shares, 1e-300) / prior)
            bend = (kl / np.maximum(shares, 1e-300))[:, :, None] * np.eye(shares.shape[1])
            return Point(
                inner.value + kl * (shares * ratio).sum(axis=1),
                inner.gradient + kl * (ratio + 1),
                inner.hessian + bend,
            )

        return pulled


def divergence(shares: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return KL(mixture, prior) in nats for shares (rows, sources)."""
    ratio = np.log(np.maximum(shares, 1e-300) / np.maximum(prior, 1e-12))
    return np.asarray((shares * ratio).sum(axis=-1))


def make_aim(
    fit: MixtureFit,
    at: Mapping[str, float] | None,
    kl: float,
    repeat_value: float | None,
    prior: Mapping[str, float] | None,
    counts: np.ndarray | None,
    budget: float | None,
) -> tuple[Aim, np.ndarray, str]:
    """Return the aim, the mixture that its best one is compared with, and what to call that.

    Raises InputError for a pull that is negative, a prior that is no mixture, and for a value of
    repeated data where the law does not know amounts.
    """
    reference, label = _baseline(fit, prior, counts)
    if kl < 0:
        raise InputError(f"kl is {kl:g}; it must be zero or more.")
    aim = Aim(fit, fit.settle_scales(at or {}), reference if kl > 0 else None, kl)
    if repeat_value is None:
        return aim, reference, label
    _check_repeats(fit, repeat_value)
    if counts is None or budget is None:
        raise InputError(
            "repeat_value needs available (--counts) and budget, to count repetitions."
        )
    return replace(aim, unique=counts / budget, repeat_value=repeat_value), reference, label


def _baseline(
    fit: MixtureFit, prior: Mapping[str, float] | None, counts: np.ndarray | None
) -> tuple[np.ndarray, str]:
    if prior is not None:
        shares = by_name(prior, fit.sources, "prior")
        if (shares < 0).any() or abs(shares.sum() - 1) > 0.01:
            raise InputError(
                f"prior: shares must be zero or more and sum to 1; they sum to {shares.sum():g}."
            )
        return shares / shares.sum(), "the prior"
    if counts is not None:
        return counts / counts.sum(), "data in proportion"
    mean = fit.pilots.shares.mean(axis=0)
    return mean / mean.sum(), "the mean pilot"


def _check_repeats(fit: MixtureFit, repeat_value: float) -> None:
    if not fit.law.amounts:
        raise InputError(
            f"repeat_value needs a law of amounts (additive, bimix, rational); '{fit.law.name}' "
            "does not tell less data from another mixture. Cap the epochs with max_epochs instead."
        )
    if not repeat_value > 0:
        raise InputError(f"repeat_value is {repeat_value:g}; it must be positive.")
