"""Schedules: the published unit numbers, beside what scalekit computes.

    python benchmarks/mixtures_schedules.py

Li et al. 2025 (Cooldown, mC4 subset) and Chung et al. 2023 (UniMax). Then the theorem on the
variance of loss weighting: with equal gradient norms it holds, with measured ones it may not.
"""

from __future__ import annotations

import numpy as np
from measure import print_table

from scalekit.selectors.mixtures import temperature, unimax
from scalekit.selectors.mixtures.schedules import temperature_shares, unimax_amounts

MC4 = {"en": 2733.0, "it": 162.0, "zh": 39.0, "sw": 1.0}
EXPECTED = {1: (1.0, 0.34), 2: (2.249, None), 3.33: (10.981, 51.6), 5: (29.832, 93.3),
            100: (174.51, 239.7)}  # fmt: skip
UNIMAX = {(1000, 1): (798, 162, 39, 1), (1000, 5): (400, 400, 195, 5), (100, 1): (33, 33, 33, 1),
          (5000, 5): (3990, 810, 195, 5)}  # fmt: skip


def main() -> None:
    rows = []
    for tau, (factor, epochs) in EXPECTED.items():
        made = temperature(MC4, tau, budget=1000)
        rows.append([f"{tau:g}", *[f"{s:.5f}" for s in made.shares.values()],
                     f"{made.variance()['ratio']:.3f}", f"{factor:g}",
                     f"{made.epochs()['sw']:.2f}",
                     "" if epochs is None else f"{epochs:g}"])  # fmt: skip
    print_table(["tau", *MC4, "F", "F expected", "epochs sw", "expected"], rows)
    rows = [[f"{budget}, {epochs}", *[f"{a:g}" for a in unimax_amounts(
             np.array(list(MC4.values())), budget, epochs)], str(expected)]
            for (budget, epochs), expected in UNIMAX.items()]  # fmt: skip
    print()
    print_table(["UniMax budget, epochs", *MC4, "expected"], rows)
    print(f"\nUniMax, budget 5000, one epoch: {unimax(MC4, 5000, 1).notes[0].message}")
    rng = np.random.default_rng(0)
    violations = {"F < 1": 0, "F falls with tau": 0, "full gradients differ > 1e-12": 0}
    for _ in range(2000):
        counts = np.exp(rng.uniform(-3, 8, rng.integers(2, 9)))
        natural = counts / counts.sum()
        low, high = np.sort(rng.uniform(1, 30, 2))
        shares = [temperature_shares(counts, tau) for tau in (low, high)]
        factors = [float((share**2 / natural).sum()) for share in shares]
        gradients = rng.standard_normal((len(counts), 8))
        gap = np.abs((natural * (shares[0] / natural)) @ gradients - shares[0] @ gradients).max()
        violations["F < 1"] += factors[0] < 1 - 1e-12
        violations["F falls with tau"] += factors[1] < factors[0] * (1 - 1e-12)
        violations["full gradients differ > 1e-12"] += gap > 1e-12
    print("\n2,000 random cases, violations:", {k: int(v) for k, v in violations.items()})
    made = temperature({"a": 9, "b": 1}, alpha=0)
    print("\nVariance of weighting against sampling, natural shares (.9, .1), uniform sampling:")
    for norms in (None, {"a": 1, "b": 0.01}):
        found = made.variance(norms)
        print(f"  E|g|^2 {norms or 'equal'}: weighting {found['weighting']:.3f}, sampling "
              f"{found['sampling']:.3f}")  # fmt: skip
    draws = 2_000_000
    picked = rng.choice(2, draws, p=made.natural)
    deviation, weights = np.array([1, 0.1]), np.array(list(made.loss_weights().values()))
    gradient = weights[picked] * deviation[picked] * rng.standard_normal(draws)
    print(f"  Monte Carlo of weighting, norms (1, .01): {gradient.var():.3f}")


if __name__ == "__main__":
    main()
