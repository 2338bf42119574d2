"""Best of a grid of learning rates: how wide is the difference of two recipes, and does it cover?

    python benchmarks/tuned_grids.py --pairs 100

Two recipes of known curves, nine sizes, four or six learning rates at each: the same grid for both,
a narrow one against one over three decades, or six rates drawn at random. Printed is the share of
95% intervals that hold the true difference at ten times the largest run (of the recipes at their
best rates), and the mean width beside four standard deviations of the estimate over the pairs. One
law, the true one, and no drift: what is left is the noise and the selection.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd

import scalekit as sk

RECIPES = {"old": (1.8, 1.5), "new": (1.687, 1.75)}
SIZES = 1e18 * np.geomspace(1, 200, 9)
AT = 2e21
NOISE = 0.004
GRIDS = {
    "the same grid": ((3e-4, 1e-2), (3e-4, 1e-2)),
    "narrow against wide": ((1e-3, 5e-3), (1e-4, 1e-1)),
    "six at random": None,
}


def best_loss(recipe: str, flops: np.ndarray | float) -> np.ndarray:
    """Return the loss at the best rate."""
    constant, amplitude = RECIPES[recipe]
    return np.asarray(constant + amplitude * (np.asarray(flops) / 1e18) ** -0.25)


def runs_of(ends: tuple[tuple[float, float], ...] | None, rng: np.random.Generator) -> pd.DataFrame:
    """Return the runs of both recipes; `ends` are those of their grids (None: random rates)."""
    rows = []
    for k, recipe in enumerate(RECIPES):
        for flops in SIZES:
            if ends is None:
                rates = np.exp(rng.uniform(np.log(3e-4), np.log(1e-2), 6))
            else:
                rates = np.geomspace(*ends[k], 4)
            best = 2e-3 * (flops / 1e18) ** -0.1
            for rate in rates:
                moved = 0.02 * np.log(rate / best) ** 2 + NOISE * rng.standard_normal()
                rows.append((recipe, flops, rate, best_loss(recipe, flops) * np.exp(moved)))
    return pd.DataFrame(rows, columns=["recipe", "flops", "lr", "loss"])


def main() -> None:
    """Print one line a kind of grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100)
    pairs = parser.parse_args().pairs
    truth = float(best_loss("new", AT) / best_loss("old", AT)) - 1
    for name, ends in GRIDS.items():
        rows = []
        for k in range(pairs):
            runs = runs_of(ends, np.random.default_rng(k))
            duel = sk.compare(runs, by="recipe", law="power_constant", select="best", at=AT,
                              drift=False, resamples=200, rng=k)  # fmt: skip
            row = duel.difference(AT, "old", "new").iloc[0]
            rows.append((row["difference"], row["ci_lower"], row["ci_upper"]))
        centre, low, high = np.array(rows).T
        held = np.mean((low <= truth) & (truth <= high))
        print(
            f"{name}: 95% intervals hold the difference in {held:.2f} of {pairs}; width "
            f"{np.mean(high - low):.3f}, four deviations of the estimate {4 * np.std(centre):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    main()
