"""Dense blocks of a benchmark: what the estimators work on, one array per recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Block:
    """One recipe on one benchmark: `answers` (seeds S, items I, steps T), NaN where missing.

    `answers` are means over repeated samples; `counts` says of how many, and `sample_squares`
    is the sum of squares within cells, on `counts.sum() - (counts > 0).sum()` degrees of freedom.
    """

    recipe: str
    answers: Array
    counts: NDArray[np.int64]
    sample_squares: float
    seeds: NDArray[np.object_]
    steps: Array
    stderr: float = float("nan")
    scale: float = float("nan")

    @property
    def balanced(self) -> bool:
        """Whether every seed answered every item at every step equally often."""
        return bool((self.counts == self.counts.flat[0]).all() and self.counts.flat[0] > 0)

    @property
    def samples(self) -> float:
        """Harmonic mean of the number of samples per cell."""
        present = self.counts[self.counts > 0]
        return float(len(present) / (1 / present).sum())

    @property
    def sample_df(self) -> int:
        """Degrees of freedom of the variance within cells."""
        return int(self.counts.sum() - (self.counts > 0).sum())

    def last(self, n: int) -> Array:
        """Return values (S, I): the mean of each seed's last `n` steps, NaN where one is missing.

        Steps that a seed never ran do not count: every seed has its own last step.
        """
        per_seed = []
        for values, counts in zip(self.answers, self.counts, strict=True):
            ran = np.flatnonzero(counts.any(axis=0))[-n:]
            per_seed.append(values[:, ran].mean(axis=1))
        return np.array(per_seed)

    def item_means(self) -> Array:
        """Return the mean answer to each item (I,) over seeds and steps, NaN for none."""
        present = np.isfinite(self.answers)
        n = present.sum(axis=(0, 2))
        total = np.where(present, self.answers, 0.0).sum(axis=(0, 2))
        return np.where(n > 0, total / np.maximum(n, 1), np.nan)

    def seed_scores(self) -> Array:
        """Return scores (S, T): means over the answered items, NaN for a step not run."""
        n = (self.counts > 0).sum(axis=1)
        return np.where(n > 0, np.nansum(self.answers, axis=1) / np.maximum(n, 1), np.nan)


@dataclass(frozen=True, eq=False)
class Benchmark:
    """All recipes on one benchmark and metric; the item axis is shared by the blocks.

    `clusters` (I,) holds a code per item, or is None where the log has no clusters.
    """

    name: str
    metric: str
    direction: int
    chance: float
    items: NDArray[np.object_]
    clusters: NDArray[np.int64] | None
    blocks: dict[str, Block]

    @property
    def label(self) -> str:
        """The name for tables and plots."""
        return f"{self.name} ({self.metric})"


def build_benchmark(
    part: pd.DataFrame, name: str, metric: str, direction: int, chance: float
) -> Benchmark:
    """Return the blocks of the rows of one benchmark and metric."""
    item_codes, items = pd.factorize(part["item"], sort=True)
    clusters = None
    if "cluster" in part:
        first = np.zeros(len(items), dtype=np.int64)
        first[item_codes] = pd.factorize(part["cluster"])[0]
        clusters = first
    blocks = {
        str(recipe): build_block(str(recipe), rows, item_codes[positions], len(items))
        for recipe, positions in part.groupby("recipe", sort=True, observed=True).indices.items()
        for rows in [part.iloc[positions]]
    }
    return Benchmark(
        name, metric, int(direction), float(chance), np.asarray(items, object), clusters, blocks
    )


def build_block(
    recipe: str, rows: pd.DataFrame, item_codes: NDArray[np.intp], n_items: int
) -> Block:
    """Return the dense block of one recipe's rows."""
    seed_codes, seeds = pd.factorize(rows["seed"], sort=True)
    step_codes, steps = pd.factorize(rows["step"], sort=True)
    shape = (len(seeds), n_items, len(steps))
    cell = np.ravel_multi_index((seed_codes, item_codes, step_codes), shape)
    value = rows["value"].to_numpy(dtype=np.float64)
    size = int(np.prod(shape))
    counts = np.bincount(cell, minlength=size)
    with np.errstate(invalid="ignore"):
        means = np.bincount(cell, value, size) / np.where(counts, counts, np.nan)
    return Block(
        recipe=recipe,
        answers=means.reshape(shape),
        counts=counts.reshape(shape),
        sample_squares=float(((value - means[cell]) ** 2).sum()),
        seeds=np.asarray(seeds, object),
        steps=np.asarray(steps, np.float64),
        stderr=mean_of(rows, "stderr"),
        scale=mean_of(rows, "scale"),
    )


def rows_of(frame: pd.DataFrame) -> Iterator[Any]:
    """Iterate over the rows as named tuples, whose fields pandas cannot type."""
    return iter(frame.itertuples(index=False))


def mean_of(rows: pd.DataFrame, column: str) -> float:
    """Return the mean of an optional column, NaN where it is absent or empty."""
    if column not in rows or rows[column].isna().all():
        return float("nan")
    return float(rows[column].mean())
