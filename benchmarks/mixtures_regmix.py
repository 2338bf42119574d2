"""RegMix's tables (arXiv:2407.01492): mixing laws fitted to 1M runs, scored on 1M, 60M and 1B runs.

    python benchmarks/mixtures_regmix.py [--runs 54 512] [--laws additive lightgbm ...] [--draws 3]

For each number of pilot runs K and each law, over 13 validation targets: mean rank correlation at
1M/60M/1B, squared error at 1M (13 targets, and the five that the note of shared/methods used),
normalised regret (chosen - best) / (median - best) and top-1 rate of the mixture recommended
among the 64 real 1B runs, coverage and width of 90% intervals for new 1M runs.
LightGBM is left out, and that is told, where it is not installed. Subsets: RandomState(10 + r).
"""

from __future__ import annotations

import argparse
import importlib.util
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measure import print_table, public_table, timed

from scalekit.selectors.mixtures import MixtureFit, fit_mixture

FIVE = ["pile_cc", "arxiv", "github", "wikipedia_en", "hackernews"]
SIZES = ("1m", "60m", "1B")
PAPER = "train_the_pile_", "metric/the_pile_", "_val_loss"


def read(size: str, part: str = "test") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return shares and losses by source name (the order of columns differs between files)."""
    shares = pd.read_csv(public_table("regmix", f"{part}_mixture_{size}.csv"), index_col=0)
    losses = pd.read_csv(public_table("regmix", f"{part}_pile_loss_{size}.csv"), index_col=0)
    shares.columns = shares.columns.str.removeprefix(PAPER[0])
    losses.columns = losses.columns.str.removeprefix(PAPER[1]).str.removesuffix(PAPER[2])
    return shares.div(shares.sum(axis=1), axis=0), losses


def ranks(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the rank correlation of each column."""
    pairs = zip(predicted.T, observed.T, strict=True)
    return np.array([pd.Series(p).corr(pd.Series(o), method="spearman") for p, o in pairs])


def regrets(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the regret of the recommended run for each target, 0 best, 1 as good as the median."""
    chosen = observed[predicted.argmin(axis=0), np.arange(observed.shape[1])]
    best = observed.min(axis=0)
    return (chosen - best) / (np.median(observed, axis=0) - best)


def score(fit: MixtureFit, tests: dict[str, tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, float]:
    """Return the figures of one fit."""
    found: dict[str, float] = {}
    for size, (shares, losses) in tests.items():
        observed = losses[list(fit.targets)].to_numpy()
        predicted = fit.trained.predict(shares[list(fit.sources)].to_numpy(), {})[0].T
        found[f"rho {size}"] = ranks(predicted, observed).mean()
        if size == "1m":
            squares = ((predicted - observed) ** 2).mean(axis=0)
            five = [fit.targets.index(name) for name in FIVE]
            found |= {"MSE 13": squares.mean(), "MSE 5": squares[five].mean()}
            table = fit.predict(shares[list(fit.sources)])
            for name, column in zip(fit.targets, observed.T, strict=True):
                rows = table[table["target"] == name]
                inside = (rows["obs_lower"] <= column) & (column <= rows["obs_upper"])
                width = (rows["obs_upper"] - rows["obs_lower"]).mean() / np.ptp(column)
                found["cover"] = found.get("cover", 0.0) + inside.mean() / len(fit.targets)
                found["width"] = found.get("width", 0.0) + width / len(fit.targets)
        if size == "1B":
            each = regrets(predicted, observed)
            found |= {"regret 1B": each.mean(), "top-1": (each == 0).mean()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[54, 512])
    parser.add_argument("--laws", nargs="+",
                        default=["additive", "loglinear", "bimix", "rational", "exponentials",
                                 "quadratic", "gp", "additive+gp", "lightgbm",
                                 "additive+lightgbm"])  # fmt: skip
    parser.add_argument("--draws", type=int, default=3, help="subsets of K runs")
    arguments = parser.parse_args()
    laws = arguments.laws
    if importlib.util.find_spec("lightgbm") is None:
        laws = [law for law in laws if "lightgbm" not in law]
        print("LightGBM is not installed: left out (pip install lightgbm).")
    shares, losses = read("1m", "train")
    tests = {size: read(size) for size in SIZES}
    rows = []
    for count in arguments.runs:
        for law in laws:
            each, spent = [], 0.0
            for draw in range(arguments.draws if count < 512 else 1):
                rows_of = np.random.RandomState(10 + draw).choice(512, count, replace=False)
                table = pd.concat([shares.add_prefix("share_"), losses.add_prefix("loss_")], axis=1)
                fast = {"repeats": 1} if law in ("additive", "loglinear") else {
                    "repeats": 1, "folds": 5, "draws": 2}  # fmt: skip
                fit, seconds = timed(
                    lambda law=law, pick=rows_of, table=table, fast=fast: fit_mixture(
                        table.iloc[pick], law=law, confidence_level=0.9, **fast
                    )
                )
                each.append(score(fit, tests))
                spent += seconds.cpu
            mean = pd.DataFrame(each).mean()
            rows.append([str(count), law, *[f"{value:.4f}" for value in mean],
                         f"{spent / len(each):.1f}"])  # fmt: skip
            print(f"  done: K = {count}, {law}", flush=True)
    print_table(["K", "law", *mean.index, "CPU s"], rows)


if __name__ == "__main__":
    main()
