"""Do the runs that `next_runs` chooses tell more than others of equal cost?

    python benchmarks/planning_simulation.py [--studies 60]

Truth: Chinchilla's law with 0.5% of noise, 12 runs over two decades of FLOPs, drawn anew in every
study. A budget as large as one run at the top buys further runs of 24 candidates (up to that
size): those that `next_runs` chooses for the question; random ones as long as the budget lasts
(mean of three draws); or the one largest run that it pays for. Their losses are drawn, the law is
fitted again, and the answer is compared with the truth. Printed: root mean squared error of each
answer, and how much smaller the chosen runs' squared error is, with a 95% interval over studies.
"""

from __future__ import annotations

import argparse
import os
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measure import print_table

import scalekit as sk
from scalekit.errors import ScalekitError

TRUTH = {"E": 1.82, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}
NOISE, TARGET = 0.005, {"params": 3e10, "tokens": 6e11}
LAW = "chinchilla"
WAYS = ("chosen", "random", "one larger")


def loss_of(table: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    t = TRUTH
    mean = t["E"] + t["A"] / table["params"] ** t["alpha"] + t["B"] / table["tokens"] ** t["beta"]
    return (mean * np.exp(NOISE * rng.standard_normal(len(table)))).to_numpy()


def table_of(flops: np.ndarray, ratio: np.ndarray) -> pd.DataFrame:
    params = np.sqrt(flops / 6 / ratio)
    return pd.DataFrame({"params": params, "tokens": flops / 6 / params, "flops": flops})


def answers(fit: sk.fitters.Fit) -> dict[str, float]:
    """Return the errors of the answers that the fit gives."""
    truth = TRUTH["E"] + TRUTH["A"] / TARGET["params"] ** TRUTH["alpha"]
    truth += TRUTH["B"] / TARGET["tokens"] ** TRUTH["beta"]
    a, b = TRUTH["alpha"], TRUTH["beta"]
    share = (a * TRUTH["A"] / (b * TRUTH["B"])) ** (1 / (a + b))
    best = np.log(share * (1e23 / 6) ** (b / (a + b)))
    found = {"loss": float(np.log(fit.predict(**TARGET).table["predicted"].iloc[0] / truth)),
             "alpha": float(fit.params["alpha"]) - a}  # fmt: skip
    try:
        found["optimum"] = float(np.log(fit.frontier(1e23).table["params"].iloc[0]) - best)
    except ScalekitError:
        found["optimum"] = np.nan
    return found


def study(seed: int, budget: float) -> dict[tuple[str, str], float]:
    """Return the error of each question's answer after each way to spend the budget."""
    rng = np.random.default_rng(seed)
    runs = table_of(np.geomspace(1e19, 1e21, 12), 20 * np.exp(0.7 * rng.standard_normal(12)))
    runs["loss"] = loss_of(runs, rng)
    offers = table_of(
        np.repeat(np.geomspace(budget / 30, budget, 6), 4), 20 * np.tile([0.1, 0.5, 2.0, 10.0], 6)
    )
    offers["loss"] = loss_of(offers, rng)
    fit = sk.fit(runs, LAW, rng=seed, resamples=300)
    largest = offers[offers["flops"] >= 0.999 * budget].iloc[[1]]
    ways: dict[tuple[str, str], list[pd.DataFrame]] = {}
    questions = {"loss": ("loss", TARGET), "alpha": ("alpha", None), "optimum": ("optimum", 1e23)}
    randoms = []
    for _ in range(3):
        order = offers.iloc[rng.permutation(len(offers))]
        spent = order["flops"].cumsum()
        randoms.append(order[spent <= budget])
    for name, (question, at) in questions.items():
        plan = sk.next_runs(fit, offers.drop(columns="loss"), budget, question, at=at, most=8)
        chosen = offers.merge(plan.table[["params", "tokens"]], on=["params", "tokens"])
        ways[name, "chosen"] = [chosen]
        ways[name, "one larger"] = [largest]
        ways[name, "random"] = randoms
    found = {}
    for (name, way), lots in ways.items():
        squares = []
        for lot in lots:
            again = sk.fit(pd.concat([runs, lot]), LAW, rng=seed, interval="none")
            squares.append(answers(again)[name] ** 2)
        found[name, way] = float(np.mean(squares))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=60)
    studies = parser.parse_args().studies
    warnings.simplefilter("ignore")
    runs = [study(seed, 1e21) for seed in range(studies)]
    rng, rows = np.random.default_rng(0), []
    for name in ("loss", "alpha", "optimum"):
        # a robust mean: single studies whose fit runs off would decide the plain one
        part = pd.DataFrame([{w: run[name, w] for w in WAYS} for run in runs]).dropna()
        part = part.clip(upper=float(np.quantile(part.to_numpy(), 0.98)))
        rows.append([name, *(f"{np.sqrt(part[way].mean()):.4f}" for way in WAYS)])
        for other in ("random", "one larger"):
            picks = rng.integers(len(part), size=(2000, len(part)))
            ratio = (part["chosen"].to_numpy()[picks].mean(axis=1)
                     / part[other].to_numpy()[picks].mean(axis=1))  # fmt: skip
            low, high = np.quantile(ratio, [0.025, 0.975])
            centre = part["chosen"].mean() / part[other].mean()
            rows[-1].append(f"{centre:.2f} [{low:.2f}, {high:.2f}]")
    print(f"{studies} studies; squared errors, chosen over other, with 95% intervals")
    print_table(("question", "chosen", "random", "one larger", "against random",
                 "against one larger"), rows)  # fmt: skip


if __name__ == "__main__":
    main()
