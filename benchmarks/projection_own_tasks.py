"""Tasks of our own, on which the surface's terms, ranges and drift were chosen (LOG.md).

Random designs of three or four sources from digits, wine, breast cancer and Gaussian blobs:
imbalance, label noise, feature noise, shifts; a logistic regression at 100, 150, 300 and 1,000
samples, five runs each, medians. Printed for each task: stage 1 at 150 samples (MAE where one
source has half or more, on a random half, from 12 mixtures) and stage 2 (MAE and coverage of the
95 % interval at 1,000 samples). About 20 CPU s a task.

    python benchmarks/projection_own_tasks.py [first] [last]
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

import scalekit as sk
from scalekit.selectors.simplex import simplex_grid

BASES = ("digits", "blobs", "wine", "digits", "cancer", "blobs", "digits", "blobs")
SIZES, REPEATS, NOISY, SHIFTED = (100, 150, 300, 1000), 5, (1, 3), (2, 3)
Points = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Source:
    """Label shares, share of random labels, sd of feature noise, shift, share of blanks."""

    shares: np.ndarray
    label_noise: float
    feature_noise: float
    shift: np.ndarray | float
    blank: float


def base(kind: str, rng: np.random.Generator) -> tuple[Points, Points, float]:
    """Return (validation, pool, sd of the jitter of every draw)."""
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    jitter = {"digits": 0.05, "wine": 0.9, "cancer": 1.0, "blobs": 0.0}[kind]
    if kind == "digits":
        x, y = datasets.load_digits(return_X_y=True)
        x = x / 16
    elif kind == "blobs":
        count, dim = int(rng.integers(4, 12)), int(rng.integers(8, 33))
        centres = rng.normal(size=(count, dim)) * rng.uniform(0.6, 1.1)
        y = rng.integers(0, count, 6000)
        scale = rng.uniform(0.6, 1.4, size=(count, dim))
        x = centres[y] + rng.normal(size=(6000, dim)) * scale[y]
    else:
        load = datasets.load_wine if kind == "wine" else datasets.load_breast_cancer
        x, y = load(return_X_y=True)
        x = StandardScaler().fit_transform(x)
    order = rng.permutation(len(x))
    held = min(500, len(x) // 3)
    validation = x[order[:held]], y[order[:held]]
    return validation, (x[order[held:]], y[order[held:]]), jitter


def design(style: int, pool: Points, count: int, rng: np.random.Generator) -> list[Source]:
    """Return the sources: 0 imbalance, 1 noise, 2 shifts and blanks, 3 all but blanks."""
    x, y = pool
    classes, made = len(np.unique(y)), []
    for i in range(count):
        evenness = {0: rng.choice([0.15, 0.3, 0.6]), 1: rng.choice([1.0, 5.0]), 2: 2.0, 3: 0.5}
        shares = np.maximum(rng.dirichlet(np.full(classes, evenness[style])), 0.003)
        labels = rng.choice([0, 0.2, 0.4]) if style in NOISY and i else 0.0
        noise = rng.choice([0, 0.2, 0.4]) if style in NOISY and i != 1 else 0.0
        far = rng.choice([0.0, 0.3, 0.7, 1.0]) if style in SHIFTED else 0.0
        shift = far * rng.normal(size=x.shape[1]) * x.std(axis=0)
        blank = rng.choice([0.0, 0.3]) if style == 2 else 0.0
        made.append(Source(shares / shares.sum(), labels, noise * x.std(), shift, blank))
    return made


def draw(
    source: Source, pool: Points, count: int, jitter: float, rng: np.random.Generator
) -> Points:
    x, labels = pool
    classes = np.unique(labels)
    y = rng.choice(classes, count, p=source.shares)
    points = x[[rng.choice(np.flatnonzero(labels == c)) for c in y]]
    points = points + rng.normal(0, jitter, points.shape)
    points = points + rng.normal(0, 1, points.shape) * source.feature_noise + source.shift
    if source.blank:
        points = np.where(rng.random(points.shape) < source.blank, x.mean(axis=0), points)
    return points, np.where(rng.random(count) < source.label_noise, rng.choice(classes, count), y)


def accuracy(parts: list[Points], validation: Points) -> float:
    from sklearn.linear_model import LogisticRegression

    x, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(np.unique(y)) < 2:
        return float(100 * np.mean(validation[1] == y[0]))
    return float(100 * LogisticRegression(max_iter=60).fit(x, y).score(*validation))


def task(number: int) -> tuple[dict[str, Points], Points, pd.DataFrame]:
    """Return the disclosed samples (300 each), the validation set, and the median accuracies."""
    rng = np.random.default_rng(1000 + number)
    validation, pool, jitter = base(BASES[number % len(BASES)], rng)
    if jitter > 0.5:
        validation = (validation[0] + rng.normal(0, jitter, validation[0].shape), validation[1])
    count = 4 if number % 5 == 4 else 3
    sources = design(number % 4, pool, count, rng)
    names, grid = [f"s{i}" for i in range(count)], simplex_grid(count, 10 if count == 3 else 5)
    rows = []
    for size in SIZES:
        for place, mixture in enumerate(grid):
            runs = []
            for repeat in range(REPEATS):
                rng = np.random.default_rng([number, size, repeat, place])
                each = np.round(size * mixture).astype(int)
                parts = [
                    draw(s, pool, n, jitter, rng) for s, n in zip(sources, each, strict=True) if n
                ]
                runs.append(accuracy(parts, validation))
            rows.append([*mixture, size, np.median(runs)])
    rng = np.random.default_rng([number, 9, 0])
    shown = {name: draw(s, pool, 300, jitter, rng) for name, s in zip(names, sources, strict=True)}
    return shown, validation, pd.DataFrame(rows, columns=[*names, "samples", "accuracy"])


def splits(grid: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, the mixtures fitted to)."""
    for i in range(grid.shape[1]):
        yield "extrapolate", np.flatnonzero(grid[:, i] < 0.45)
    for seed in range(2):
        order = np.random.RandomState(500 + seed).permutation(len(grid))
        yield "half", order[: len(grid) // 2]
    for seed in range(2):
        yield "twelve", np.random.RandomState(600 + seed).permutation(len(grid))[:12]


def main(first: int = 0, last: int = 24) -> None:
    warnings.filterwarnings("ignore", module="sklearn")
    rows = []
    for number in range(first, last):
        shown, validation, table = task(number)
        one = table[table.samples == 150].reset_index(drop=True)
        grid, true = one[list(shown)].to_numpy(), one["accuracy"].to_numpy()
        row: dict[str, list[float]] = {}
        for name, train in splits(grid):
            plan = sk.project(shown, validation, one.iloc[train], draws=100)
            miss = np.abs(plan.predict(grid)["predicted"].to_numpy() - true)
            row.setdefault(name, []).append(float(np.delete(miss, train).mean()))
        plan = sk.project(shown, validation, table[table.samples < 1000])
        found, large = plan.predict(grid, 1000), table[table.samples == 1000]["accuracy"].to_numpy()
        row["n1000"] = [float(np.abs(found.predicted - large).mean())]
        row["covered"] = [float(((found.ci_lower <= large) & (large <= found.ci_upper)).mean())]
        rows.append({"task": number, "base": BASES[number % len(BASES)]} | {
            name: np.mean(values) for name, values in row.items()
        })  # fmt: skip
        print(pd.DataFrame(rows[-1:]).round(2).to_string(index=False, header=len(rows) == 1))
    mean = pd.DataFrame(rows).mean(numeric_only=True).drop("task")
    print(f"mean of {len(rows)} tasks: " + ", ".join(f"{k} {v:.2f}" for k, v in mean.items()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
