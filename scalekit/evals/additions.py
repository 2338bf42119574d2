"""What would resolve an open comparison, and which addition is the cheapest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalekit.errors import InputError, did_you_mean
from scalekit.evals.planning import NoiseModel

# In model answers: what one more training run, one more item, and one more answer cost.
DEFAULT_COSTS = {"seed": 100_000.0, "item": 100.0, "answer": 1.0}
MOST_SEEDS, MOST_TIMES_ITEMS, MOST_SAMPLES = 100, 100, 64


@dataclass(frozen=True)
class Addition:
    """A design that would resolve a difference; `cost` is what it adds, in the unit of `costs`.

    `seeds_alone`, `items_alone`, `samples_alone` are how many would do if only they were added,
    None where no number up to the search's end does.
    """

    seeds: int
    items: int
    samples: int
    cost: float
    power: float
    seeds_alone: int | None
    items_alone: int | None
    samples_alone: int | None

    def describe(self, seeds: int, items: int, samples: int) -> str:
        """Return the addition in words, against the present design."""
        parts = []
        if self.seeds > seeds:
            parts.append(f"{self.seeds} seeds per recipe instead of {seeds}")
        if self.items > items:
            parts.append(f"{self.items:,} items instead of {items:,}")
        if self.samples > samples:
            parts.append(f"{self.samples} samples per answer instead of {samples}")
        return " and ".join(parts)


def checked_costs(costs: Mapping[str, float] | None) -> dict[str, float]:
    """Return the costs, the default where one is not given."""
    for name, value in (costs or {}).items():
        if name not in DEFAULT_COSTS:
            raise InputError(f"No cost '{name}'. {did_you_mean(name, DEFAULT_COSTS)}")
        if not (np.isfinite(value) and value >= 0):
            raise InputError(f"The cost of a {name} must be zero or positive; got {value}.")
    return DEFAULT_COSTS | dict(costs or {})


def design_cost(
    seeds: object, items: object, samples: object, costs: Mapping[str, float]
) -> np.ndarray:
    """Return the cost of a comparison of two recipes: training, items and answers."""
    k, n, r = (np.asarray(x, dtype=np.float64) for x in (seeds, items, samples))
    return 2 * k * costs["seed"] + n * costs["item"] + 2 * k * n * r * costs["answer"]


def cheapest_addition(
    noise: NoiseModel,
    difference: float,
    seeds: int,
    items: int,
    samples: int = 1,
    costs: Mapping[str, float] | None = None,
    power: float = 0.8,
    confidence_level: float = 0.95,
) -> Addition | None:
    """Return the cheapest larger design that finds a true `difference` with this power.

    The search is over seeds up to 100, items up to 100 times the present ones and samples up to
    64; None where nothing in it is enough. Repeated samples only help where their noise is known.

    >>> cheapest_addition(NoiseModel(seed=1e-4, difference=0.1), 0.03, seeds=3, items=1000).seeds
    4
    """
    prices = checked_costs(costs)
    k = np.arange(seeds, max(MOST_SEEDS, seeds) + 1)
    factors = np.unique(np.round(np.geomspace(1, MOST_TIMES_ITEMS, 80), 2))
    n = np.unique(np.ceil(items * factors).astype(int))
    powers = samples * 2 ** np.arange(0, int(np.log2(MOST_SAMPLES)) + 1)
    r = powers if noise.sample > 0 else np.array([samples])
    kk, nn, rr = np.meshgrid(k, n, r, indexing="ij")
    reached = noise.power(difference, kk, nn, rr, confidence_level)
    enough = reached >= power
    if not enough.any():
        return None
    cost = np.where(enough, design_cost(kk, nn, rr, prices), np.inf)
    best = np.unravel_index(np.argmin(cost), cost.shape)
    return Addition(
        seeds=int(kk[best]),
        items=int(nn[best]),
        samples=int(rr[best]),
        cost=float(cost[best] - design_cost(seeds, items, samples, prices)),
        power=float(reached[best]),
        seeds_alone=_first(k, enough[:, 0, 0]),
        items_alone=_first(n, enough[0, :, 0]),
        samples_alone=_first(r, enough[0, 0, :]),
    )


def _first(values: np.ndarray, enough: np.ndarray) -> int | None:
    return int(values[np.argmax(enough)]) if enough.any() else None
