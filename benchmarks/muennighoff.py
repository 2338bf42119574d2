"""How well the 182 repeated-data runs pin down R_D* and R_N*: an independent oracle.

    python benchmarks/muennighoff.py

Muennighoff et al. 2023 (arXiv:2305.16264) fit the two half-lives with A, B, E and the exponents
held, by Huber loss (delta 1e-3) on log loss. The published pair is a local minimum of that
objective. Written with numpy and scipy alone, so that scalekit can be checked against it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd
from measure import print_table, public_table
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

Array = NDArray[np.float64]
LOG_A, LOG_B, LOG_E, EXPONENT = 6.255414, 7.3049974, 0.6254804, 0.3526596
PUBLISHED = (15.387756, 5.309743)  # R_D*, R_N*
NO_DECAY = (1e15, 1e15)
DELTA = 1e-3
TEST_VALUES = {  # (params, tokens, unique tokens): loss
    (6.34e9, 242e9, 25e9): 2.2256440889984477,
    (8.67e9, 178e9, 25e9): 2.2269634075087867,
}


@dataclass(frozen=True)
class Runs:
    """One entry a run: parameters, tokens trained, unique tokens, final loss."""

    params: Array
    tokens: Array
    unique: Array
    loss: Array


def read_runs() -> Runs:
    table = pd.read_csv(public_table("muennighoff_182", "muennighoff_182.csv"))
    return Runs(*(table[name].to_numpy(float) for name in ("N", "D", "U", "loss")))


def effective(base: Array, repeats: Array, half_life: float) -> Array:
    """Return base (1 + half_life (1 - exp(-repeats / half_life))), exact for huge half-lives."""
    return base - base * half_life * np.expm1(-repeats / half_life)


def predict(params: Array, tokens: Array, unique: Array, rd: float, rn: float) -> Array:
    """Return the law's loss; `rd`, `rn` are R_D* and R_N*."""
    gain = np.exp((LOG_A - LOG_B) / (2 * EXPONENT))  # both exponents are equal
    base_params = np.minimum(params, unique * gain**2)
    more_params = effective(base_params, params / base_params - 1, rn)
    more_tokens = effective(unique, tokens / unique - 1, rd)
    by_params = np.exp(LOG_A) * more_params**-EXPONENT
    return np.exp(LOG_E) + by_params + np.exp(LOG_B) * more_tokens**-EXPONENT


def objective(half_lives: Array, runs: Runs) -> float:
    """Return the paper's objective at (R_D*, R_N*)."""
    predicted = predict(runs.params, runs.tokens, runs.unique, *half_lives)
    size = np.abs(np.log(runs.loss) - np.log(predicted))
    return float(np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA)).sum())


def explained(predicted: Array, runs: Runs) -> float:
    """Return R squared of the loss, as the paper reports it."""
    left = ((runs.loss - predicted) ** 2).sum()
    return float(1 - left / ((runs.loss - runs.loss.mean()) ** 2).sum())


def polish(start: Array, runs: Runs) -> tuple[Array, float]:
    """Return the local minimum that Nelder-Mead reaches in log half-lives, and its objective."""
    end = minimize(
        lambda logs: objective(np.exp(logs), runs),
        np.log(start),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-14, "maxiter": 4000},
    )
    return np.exp(end.x), float(end.fun)


def local_minima(runs: Runs, size: int = 60) -> list[tuple[Array, float]]:
    """Return the minima reached from the low cells of a log grid, best first, each once."""
    grid = np.log(np.geomspace(1, 1e4, size)), np.log(np.geomspace(0.3, 100, size))
    values = np.array([[objective(np.exp([x, y]), runs) for y in grid[1]] for x in grid[0]])
    padded = np.pad(values, 1, constant_values=np.inf)
    around = [
        padded[1 + i : 1 + i + size, 1 + j : 1 + j + size]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if (i, j) != (0, 0)
    ]
    cells = np.argwhere((values <= np.min(around, axis=0)) & (values < 1.01 * values.min()))
    starts = [np.exp([grid[0][i], grid[1][j]]) for i, j in cells] + [np.array(PUBLISHED)]
    found: list[tuple[Array, float]] = []
    for at, value in sorted((polish(start, runs) for start in starts), key=lambda end: end[1]):
        if all(np.abs(np.log(at / other)).max() > 0.02 for other, _ in found):
            found.append((at, value))
    return found


def profile(runs: Runs, values: Array) -> list[tuple[float, float, float]]:
    """Return (R_D*, best R_N*, objective) at each R_D*; R_N* over a grid, then Brent within it."""
    logs = np.linspace(np.log(0.3), np.log(100), 120)
    rows = []
    for rd in values:
        along = [objective(np.array([rd, np.exp(log)]), runs) for log in logs]
        best = int(np.clip(np.argmin(along), 1, len(logs) - 2))
        end = minimize_scalar(
            lambda log, rd=rd: objective(np.array([rd, np.exp(log)]), runs),
            bounds=(logs[best - 1], logs[best + 1]),
            method="bounded",
            options={"xatol": 1e-10},
        )
        rows.append((float(rd), float(np.exp(end.x)), float(end.fun)))
    return rows


def flat_range(runs: Runs, best: float, slack: float = 1.005) -> list[tuple[float, float]]:
    """Return the ranges of R_D* and R_N* over grid points within `slack` of the best objective."""
    grid = np.array(np.meshgrid(np.geomspace(3, 3000, 200), np.geomspace(0.3, 30, 200)))
    pairs = grid.reshape(2, -1).T
    near = pairs[np.array([objective(pair, runs) for pair in pairs]) <= slack * best]
    return [(float(near[:, i].min()), float(near[:, i].max())) for i in (0, 1)]


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    runs = read_runs()
    for (params, tokens, unique), loss in TEST_VALUES.items():
        found = predict(np.array(params), np.array(tokens), np.array(unique), *PUBLISHED)
        print(f"L({params:g}, {tokens:g}, {unique:g}) = {found:.13f}; their code {loss:.13f}")
    scales = (runs.params, runs.tokens, runs.unique)
    with_decay, without = (explained(predict(*scales, *at), runs) for at in (PUBLISHED, NO_DECAY))
    print(f"R2 {with_decay:.7f} (published .7722046), without decay {without:.7f} (.4451684)")
    minima = local_minima(runs)
    rows = [["published"] + [f"{v:.4f}" for v in PUBLISHED]
            + [f"{objective(np.array(PUBLISHED), runs):.9f}"]]  # fmt: skip
    rows += [["local minimum", *(f"{v:.4f}" for v in at), f"{value:.9f}"] for at, value in minima]
    print_table(("", "R_D*", "R_N*", "objective"), rows)
    best = minima[0][1]
    ranges = flat_range(runs, best)
    print("within 0.5% of the best: R_D* {:.3g} to {:.3g}".format(*ranges[0])
          + ", R_N* {:.3g} to {:.3g}".format(*ranges[1]))  # fmt: skip
    flat = profile(runs, np.array([3, 5, 8, 15.387756, 30, 60, 95, 160, 300, 1000, 1e4, 1e6]))
    table = [[f"{rd:.6g}", f"{rn:.3f}", f"{v:.7f}", f"{v / best - 1:.3%}"] for rd, rn, v in flat]
    print_table(("profile: R_D*", "best R_N*", "objective", "above best"), table)


if __name__ == "__main__":
    main()
