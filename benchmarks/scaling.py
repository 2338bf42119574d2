"""Time and peak memory of a fit against the number of rows and of resamples.

    python benchmarks/scaling.py [--quick]

Each size runs in a process of its own, so that peaks do not mix; the peak is above what the
process held before the fit, and the growth exponent is the slope of log on log between the two
largest sizes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measure import print_table, timed

ROWS = (100, 1_000, 10_000, 100_000, 1_000_000)
RESAMPLES = (100, 1_000, 10_000)
FIXED_ROWS, FIXED_RESAMPLES = 240, 0
TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
NOISE = 0.01  # standard deviation of log loss


def make_runs(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """Return runs of a known Chinchilla law: params 1e7 to 1e11, 5 to 500 tokens a parameter."""
    rng = np.random.default_rng(seed)
    params = 10 ** rng.uniform(7, 11, n_rows)
    tokens = params * 5 * 100 ** rng.uniform(0, 1, n_rows)
    mean = TRUTH["E"] + TRUTH["A"] / params ** TRUTH["alpha"]
    mean += TRUTH["B"] / tokens ** TRUTH["beta"]
    loss = mean * np.exp(NOISE * rng.standard_normal(n_rows))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


def fit_with_scalekit(runs: pd.DataFrame, resamples: int) -> dict[str, float]:
    """Return the estimates by name."""
    import scalekit as sk

    fit = sk.fit(sk.read_runs(runs), law="chinchilla", resamples=resamples, rng=0)
    return {name: float(fit.params[name]) for name in TRUTH}


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_one(n_rows: int, resamples: int) -> None:
    """Fit once to warm up on 50 rows, then time the asked size; print the numbers on one line."""
    fit_with_scalekit(make_runs(50, seed=1), min(resamples, 10))
    runs = make_runs(n_rows)
    before = peak_megabytes()
    found, seconds = timed(lambda: fit_with_scalekit(runs, resamples))
    print(seconds.cpu, seconds.wall, peak_megabytes() - before, found["alpha"])


def measure(n_rows: int, resamples: int) -> list[float]:
    command = [sys.executable, __file__, "--one", str(n_rows), str(resamples)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in done.stdout.split()[-4:]]


def growth(sizes: list[int], values: list[float]) -> str:
    """Return the exponent between the two largest sizes; "-" where nothing was measurable."""
    if len(sizes) < 2 or min(values[-2:]) <= 0:
        return "-"
    return f"{np.log(values[-1] / values[-2]) / np.log(sizes[-1] / sizes[-2]):.2f}"


def print_growth(title: str, sizes: list[int], cases: list[tuple[int, int]]) -> None:
    found = [measure(*case) for case in cases]
    rows = [
        [f"{size:,}", f"{cpu:.3f}", f"{wall:.3f}", f"{memory:.0f}", f"{alpha:.4f}"]
        for size, (cpu, wall, memory, alpha) in zip(sizes, found, strict=True)
    ]
    columns = list(zip(*found, strict=True))
    rows.append(["grows as size to the", *(growth(sizes, list(c)) for c in columns[:3]), ""])
    print_table((title, "CPU s", "wall s", "peak MB added", "alpha (true .3478)"), rows)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave the largest size of each out")
    parser.add_argument("--one", nargs=2, type=int, metavar=("ROWS", "RESAMPLES"), help="one size")
    options = parser.parse_args()
    if options.one:
        measure_one(*options.one)
        return
    last = -1 if options.quick else None
    rows, resamples = list(ROWS[:last]), list(RESAMPLES[:last])
    print_growth(f"rows ({FIXED_RESAMPLES} resamples)", rows, [(n, FIXED_RESAMPLES) for n in rows])
    print_growth(f"resamples ({FIXED_ROWS} rows)", resamples, [(FIXED_ROWS, r) for r in resamples])


if __name__ == "__main__":
    main()
