"""Forecasts from 6 to 20 runs of one scale, by simulation: do intervals of so few roll-outs hold?

    python benchmarks/forecast_few.py

Runs over two decades of FLOPs, 1% noise; one new run 8 times larger is forecast by `choose_law`.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import scalekit as sk

STUDIES, NOISE, BEYOND = 40, 0.01, 8.0
WORLDS = {"right form": 0.0, "hidden slow component": 8.0}


def study(slow: float, runs: int, seed: int) -> tuple[bool, float]:
    """Return whether the 95% interval of a new run held it, and its width in log loss."""
    rng = np.random.default_rng([runs, seed])
    flops = np.append(np.geomspace(1e17, 1e19, runs), BEYOND * 1e19)
    loss = (1.7 + 80 * flops**-0.09 + slow * flops**-0.03) * np.exp(
        NOISE * rng.normal(size=runs + 1)
    )
    choice = sk.choose_law({"flops": flops[:-1], "loss": loss[:-1]}, rng=0)
    row = choice.predict(flops=flops[-1]).table.iloc[0]
    held = row["obs_lower"] <= loss[-1] <= row["obs_upper"]
    return bool(held), float(np.log(row["obs_upper"] / row["obs_lower"]))


def main() -> None:
    needed = 2 * 1.96 * NOISE
    for world, slow in WORLDS.items():
        for runs in (6, 8, 12, 20):
            found = np.array([study(slow, runs, seed) for seed in range(STUDIES)])
            print(f"{world}, {runs} runs: 95% interval held {found[:, 0].mean():.1%}, median width "
                  f"{np.median(found[:, 1]):.3f} (noise alone: {needed:.3f})")  # fmt: skip


if __name__ == "__main__":
    main()
