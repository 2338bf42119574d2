"""T7: how often do equal recipes get called different? The crossed t against the usual tests.

Two recipes, K seeds each, the same N items, a logit model with recipe-by-item and seed-by-item
noise. Printed per cell: share of "different" at a true difference of zero (nominal 5%), then the
power for a difference of about 2 points. About four minutes on one core.

    python benchmarks/evals_type_one_error.py [--reps 2000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from scalekit.evals import crossed_difference

CELLS = ((1000, 0.0), (1000, 0.035), (1000, 0.07), (5000, 0.035), (5000, 0.07))
SEED_SD_POINTS = {0.0: 0.0, 0.035: 0.5, 0.07: 1.0}


def simulate(
    rng: np.random.Generator, k: int, n: int, seed_sd: float, shift: float
) -> list[np.ndarray]:
    item = 1.5 * rng.standard_normal(n)
    answers = []
    for effect in (shift, 0.0):
        logit = 0.3 + effect + item + 0.5 * rng.standard_normal(n)
        logit = logit + seed_sd * rng.standard_normal((k, 1)) + 0.5 * rng.standard_normal((k, n))
        answers.append((rng.random((k, n)) < 1 / (1 + np.exp(-logit))).astype(np.float64))
    return answers


def item_z(a: np.ndarray, b: np.ndarray) -> bool:
    d = a - b
    return bool(abs(d.mean()) > 1.96 * d.std(ddof=1) / np.sqrt(len(d)))


def pooled_z(a: np.ndarray, b: np.ndarray) -> bool:
    se = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / a.size)
    return bool(abs(a.mean() - b.mean()) > 1.96 * se)


def seed_bootstrap(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> bool:
    x, y, k = a.mean(axis=1), b.mean(axis=1), len(a)
    draws = x[rng.integers(0, k, (300, k))].mean(1) - y[rng.integers(0, k, (300, k))].mean(1)
    lower, upper = np.percentile(draws, [2.5, 97.5])
    return not lower < 0 < upper


def run(k: int, n: int, seed_sd: float, shift: float, reps: int) -> dict[str, float]:
    rng = np.random.default_rng([k, n, round(1000 * seed_sd), round(100 * shift)])
    hits = {"1-seed paired z": 0, "mean of seeds, paired z": 0, "pooled z": 0,
            "seed bootstrap": 0, "crossed t": 0}  # fmt: skip
    for _ in range(reps):
        a, b = simulate(rng, k, n, seed_sd, shift)
        hits["1-seed paired z"] += item_z(a[0], b[0])
        hits["mean of seeds, paired z"] += item_z(a.mean(0), b.mean(0))
        hits["pooled z"] += pooled_z(a, b)
        hits["seed bootstrap"] += seed_bootstrap(a, b, rng)
        hits["crossed t"] += crossed_difference(a, b).p_value() < 0.05
    return {name: 100 * count / reps for name, count in hits.items()}


def single_seed(n: int, seed_sd: float, reps: int) -> tuple[float, float]:
    """Type I error at K = 1: the paired item test, and with the true seed SD borrowed."""
    rng = np.random.default_rng([n, 1])
    points = np.array([simulate(rng, 1, n, seed_sd, 0)[0].mean() for _ in range(50)]).mean()
    slope = 0.65 * points * (1 - points)  # d score / d logit of the seed effect, about
    plain = borrowed = 0
    for _ in range(reps):
        a, b = simulate(rng, 1, n, seed_sd, 0)
        plain += item_z(a[0], b[0])
        known = crossed_difference(a, b, seed_variance=((slope * seed_sd) ** 2, np.inf))
        borrowed += known.p_value() < 0.05
    return 100 * plain / reps, 100 * borrowed / reps


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reps", type=int, default=2000)
    reps = parser.parse_args().reps
    started, worst = time.process_time(), 0.0
    print(f"Type I error in % (nominal 5), {reps} repetitions, then power in % at about 2 points")
    for n, sd in CELLS:
        for k in (3, 5, 10):
            null = run(k, n, sd, 0.0, reps)
            power = run(k, n, sd, 0.13, max(reps // 4, 50))["crossed t"]
            worst = max(worst, null["crossed t"])
            listed = "  ".join(f"{name} {value:.1f}" for name, value in null.items())
            print(f"N={n} seed SD {SEED_SD_POINTS[sd]} pt K={k}: {listed}  | power {power:.0f}",
                  flush=True)  # fmt: skip
    plain, borrowed = single_seed(5000, 0.07, reps)
    print(f"K=1, N=5000, seed SD 1 pt: paired item z {plain:.1f}, seed SD borrowed {borrowed:.1f}")
    print(f"worst crossed t: {worst:.1f} (target <= 6), {time.process_time() - started:.0f} CPU-s")


if __name__ == "__main__":
    main()
