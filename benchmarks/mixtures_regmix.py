"""RegMix's tables (arXiv:2407.01492): mixing laws fitted to 1M runs, scored on 1M, 60M and 1B runs.

    python benchmarks/mixtures_regmix.py [--runs 54 512] [--laws additive lightgbm ...] [--draws 3]
                                         [--intervals]

For each number of pilot runs K and each law, over 13 validation targets: mean rank correlation at
1M/60M/1B, squared error at 1M (13 targets, and the five that the note of shared/methods used),
true regret of the mixture recommended among the 256 real runs of 60M and the 64 of 1B, normalised:
(chosen - best) / (median - best), with the rate of choosing the very best. "Regret" is the mean
over targets, each with a choice of its own; "mean loss" has one choice for the mean of all targets,
as a user makes it (nats: not normalised). CPU seconds are those of fitting 13 targets. With
--intervals instead: coverage and width of 90% intervals for new 1M runs, additive law, K = 54,
100, 200 (with the shares as they are written, to three decimals).
LightGBM is left out, and that is told, where it is not installed. Subsets: RandomState(10 + r).
"""

from __future__ import annotations

import argparse
import importlib.util
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measure import public_table, timed

from scalekit.selectors.mixtures import fit_mixture
from scalekit.selectors.mixtures.catalogue import mixing_law
from scalekit.selectors.mixtures.crossval import train_law
from scalekit.selectors.mixtures.pilots import read_pilots
from scalekit.selectors.mixtures.training import Trained

FIVE = ["pile_cc", "arxiv", "github", "wikipedia_en", "hackernews"]
SIZES = ("1m", "60m", "1B")
PAPER = "train_the_pile_", "metric/the_pile_", "_val_loss"


def read(size: str, part: str = "test", rescale: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return shares and losses by source name (the order of columns differs between files)."""
    shares = pd.read_csv(public_table("regmix", f"{part}_mixture_{size}.csv"), index_col=0)
    losses = pd.read_csv(public_table("regmix", f"{part}_pile_loss_{size}.csv"), index_col=0)
    shares.columns = shares.columns.str.removeprefix(PAPER[0])
    losses.columns = losses.columns.str.removeprefix(PAPER[1]).str.removesuffix(PAPER[2])
    return shares.div(shares.sum(axis=1), axis=0) if rescale else shares, losses


def ranks(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the rank correlation of each column."""
    pairs = zip(predicted.T, observed.T, strict=True)
    return np.array([pd.Series(p).corr(pd.Series(o), method="spearman") for p, o in pairs])


def regrets(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the regret of the recommended run for each target, 0 best, 1 as good as the median."""
    chosen = observed[predicted.argmin(axis=0), np.arange(observed.shape[1])]
    best = observed.min(axis=0)
    return (chosen - best) / (np.median(observed, axis=0) - best)


Tests = dict[str, tuple[pd.DataFrame, pd.DataFrame]]
HEADER = ["K", "law", "rho 1M", "rho 60M", "rho 1B", "MSE 13", "MSE 5", "regret 1B", "top-1",
          "mean loss", "nats", "regret 60M", "top-1", "mean loss", "CPU s"]  # fmt: skip


def score(trained: Trained, tests: Tests) -> list[float]:
    """Return the figures of one fit, in the order of the header."""
    pilots, found = trained.pilots, {}
    for size, (shares, losses) in tests.items():
        observed = losses[list(pilots.targets)].to_numpy()
        found[size] = trained.predict(shares[list(pilots.sources)].to_numpy(), {})[0].T, observed
    squares = ((found["1m"][0] - found["1m"][1]) ** 2).mean(axis=0)
    five = [pilots.targets.index(name) for name in FIVE]
    line = [ranks(*found[size]).mean() for size in SIZES]
    line += [squares.mean(), squares[five].mean()]
    for size in ("1B", "60m"):
        each = regrets(*found[size])
        whole, observed = (part.mean(axis=1, keepdims=True) for part in found[size])
        line += [each.mean(), (each == 0).mean(), regrets(whole, observed)[0]]
        if size == "1B":
            line.append(float(observed[whole.argmin(), 0] - observed.min()))
    return line


def subset(table: pd.DataFrame, count: int, draw: int) -> pd.DataFrame:
    """Return the runs of the protocol: RandomState(10 + draw), all of them for 512."""
    if count == 512:
        return table
    return table.iloc[np.random.RandomState(10 + draw).choice(512, count, replace=False)]


def intervals(table: pd.DataFrame, tests: Tests, draws: int, counts: list[int]) -> None:
    """Print coverage and width of 90% intervals for new runs."""
    shares, losses = tests["1m"]
    for count in counts:
        cover, width = [], []
        for draw in range(draws):
            fit = fit_mixture(subset(table, count, draw), confidence_level=0.9, draws=20)
            found = fit.predict(shares[list(fit.sources)])
            for name in fit.targets:
                rows, observed = found[found["target"] == name], losses[name].to_numpy()
                low, high = rows["obs_lower"].to_numpy(), rows["obs_upper"].to_numpy()
                cover.append(((low <= observed) & (observed <= high)).mean())
                width.append((high - low).mean() / np.ptp(observed))
        print(f"K = {count}: 90% intervals cover {np.mean(cover):.3f} of new 1M runs, width "
              f"{np.mean(width):.3f} of the range", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+",
                        help="numbers of pilots; 54 512, with --intervals 54 100 200")  # fmt: skip
    parser.add_argument("--laws", nargs="+",
                        default=["additive", "lightgbm", "additive+gp", "additive+lightgbm",
                                 "loglinear", "bimix", "rational", "quadratic", "exponentials",
                                 "gp"])  # fmt: skip
    parser.add_argument("--draws", type=int, default=3, help="subsets of K runs")
    parser.add_argument("--intervals", action="store_true")
    arguments = parser.parse_args()
    laws = arguments.laws
    if importlib.util.find_spec("lightgbm") is None:
        laws = [law for law in laws if "lightgbm" not in law]
        print("LightGBM is not installed: left out (pip install lightgbm).")
    shares, losses = read("1m", "train", rescale=False)  # as a user has them: three decimals
    table = pd.concat([shares.add_prefix("share_"), losses.add_prefix("loss_")], axis=1)
    tests = {size: read(size) for size in SIZES}
    if arguments.intervals:
        intervals(table, tests, arguments.draws, arguments.runs or [54, 100, 200])
        return
    print(("{:>4} {:18}" + "{:>11}" * 13).format(*HEADER))
    for count in arguments.runs or [54, 512]:
        for law in laws:
            each, spent = [], []
            for draw in range(1 if count == 512 else arguments.draws):
                pilots = read_pilots(subset(table, count, draw))
                trained, seconds = timed(lambda p=pilots, law=law: train_law(mixing_law(law), p))
                each.append(score(trained, tests))
                spent.append(seconds.cpu)
            mean = np.mean(each, axis=0)
            figures = "".join(f"{value:11.4f}" for value in mean)
            print(f"{count:4d} {law:18}{figures}{np.mean(spent):11.1f}", flush=True)


if __name__ == "__main__":
    main()
