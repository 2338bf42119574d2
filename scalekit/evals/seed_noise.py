"""The seed variance that a comparison rests on: estimated, moderated, borrowed, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalekit.errors import InputError, did_you_mean
from scalekit.evals.blocks import Benchmark
from scalekit.evals.conventions import is_proportion, published_seed_noise
from scalekit.moderation import FEWEST, moderate

Array = NDArray[np.float64]
SeedSD = float | str | Mapping[str, float] | None
SOURCES = ("own", "log", "moderated", "published")


class SeedVariance(NamedTuple):
    """Variance between seeds of one recipe's score, its degrees of freedom, and its source."""

    variance: float
    df: float
    source: str


def pooled_seed_variance(benchmark: Benchmark, recipes: list[str], last: int = 1) -> SeedVariance:
    """Return the variance between seed means pooled over recipes with two seeds or more.

    `df` is zero where no recipe has two.
    """
    squares, df, names = 0.0, 0, []
    for name in recipes:
        means = seed_means(benchmark, name, last)
        if len(means) > 1:
            squares += float(((means - means.mean()) ** 2).sum())
            df += len(means) - 1
            names.append(name)
    return SeedVariance(squares / df if df else float("nan"), float(df), ", ".join(names))


def seed_means(benchmark: Benchmark, recipe: str, last: int = 1) -> Array:
    """Return the score of each seed (K,): the mean over items that every seed answered."""
    values = benchmark.blocks[recipe].last(last)
    complete = np.isfinite(values).all(axis=0)
    if not complete.any():
        raise InputError(
            f"{benchmark.label}: no item was answered by every seed of '{recipe}'. "
            "Evaluate the seeds on the same items."
        )
    return np.asarray(values[:, complete].mean(axis=1))


def seed_variances(
    benchmarks: list[Benchmark], recipes: tuple[str, str], seed_sd: SeedSD, last: int
) -> dict[str, SeedVariance | None]:
    """Return per benchmark label the seed variance to use; None where there is none to be had.

    `seed_sd`: None (own seeds; with a single seed, the other recipes of the log, moderated over
    benchmarks, else the published table), one of "own", "log", "moderated", "published", a number
    for all benchmarks, or a mapping from benchmark to number, in units of the metric.
    """
    if isinstance(seed_sd, str) and seed_sd not in SOURCES:
        raise InputError(f"No source of seed noise '{seed_sd}'. {did_you_mean(seed_sd, SOURCES)}")
    names = [benchmark.name for benchmark in benchmarks]
    if isinstance(seed_sd, Mapping):
        for name in seed_sd:
            if name not in names:
                raise InputError(f"seed_sd: no benchmark '{name}'. {did_you_mean(name, names)}")
    own = {b.label: pooled_seed_variance(b, list(recipes), last) for b in benchmarks}
    moderated = _moderated(own, "own seeds") if seed_sd == "moderated" else {}
    borrowed = _from_log(benchmarks, last) if seed_sd in (None, "log", "moderated") else {}

    def candidates(benchmark: Benchmark) -> Iterator[SeedVariance | None]:
        label = benchmark.label
        if isinstance(seed_sd, (float, int, Mapping)):
            yield _stated(seed_sd, benchmark)
        elif seed_sd == "published":
            yield _published(benchmark)
        elif seed_sd == "log":
            yield borrowed.get(label)
        else:
            yield moderated.get(label)
            yield _own(own[label], benchmark, recipes)
            if seed_sd != "own":
                yield from (borrowed.get(label), _published(benchmark))

    return {b.label: next((c for c in candidates(b) if c is not None), None) for b in benchmarks}


def _own(
    pooled: SeedVariance, benchmark: Benchmark, recipes: tuple[str, str]
) -> SeedVariance | None:
    if not pooled.df:
        return None
    both = all(len(benchmark.blocks[name].seeds) > 1 for name in recipes)
    return pooled._replace(source="own seeds" if both else f"the seeds of {pooled.source} for both")


def _stated(seed_sd: float | Mapping[str, float], benchmark: Benchmark) -> SeedVariance | None:
    value = seed_sd.get(benchmark.name) if isinstance(seed_sd, Mapping) else seed_sd
    if value is None:
        return None
    if not (np.isfinite(value) and value >= 0):
        raise InputError(f"A seed SD must be zero or positive; got {value} for {benchmark.name}.")
    if is_proportion(benchmark.metric) and value > 0.25:
        raise InputError(
            f"A seed SD of {value:g} for {benchmark.name} is larger than any seen: scores are in "
            "fractions of 1, so half a point is 0.005."
        )
    return SeedVariance(float(value) ** 2, float("inf"), f"stated seed SD {value:g}")


def _published(benchmark: Benchmark) -> SeedVariance | None:
    row = published_seed_noise(benchmark.name, benchmark.metric)
    if row is None:
        return None
    return SeedVariance(row.seed_sd**2, float("inf"), f"published for {row.benchmark}: seed SD "
                        f"{row.seed_sd:g} ({row.source})")  # fmt: skip


def _from_log(benchmarks: list[Benchmark], last: int) -> dict[str, SeedVariance]:
    pooled = {b.label: pooled_seed_variance(b, list(b.blocks), last) for b in benchmarks}
    return _moderated(pooled, "other recipes of this log")


def _moderated(found: Mapping[str, SeedVariance], source: str) -> dict[str, SeedVariance]:
    with_seeds = {label: v for label, v in found.items() if v.df > 0}
    if not with_seeds:
        return {}
    result = moderate(
        [v.variance for v in with_seeds.values()], [v.df for v in with_seeds.values()]
    )
    shrunk = sum(v.variance > 0 for v in with_seeds.values()) >= FEWEST
    how = f"{source}, moderated over {len(with_seeds)} benchmarks" if shrunk else source
    return {
        label: SeedVariance(float(variance), float(df), how)
        for label, variance, df in zip(with_seeds, result.variances, result.df, strict=True)
    }
