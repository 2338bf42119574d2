"""Pilots of two lengths: does the joint law find a best mixture that moves with the length?

    python benchmarks/mixtures_lengths.py [--seeds 8] [--pilots 15]

Pilots are made from a known law of three sources (15 mixtures, each at 1B and at 4B tokens, noise
.004), in which web is learned at once and code late:
L = 1.5 + 1 / (.5 + sum C h**gamma) + (.1 + a h) / (tokens / 1B)**.35. Each law chooses the mixture
for 100B tokens. Printed: its true regret there, the regret it expects, how often the interval of
the predicted loss holds the true loss, and the seconds. "4B only" fits the additive law to the
longer half of the pilots.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measure import print_table, timed

from scalekit.selectors.mixtures import fit_mixture

SOURCES = ("web", "code", "books")
LENGTHS, LARGE, NOISE = (1e9, 4e9), 1e11, 0.004


def true_loss(shares: np.ndarray, tokens: float) -> np.ndarray:
    late = (0.1 + shares @ [0.1, 1.2, 0.5]) * (tokens / 1e9) ** -0.35
    return 1.5 + 1 / (0.5 + shares ** [0.5, 0.6, 0.5] @ [1.0, 0.8, 0.6]) + late


def make_pilots(seed: int, count: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([1, 1, 1], count)
    tables = []
    for tokens in LENGTHS:
        table = pd.DataFrame(shares, columns=[f"share_{name}" for name in SOURCES])
        loss = true_loss(shares, tokens) + NOISE * rng.standard_normal(count)
        tables.append(table.assign(tokens=tokens, loss_all=loss))
    return pd.concat(tables, ignore_index=True)


def choose(table: pd.DataFrame, law: str, seed: int) -> tuple[float, float, bool]:
    """Return true loss of the choice at the large run, expected regret, interval right or not."""
    one = law == "4B only"
    if one:
        table = table[table["tokens"] == LENGTHS[1]].drop(columns="tokens")
    fit = fit_mixture(table, scales=() if one else ["tokens"], law="additive" if one else law,
                      draws=60, rng=seed)  # fmt: skip
    choice = fit.choose(at=None if one else {"tokens": LARGE})
    true = float(true_loss(np.array([[choice.shares[name] for name in SOURCES]]), LARGE)[0])
    said = choice.losses.iloc[0]
    return true, choice.regret, bool(said["ci_lower"] <= true <= said["ci_upper"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--pilots", type=int, default=15)
    arguments = parser.parse_args()
    others = np.random.default_rng(1).dirichlet([1, 1, 1], 100_000)
    best = float(true_loss(others, LARGE).min())
    rows = []
    for law in ("4B only", "additive", "joint", "auto"):
        found, spent = timed(
            lambda law=law: np.array([choose(make_pilots(seed, arguments.pilots), law, seed)
                                      for seed in range(arguments.seeds)], dtype=float)
        )  # fmt: skip
        regret, said = found[:, 0] - best, ""
        if law != "4B only":
            said = f"{found[:, 2].sum():.0f} of {len(found)}"
        rows.append([law, *[f"{v:.4f}" for v in (regret.mean(), regret.max(), found[:, 1].mean())],
                     said, f"{spent.cpu / len(found):.1f}"])  # fmt: skip
    print(f"{arguments.pilots} mixtures at 1B and 4B tokens, choice for 100B, "
          f"{arguments.seeds} seeds (nats)")  # fmt: skip
    print_table(["law", "regret", "worst", "expected regret", "interval right", "CPU s"], rows)


if __name__ == "__main__":
    main()
