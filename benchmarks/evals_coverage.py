"""T6, T8, T16: do the intervals hold 95%? Seeds, clusters of unequal size, moderated seed SDs.

Beside ours, in the same simulation: the percentile bootstrap (rliable's default, written anew),
and clustered errors as inspect-ai computes them, C/(C-1) with t(C-1) (written anew from its
documentation). Two minutes on one core.

    python benchmarks/evals_coverage.py
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from scalekit.evals import aggregate, item_variance, moderate
from scalekit.evals.standard_errors import sd_factors, t_quantile

SHARED = Path(os.environ.get("SCALEKIT_SHARED", Path(__file__).parents[2] / "shared")) / "data"


def seeds(reps: int = 20_000) -> None:
    rng = np.random.default_rng(0)
    print("T6 mean and SD over n seeds, coverage in % (nominal 95)")
    for n in (2, 3, 5, 10):
        x = rng.standard_normal((reps, n))
        mean, sd = x.mean(axis=1), x.std(axis=1, ddof=1)
        ours = np.abs(mean) < t_quantile(0.95, n - 1) * sd / np.sqrt(n)
        lower, upper = sd_factors(n - 1)
        sd_ours = (sd * lower < 1) & (sd * upper > 1)
        few = x[:2000]
        draws = few[np.arange(2000)[:, None, None], rng.integers(0, n, (2000, 400, n))].mean(axis=2)
        ends = np.percentile(draws, [2.5, 97.5], axis=1)
        boot = (ends[0] < 0) & (ends[1] > 0)
        print(f"  n={n}: mean {100 * ours.mean():.1f}, SD {100 * sd_ours.mean():.1f}; "
              f"percentile bootstrap of the mean {100 * boot.mean():.1f}")  # fmt: skip


def iqm_of_games(reps: int = 400) -> None:
    path = SHARED / "dopamine_atari" / "atari200m_final5iter.csv"
    if not path.exists():
        print(f"T6 IQM: skipped, no {path}")
        return
    table = pd.read_csv(path)
    value = next(c for c in table if c not in ("game", "agent", "run"))
    one = table[table["agent"] == "DQN"].pivot_table(value, "run", "game")
    reference = pd.read_csv(SHARED / "dopamine_atari" / "human_random_scores.csv")
    reference = reference.set_index("game").reindex(one.columns).dropna()
    one = (one[reference.index] - reference["random_score"]) / (
        reference["human_score"] - reference["random_score"]
    )
    mean, sd = one.mean().to_numpy(), one.std().to_numpy()
    rng = np.random.default_rng(1)
    from scalekit.evals import iqm

    truth = {
        n: float(iqm(mean + sd * rng.standard_normal((2000, n, len(mean)))).mean()) for n in (3, 5)
    }
    for n in (3, 5):
        ours = percentile = 0
        for rep in range(reps):
            x = mean + sd * rng.standard_normal((n, len(mean)))
            found = aggregate(x, "iqm", resamples=400, rng=rep)
            ours += truth[n] in found.interval
            percentile += truth[n] in found.percentile
        print(f"T6 IQM of {len(mean)} games, n={n}: {100 * ours / reps:.1f} "
              f"(target >= 92 at n=3); percentile (rliable's) "
              f"{100 * percentile / reps:.1f}")  # fmt: skip


def clusters(reps: int = 4000) -> None:
    rng = np.random.default_rng(2)
    print("T8 clustered items, coverage in % (target >= 94)")
    for n_clusters, size, unequal in ((5, 20, 0), (10, 20, 0), (20, 10, 0), (50, 10, 0),
                                      (200, 5, 0), (5, 20, 1), (10, 10, 1), (20, 10, 1),
                                      (50, 10, 1), (200, 5, 1)):  # fmt: skip
        ours = naive = inspect = 0
        for _ in range(reps):
            sizes = np.full(n_clusters, size)
            if unequal:
                sizes = np.maximum(1, rng.lognormal(np.log(size), 1, n_clusters).astype(int))
            code = np.repeat(np.arange(n_clusters), sizes)
            shared = np.sqrt(0.3) * rng.standard_normal(n_clusters)[code]
            x = shared + np.sqrt(0.7) * rng.standard_normal(len(code))
            found = item_variance(x, code)
            ours += abs(x.mean()) < t_quantile(0.95, found.df) * np.sqrt(found.variance)
            plain = item_variance(x)
            naive += abs(x.mean()) < 1.96 * np.sqrt(plain.variance)
            sums = np.bincount(code, x - x.mean())
            se = np.sqrt((sums**2).sum() * n_clusters / (n_clusters - 1)) / len(x)
            inspect += abs(x.mean()) < t_quantile(0.95, n_clusters - 1) * se
        kind = "log-normal" if unequal else "equal"
        print(f"  C={n_clusters} {kind} sizes: {100 * ours / reps:.1f}; C/(C-1) with t(C-1) "
              f"{100 * inspect / reps:.1f}; items independent "
              f"{100 * naive / reps:.1f}")  # fmt: skip


def moderated(reps: int = 1500, benchmarks: int = 30, spread: float = 0.4) -> None:
    rng = np.random.default_rng(3)
    print("T16 moderated seed SD, 30 benchmarks, log-SD spread .4, difference of two recipes")
    for k in (2, 3, 5):
        hit, width, plain_width = [], [], []
        df = 2 * (k - 1)
        for _ in range(reps):
            sigma = np.exp(spread * rng.standard_normal(benchmarks))
            a, b = sigma * rng.standard_normal((2, k, benchmarks))
            s2 = (a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / 2
            shrunk = moderate(s2, df)
            half = t_quantile(0.95, shrunk.df) * np.sqrt(2 * shrunk.variances / k)
            hit.append(np.abs(a.mean(0) - b.mean(0)) < half)
            width.append(half / sigma)
            plain_width.append(stats.t.ppf(0.975, df) * np.sqrt(2 * s2 / k) / sigma)
        print(f"  K={k}: half-width {np.mean(width):.2f} sigma at {100 * np.mean(hit):.1f}% "
              f"(plain t {np.mean(plain_width):.2f})")  # fmt: skip


if __name__ == "__main__":
    seeds()
    iqm_of_games()
    clusters()
    moderated()
