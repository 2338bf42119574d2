"""The perceptron theory of pruning: its numbers, its experiment, its crossovers.

    python benchmarks/pruning_theory.py

Errors beside simulated hard-margin perceptrons (200 dimensions); kept examples a dimension from
which keeping the hard ones wins; the best share for probes that are off; nats an example tells.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time

import numpy as np
from measure import print_table

from scalekit.selectors.pruning_theory import crossover, information_gain, perceptron, simulate

SETTINGS = ((2, 0.5, 0, "hard"), (4, 0.5, 0, "hard"), (4, 0.2, 0, "hard"), (1, 0.5, 0, "easy"),
            (2, 0.5, 20, "hard"), (4, 0.2, 20, "hard"), (2, 1.0, 0, "random"))  # fmt: skip


def main() -> None:
    rows = []
    for kept, keep, degrees, side in SETTINGS:
        angle = np.radians(degrees)
        start = time.process_time()
        found = perceptron(kept / keep, keep, angle, side)
        spent = time.process_time() - start
        seen = simulate(kept / keep, keep, angle, side, dimensions=200, repeats=12).iloc[0]
        simulated = f"{seen['error']:.4f}+-{seen['standard_error']:.4f}"
        shown = (f"{kept:g}", f"{keep:g}", str(degrees), side, f"{found.error:.5f}", simulated)
        rows.append([*shown, f"{spent:.3f}"])
    print_table(("kept/dim", "share", "degrees off", "side", "theory", "simulated", "CPU s"), rows)
    print()
    print_table(("share", "beats random from", "beats easy from"),
                [[f"{f:g}", f"{crossover(f):.3f}", f"{crossover(f, against='easy'):.3f}"]
                 for f in (0.8, 0.5, 0.3, 0.1)])  # fmt: skip
    print()
    shares = np.geomspace(0.03, 1, 60)
    best = []
    for degrees in (5, 10, 20, 40):
        angle = np.radians(degrees)
        error = perceptron(8 / shares, shares, angle).error
        best.append([f"{degrees}", f"{angle:.3f}", f"{shares[np.argmin(error)]:.3f}"])
    print_table(("degrees off", "radians", "best share at 8 kept/dim"), best)
    print()
    ways = ((1.0, "hard"), (0.2, "hard"), (0.2, "easy"))
    told = [[f"{a:g}", *(f"{information_gain(a, *way):.3f}" for way in ways)]
            for a in (0.1, 1, 2, 4, 8)]  # fmt: skip
    print_table(("kept/dim", "random", "hardest 20%", "easiest 20%"), told)


if __name__ == "__main__":
    main()
