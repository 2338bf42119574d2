"""How often the 95% intervals of `fit` hold the truth, in simulations from the Chinchilla law.

    python benchmarks/coverage.py             (about five minutes of one core)
    python benchmarks/coverage.py --quick     (20 seconds: shows the form, too few to judge)

Runs stand on a grid of params and tokens; the noise of log loss is normal with a deviation of
0.5%, or Student's t with 3 degrees of freedom scaled to the same quartiles. Counted is how often
the interval holds: each of the five parameters (their mean share, and the share of the worst), the
mean loss at ten times the largest FLOPs, and one new run there. `width` is the median width of the
mean's interval in percent of the loss. "auto" marks the method that `interval="auto"` takes.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from measure import print_table, timed

from scalekit.fitters import fit
from scalekit.fitters.intervals import choose_method
from scalekit.fitters.laws import CATALOGUE

LAW = CATALOGUE["chinchilla"]
TRUTH = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
GRIDS = {9: (3, 3), 16: (4, 4), 40: (8, 5), 240: (20, 12)}  # runs: sizes x token budgets
METHODS = ("pairs", "wild", "delta")
NOISE = 0.005
HEAVY = NOISE * 0.6745 / 0.7649  # of t with 3 degrees of freedom: the quartiles agree
RESAMPLES = 300


@dataclass(frozen=True)
class Tally:
    """What one simulation gave: which intervals held the truth, and the width of the mean's."""

    parameters: tuple[bool, ...]
    mean: bool
    observation: bool
    width: float


def draw_noise(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "normal":
        return NOISE * rng.standard_normal(count)
    return HEAVY * rng.standard_t(3, count)


def grid(runs: int) -> dict[str, np.ndarray]:
    sizes, budgets = GRIDS[runs]
    params, tokens = np.meshgrid(np.geomspace(5e7, 5e9, sizes), np.geomspace(1e9, 1e11, budgets))
    return {"params": params.ravel(), "tokens": tokens.ravel()}


def simulate(runs: int, kind: str, method: str, seed: int) -> Tally:
    """Return how one simulated table's intervals do; the same seed gives the same table."""
    rng = np.random.default_rng([seed, runs, kind == "normal"])
    scales = grid(runs)
    loss = LAW.predict(TRUTH, **scales) * np.exp(draw_noise(kind, runs, rng))
    far = {name: scale.max() * 10**0.5 for name, scale in scales.items()}
    truth = float(LAW.predict(TRUTH, **far))
    new_run = truth * np.exp(draw_noise(kind, 1, rng)[0])
    found = fit(
        scales | {"loss": loss}, LAW, interval=method, resamples=RESAMPLES, starts=8, rng=seed
    )
    row = found.predict(**far).table.iloc[0]
    return Tally(
        tuple(TRUTH[name] in found.interval(name) for name in LAW.names),
        bool(row["ci_lower"] <= truth <= row["ci_upper"]),
        bool(row["obs_lower"] <= new_run <= row["obs_upper"]),
        100 * (row["ci_upper"] - row["ci_lower"]) / truth,
    )


def coverage(runs: int, kind: str, method: str, simulations: int) -> list[str]:
    tallies = [simulate(runs, kind, method, seed) for seed in range(simulations)]
    by_parameter = np.mean([tally.parameters for tally in tallies], axis=0)
    worst = int(by_parameter.argmin())
    auto = choose_method("auto", runs, runs, False, RESAMPLES) == method
    return [
        str(runs),
        kind,
        method + (" (auto)" if auto else ""),
        f"{by_parameter.mean():.3f}",
        f"{by_parameter[worst]:.3f} {LAW.names[worst]}",
        f"{np.mean([tally.mean for tally in tallies]):.3f}",
        f"{np.mean([tally.observation for tally in tallies]):.3f}",
        f"{np.median([tally.width for tally in tallies]):.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=120)
    parser.add_argument("--quick", action="store_true", help="8 simulations a line")
    options = parser.parse_args()
    simulations = 8 if options.quick else options.simulations
    warnings.simplefilter("error")
    rows, seconds = [], 0.0
    for runs in GRIDS:
        for kind in ("normal", "heavy"):
            for method in METHODS:
                line, spent = timed(lambda at=(runs, kind, method): coverage(*at, simulations))
                rows.append(line)
                seconds += spent.cpu
    header = ("runs", "noise", "method", "parameters", "worst", "mean", "new run", "width %")
    print_table(header, rows)
    error = np.sqrt(0.95 * 0.05 / simulations)
    print(f"{simulations} simulations a line (standard error {error:.3f}); {seconds:.0f} s of CPU")


if __name__ == "__main__":
    main()
