"""The noise of a comparison as a function of seeds, items and samples: one formula for all.

Var(difference) = 2 V_seed / K + V_difference / N + 2 V_seed_item / (K N) + 2 V_sample / (K N R)
for K seeds a recipe, N shared items, R samples an answer (Miller 2024, eq. 9, with seeds), and the
degrees of freedom by Satterthwaite, as in `compare_models`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from scalekit.errors import InputError
from scalekit.evals.standard_errors import t_quantile

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NoiseModel:
    """Variance components of the difference of two recipes, in squared units of the metric.

    `seed`: between seeds of one recipe. `difference`: between items, of the true difference of the
    two recipes. `seed_item`: seed by item, one recipe (with one sample it holds the sample noise).
    `sample`: between repeated answers. `seed_df`: extra degrees of freedom of the seed variance
    (a prior's); infinite where the seed variance is taken as known.
    """

    seed: float
    difference: float
    seed_item: float = 0.0
    sample: float = 0.0
    seed_df: float = 0.0

    def __post_init__(self) -> None:
        for name in ("seed", "difference", "seed_item", "sample", "seed_df"):
            value = getattr(self, name)
            if not value >= 0:
                raise InputError(f"The {name} variance must be zero or positive; got {value}.")

    def variance(self, seeds: ArrayLike, items: ArrayLike, samples: ArrayLike = 1) -> Array:
        """Return the variance of the difference for K seeds, N items, R samples."""
        return self._parts(seeds, items, samples)[0]

    def df(self, seeds: ArrayLike, items: ArrayLike, samples: ArrayLike = 1) -> Array:
        """Return the Satterthwaite degrees of freedom of that variance."""
        return self._parts(seeds, items, samples)[1]

    def _parts(self, seeds: ArrayLike, items: ArrayLike, samples: ArrayLike) -> tuple[Array, Array]:
        k, n, r = (np.asarray(x, dtype=np.float64) for x in (seeds, items, samples))
        if (k < 1).any() or (n < 2).any() or (r < 1).any():
            raise InputError("A plan needs at least 1 seed, 2 items and 1 sample.")
        shared = 2 * (self.seed_item + self.sample / r) / (k * n)
        by_item, by_seed = self.difference / n + shared, 2 * self.seed / k + shared
        total = by_item + 2 * self.seed / k
        seed_df = 2 * (k - 1) + self.seed_df
        with np.errstate(divide="ignore", invalid="ignore"):
            from_seeds = np.where(by_seed > 0, by_seed**2 / seed_df, 0.0)
            df = total**2 / (by_item**2 / (n - 1) + from_seeds)
        return total, np.where(total > 0, df, np.inf)

    def power(
        self,
        difference: ArrayLike,
        seeds: ArrayLike,
        items: ArrayLike,
        samples: ArrayLike = 1,
        confidence_level: float = 0.95,
    ) -> Array:
        """Return the probability that a true difference of this size is found real."""
        variance, df = self._parts(seeds, items, samples)
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.abs(np.asarray(difference, dtype=np.float64)) / np.sqrt(variance)
        return noncentral_power(np.where(variance > 0, shift, np.inf), df, confidence_level)

    def detectable(
        self,
        seeds: ArrayLike,
        items: ArrayLike,
        samples: ArrayLike = 1,
        confidence_level: float = 0.95,
        power: float = 0.8,
    ) -> Array:
        """Return the smallest true difference that is found real with this power."""
        variance, df = self._parts(seeds, items, samples)
        return np.sqrt(variance) * noncentral_shift(df, confidence_level, power)


def noncentral_power(shift: ArrayLike, df: ArrayLike, confidence_level: float = 0.95) -> Array:
    """Return P(|T| > t) for noncentral T with this shift and df."""
    shift, df = np.broadcast_arrays(
        np.asarray(shift, dtype=np.float64), np.asarray(df, dtype=np.float64)
    )
    critical = t_quantile(confidence_level, df)
    small = (df < 1e4) & (shift < 100) & (df > 0)  # beyond, the normal tail
    at = np.where(small, df, 10.0), np.where(small, shift, 0.0), np.where(small, critical, 1.0)
    far_tail = special.nctdtr(at[0], np.minimum(at[1], 5.0), -at[2])
    exact = 1 - special.nctdtr(*at) + np.where(at[1] < 5, far_tail, 0.0)  # below 1e-9 beyond
    with np.errstate(invalid="ignore"):
        normal = special.ndtr(shift - critical) + special.ndtr(-shift - critical)
    usable = small & np.isfinite(exact)  # nctdtr gives up far in the tails
    return np.where(df > 0, np.where(usable, exact, normal), 0.0)


def noncentral_shift(df: ArrayLike, confidence_level: float, power: float) -> Array:
    """Return the shift at which the two-sided t test has this power (its far tail left out)."""
    if not 0.5 <= power < 1:
        raise InputError(f"power must be in [0.5, 1); got {power}.")
    df = np.asarray(df, dtype=np.float64)
    critical = t_quantile(confidence_level, df)
    normal = critical + special.ndtri(power)
    small = (df < 1e4) & (df > 0)
    exact = special.nctdtrinc(np.where(small, df, 10.0), 1 - power, np.where(small, critical, 2.0))
    # with less than one degree of freedom t quantiles explode, and scipy's inverse stops early
    usable = small & np.isfinite(exact) & (critical < 60)
    shift = np.where(usable, exact, normal)
    return np.where(df > 0, shift, np.inf)


def items_needed(
    difference: float,
    item_variance: float,
    sample_variance: float = 0.0,
    samples: int = 1,
    confidence_level: float = 0.95,
    power: float = 0.8,
) -> int:
    """Return how many items find `difference` between two fixed models (Miller 2024, eq. 9).

    `item_variance` is Var(x_A) + Var(x_B) - 2 Cov over items, `sample_variance` the mean variance
    of repeated answers of one model.

    >>> items_needed(0.03, 1 / 9)
    969
    """
    if not difference > 0:
        raise InputError(f"The difference to detect must be positive; got {difference}.")
    z = special.ndtri((1 + confidence_level) / 2) + special.ndtri(power)
    total = item_variance + 2 * sample_variance / samples
    return int(np.ceil(z**2 * total / difference**2))
