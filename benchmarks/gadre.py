"""Gadre et al. 2024's laws and predictions (arXiv:2403.08540) from their table: an oracle.

    python benchmarks/gadre.py

The loss law is fitted by least squares to five runs (four sizes at 20 tokens a parameter, the
smallest also at 320), the error law to the same five and the 1.4B run at 20. Written with scipy's
curve_fit, so that scalekit can be set beside it digit for digit.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
import pandas as pd
from measure import print_table, public_table
from numpy.typing import NDArray
from scipy.optimize import curve_fit

Array = NDArray[np.float64]
STARTS = tuple(product((100.0, 1000.0), (100.0, 1000.0), (-0.1, -0.3), (0.0, 1.0, 2.0)))
TASKS_17 = [
    *("arc_easy", "bigbench_cs_algorithms", "bigbench_dyck_languages", "bigbench_novel_concepts"),
    *("bigbench_operators", "bigbench_qa_wikidata", "boolq", "commonsense_qa", "copa", "coqa"),
    *("hellaswag", "hellaswag_zeroshot", "lambada_openai", "piqa", "pubmed_qa_labeled", "squad"),
    "winograd",
]
PUBLISHED_LOSS = {  # lambda_N, lambda_M, exponent, E on C4 eval; from the paper's notebook
    "rpj": (166.211, 366.687, -0.272851, 1.836648),
    "c4_original": (113.693, 189.516, -0.242472, 1.508261),
    "rw_original": (125.096, 246.207, -0.254395, 1.734462),
}
PUBLISHED_ERROR = {  # k, gamma, epsilon, and the split
    "rpj": ((2.20649, 0.714591, 0.856992), "error_17"),
    "c4_original": ((1.288516, 0.972164, 0.758949), "error_46"),
}
PUBLISHED_MISS = {  # relative error of the predicted loss, percent
    ("rpj", 1_439_795_200, 640): 0.7103,
    ("rpj", 6_889_410_560, 20): 0.7320,
    ("c4_original", 6_889_410_560, 20): 4.295,
    ("rw_original", 6_889_410_560, 20): 1.619,
}
PUBLISHED_ERROR_MISS = {  # relative error of the predicted 17-task error, percent
    ("rpj", 1_439_795_200, 640): 3.6365,
    ("rpj", 6_889_410_560, 20): 0.0464,
}


def read_models() -> pd.DataFrame:
    """Return one row a model: dataset, params, tokens, ratio, loss on C4 eval, mean task errors.

    The two tables name their rows differently but have them in the same order.
    """
    losses = pd.read_csv(public_table("gadre_overtraining", "model_losses.csv"))
    tasks = pd.read_csv(public_table("gadre_overtraining", "downstream_evals.csv"))
    tasks = tasks.drop(columns="name")
    columns = {"train_dataset": "dataset", "loss_c4_val": "loss"}
    models = losses.rename(columns=columns)[["dataset", "params", "tokens", "loss"]]
    return models.assign(
        ratio=20 * losses["chinchilla_multiplier"],
        error_17=1 - tasks[TASKS_17].mean(axis=1),
        error_46=1 - tasks.mean(axis=1),
    )


def loss_law(scales: Array, by_params: float, by_tokens: float, b: float, e: float) -> Array:
    """Return E + lambda_N N^b + lambda_M 6^(b/2) (M N)^b at rows N, M of `scales`; b < 0."""
    params, ratio = scales
    return e + by_params * params**b + by_tokens * 6 ** (b / 2) * (ratio * params) ** b


def error_law(loss: Array, k: float, gamma: float, epsilon: float) -> Array:
    """Return epsilon - k exp(-gamma loss)."""
    return epsilon - k * np.exp(-gamma * loss)


def fit_loss(five: pd.DataFrame) -> Array:
    """Return the least-squares parameters, best over the starts."""
    scales, loss = five[["params", "ratio"]].to_numpy(float).T, five["loss"].to_numpy()
    ends = [curve_fit(loss_law, scales, loss, p0=p0, maxfev=10_000)[0] for p0 in STARTS]
    return min(ends, key=lambda end: float(((loss - loss_law(scales, *end)) ** 2).sum()))


def choose_runs(models: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the five runs of the loss law and the six of the error law."""
    small = models["params"] < 1e9
    fitted = small & (models["ratio"] == 20)
    fitted |= (models["params"] == models["params"].min()) & (models["ratio"] == 320)
    large = (models["params"].between(1e9, 2e9)) & (models["ratio"] == 20)
    return models[fitted], models[fitted | large]


def percent_off(predicted: Array, actual: Array) -> Array:
    return 100 * np.abs(predicted - actual) / actual


def fit_rows(dataset: str, by_size: Array, by_loss: Array, split: str) -> list[list[str]]:
    """Return the lines of the first table: each fit over what was published."""
    rows = [
        [dataset, "loss", *(f"{value:.6f}" for value in by_size)],
        ["", "published", *(f"{value:.7g}" for value in PUBLISHED_LOSS[dataset])],
        ["", split, *(f"{value:.6f}" for value in by_loss), ""],
    ]
    if dataset in PUBLISHED_ERROR:
        published, _ = PUBLISHED_ERROR[dataset]
        rows.append(["", "published", *(f"{value:.7g}" for value in published), ""])
    return rows


def large_rows(dataset: str, held: pd.DataFrame, off: Array, error_off: Array) -> list[list[str]]:
    """Return the lines of the second table: the held-out models of more than 1e9 parameters."""
    rows = []
    sizes, ratios = held["params"].to_numpy(int), held["ratio"].to_numpy(int)
    for at in np.flatnonzero(sizes > 1e9):
        size, ratio = int(sizes[at]), int(ratios[at])
        published = PUBLISHED_MISS.get((dataset, size, ratio))
        chained = PUBLISHED_ERROR_MISS.get((dataset, size, ratio))
        numbers = (float(off[at]), published, float(error_off[at]), chained)
        cells = ["" if number is None else f"{number:.4f}" for number in numbers]
        rows.append([dataset, f"{size / 1e9:.1f}B", str(ratio), *cells])
    return rows


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    fits: list[list[str]] = []
    large: list[list[str]] = []
    all_off = []
    models = read_models()
    for dataset in PUBLISHED_LOSS:
        mine = models[models["dataset"] == dataset]
        five, six = choose_runs(mine)
        by_size = fit_loss(five)
        _, split = PUBLISHED_ERROR.get(dataset, ((), "error_17"))
        by_loss, _ = curve_fit(error_law, six["loss"], six[split], maxfev=10_000)
        fits += fit_rows(dataset, by_size, by_loss, split)
        held = mine.drop(five.index)
        predicted = loss_law(held[["params", "ratio"]].to_numpy(float).T, *by_size)
        off = percent_off(predicted, held["loss"].to_numpy())
        all_off.append(off)
        error_off = percent_off(error_law(predicted, *by_loss), held[split].to_numpy())
        large += large_rows(dataset, held, off, error_off)
    print_table(("trained on", "law", "", "", "", ""), fits)
    print()
    header = ("held out", "params", "M", "loss off %", "published", "error off %", "published")
    print_table(header, large)
    off = np.concatenate(all_off)
    print(f"all {len(off)} held-out runs: mean {off.mean():.3f}%, largest {off.max():.1f}%")


if __name__ == "__main__":
    main()
