"""Two recipes on the same items: who answered what, and the difference that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalekit.errors import InputError
from scalekit.evals.blocks import Benchmark, Block
from scalekit.evals.crossed import Difference, crossed_difference, noise_of
from scalekit.evals.planning import NoiseModel
from scalekit.evals.seed_noise import SeedVariance
from scalekit.notes import Note

Array = NDArray[np.float64]
AVERAGE = "(average)"


@dataclass(frozen=True, eq=False)
class Pair:
    """One benchmark's comparison; `difference` is None where no seed noise is known.

    `by_seed` holds the two recipes' seed scores, in the order of their seeds.
    """

    benchmark: str
    metric: str
    direction: int
    scores: tuple[float, float]
    by_seed: tuple[Array, Array]
    items: int
    samples: float
    seed_source: str
    difference: Difference | None
    noise: NoiseModel | None

    @property
    def seeds(self) -> tuple[int, int]:
        """How many seeds each recipe has."""
        return len(self.by_seed[0]), len(self.by_seed[1])


def pair_up(
    benchmark: Benchmark,
    systems: tuple[str, str],
    seed: SeedVariance | None,
    last: int,
    notes: list[Note],
) -> Pair:
    """Return the comparison of two recipes on the items that all their seeds answered."""
    blocks = [benchmark.blocks[name] for name in systems]
    values = [block.last(last) for block in blocks]
    complete = np.asarray(np.isfinite(np.concatenate(values)).all(axis=0))
    if not complete.any():
        raise InputError(
            f"{benchmark.label}: no item was answered by all seeds of '{systems[0]}' and "
            f"'{systems[1]}' ({_first_items(benchmark, systems, values)}). Evaluate both on the "
            "same items, or give the items the same ids."
        )
    left_out = len(complete) - int(complete.sum())
    if left_out:
        notes.append(
            Note(
                "unpaired-items",
                "warning",
                f"{benchmark.label}: {left_out} of "
                f"{len(complete)} items are not answered by every seed of both recipes "
                "and are left out of the comparison.",
            )
        )
    a, b = (v[:, complete] for v in values)
    clusters = None if benchmark.clusters is None else benchmark.clusters[complete]
    shared: dict[str, Any] = {
        "benchmark": benchmark.name,
        "metric": benchmark.metric,
        "direction": benchmark.direction,
        "scores": (float(a.mean()), float(b.mean())),
        "by_seed": (a.mean(axis=1), b.mean(axis=1)),
        "items": a.shape[1],
        "samples": float(np.mean([block.samples for block in blocks])),
    }
    if seed is None:
        return Pair(**shared, seed_source="none", difference=None, noise=None)
    own = seed.source == "own seeds" and min(len(a), len(b)) > 1
    given = None if own else (seed.variance, seed.df)
    if a.shape[1] == 1:
        difference = _of_scores(a[:, 0], b[:, 0], blocks, given, benchmark.label, notes)
        return Pair(**shared, seed_source=seed.source, difference=difference, noise=None)
    difference = crossed_difference(a, b, clusters, given)
    df = sum(block.sample_df for block in blocks)
    within = sum(block.sample_squares for block in blocks) / df / last if df else 0.0
    noise = noise_of(a, b, difference, given, within, shared["samples"])
    return Pair(**shared, seed_source=seed.source, difference=difference, noise=noise)


def _first_items(benchmark: Benchmark, systems: tuple[str, str], values: list[Array]) -> str:
    """Return which items the recipes begin with, so that ids written in two ways are seen."""
    told = []
    for name, answers in zip(systems, values, strict=True):
        own = benchmark.items[np.isfinite(answers).any(axis=0)]
        told.append(f"'{name}' answered {', '.join(map(repr, own[:2])) or 'none'}, ...")
    return "; ".join(told)


def _of_scores(
    a: Array,
    b: Array,
    blocks: list[Block],
    given: tuple[float, float] | None,
    label: str,
    notes: list[Note],
) -> Difference:
    """Return the difference where there is one score per seed: seeds, and the log's item errors."""
    errors = [block.stderr for block in blocks]
    item = float(np.sum(np.square(errors))) if np.isfinite(errors).all() else 0.0
    if item:
        notes.append(
            Note(
                "unpaired-error",
                "info",
                f"{label}: no item answers; the item part is "
                "the unpaired one of the log's standard errors, which is too wide.",
            )
        )
    else:
        notes.append(
            Note(
                "item-noise-unknown",
                "warning",
                f"{label}: no item answers and no "
                "standard error; the verdict holds for these items only.",
            )
        )
    if given is None:
        per = [float(x.var(ddof=1)) / len(x) for x in (a, b)]
        seed = sum(per)
        spread = sum(v**2 / (len(x) - 1) for v, x in zip(per, (a, b), strict=True))
        df = 2.0 * (len(a) - 1) if len(a) == len(b) else (seed**2 / spread if spread else 1.0)
    else:
        seed, df = given[0] * (1 / len(a) + 1 / len(b)), given[1]
    return Difference(float(a.mean() - b.mean()), item, seed, 0.0, np.inf, df)


def average_pair(pairs: list[Pair]) -> Pair:
    """Return the comparison of the mean score over benchmarks, each weighing the same.

    Benchmarks share the seeds: where every benchmark has the same own seeds the seed part comes
    from the seeds' averages; otherwise the seed errors are added as if fully correlated.
    """
    parts = [pair.difference for pair in pairs if pair.difference is not None]
    n = len(parts)
    item = sum(d.item for d in parts) / n**2
    interaction = sum(d.interaction for d in parts) / n**2
    item_df = item**2 / max(sum((d.item / n**2) ** 2 / d.item_df for d in parts), 1e-300)
    seeds = {pair.seeds for pair in pairs}
    own = all(pair.seed_source == "own seeds" for pair in pairs) and len(seeds) == 1
    if own and min(min(seeds)) > 1:
        means = [np.mean([pair.by_seed[k] for pair in pairs], axis=0) for k in (0, 1)]
        per = [float(m.var(ddof=1)) / len(m) for m in means]
        seed = sum(per)
        spread = sum(v**2 / (len(m) - 1) for v, m in zip(per, means, strict=True))
        equal = len(means[0]) == len(means[1])
        df = 2.0 * (len(means[0]) - 1) if equal else (seed**2 / spread if spread else 1.0)
    else:
        seed = (sum(np.sqrt(d.seed) for d in parts) / n) ** 2
        df = min(d.seed_df for d in parts)
    scores = tuple(float(np.mean([pair.scores[k] for pair in pairs])) for k in (0, 1))
    return Pair(
        AVERAGE, pairs[0].metric, pairs[0].direction, (scores[0], scores[1]), pairs[0].by_seed,
        sum(pair.items for pair in pairs), 1.0, "own seeds" if own else "as its benchmarks",
        Difference(scores[0] - scores[1], item, seed, interaction, item_df, df), None,
    )  # fmt: skip
