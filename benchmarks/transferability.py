"""Do transferability measures order pre-trained models as fine-tuning would?

    python benchmarks/transferability.py [--seeds 4]

Sources: small perceptrons trained to tell digits of different subsets, on clean or wrong labels,
briefly or long. Target: digits 5 to 9, few labels. Truth: the accuracy of a logistic regression on
each model's features (linear transfer) on held-out digits. Printed: Kendall's tau between each
measure and that accuracy, mean and 95% interval over seeds.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from measure import print_table
from scipy.stats import kendalltau
from scipy.stats import t as student
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

import scalekit as sk
from scalekit.selectors.transferability import measures

SOURCES = (  # classes of the source task, iterations, share of wrong labels
    ((0, 1, 2, 3, 4), 60, 0.0), ((0, 1, 2, 3, 4), 5, 0.0), ((0, 1, 2, 3, 4), 60, 0.6),
    ((0, 1), 60, 0.0), ((0, 1, 2), 60, 0.0), ((5, 6, 7), 60, 0.0), ((5, 6, 7, 8, 9), 5, 0.0),
    ((1, 7), 60, 0.0), ((0, 1, 2, 3, 4), 1, 0.0),
)  # fmt: skip


def hidden(model: MLPClassifier, x: np.ndarray) -> np.ndarray:
    return np.maximum(x @ model.coefs_[0] + model.intercepts_[0], 0)


def study(seed: int) -> dict[str, float]:
    """Return Kendall's tau of every measure for one seed."""
    rng = np.random.default_rng(seed)
    x, y = load_digits(return_X_y=True)
    x = x / 16
    mine = rng.permutation(np.flatnonzero(y >= 5))
    few, rest = mine[:200], mine[200:]
    pool = np.setdiff1d(np.arange(len(y)), mine)
    pool = np.concatenate([pool, rest[: len(rest) // 2]])
    test = rest[len(rest) // 2 :]
    features, guesses, truth = {}, {}, {}
    for k, (classes, iterations, wrong) in enumerate(SOURCES):
        rows = pool[np.isin(y[pool], classes)]
        labels = y[rows].copy()
        flip = rng.random(len(rows)) < wrong
        labels[flip] = rng.choice(classes, size=int(flip.sum()))
        model = MLPClassifier((32,), max_iter=iterations, random_state=seed, tol=0,
                              n_iter_no_change=1000).fit(x[rows], labels)  # fmt: skip
        name = f"m{k}"
        features[name], guesses[name] = hidden(model, x[few]), model.predict_proba(x[few])
        probe = LogisticRegression(max_iter=2000).fit(features[name], y[few])
        truth[name] = probe.score(hidden(model, x[test]), y[test])
    table = sk.transferability(features, y[few], measure=list(measures()), predictions=guesses,
                               resamples=2).table  # fmt: skip
    wide = table.pivot_table("value", "model", "measure").loc[list(truth)]
    return {name: float(kendalltau(wide[name], list(truth.values())).statistic) for name in wide}


def main() -> None:
    import warnings

    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    seeds = parser.parse_args().seeds
    runs = [study(seed) for seed in range(seeds)]
    reach = student.ppf(0.975, seeds - 1) / seeds**0.5
    rows = []
    for name in runs[0]:
        taus = np.array([run[name] for run in runs])
        rows.append([name, f"{taus.mean():.2f} +- {taus.std(ddof=1) * reach:.2f}"])
    rows.sort(key=lambda row: -float(row[1].split()[0]))
    print(f"{len(SOURCES)} models, {seeds} seeds")
    print_table(("measure", "Kendall's tau with transfer accuracy"), rows)


if __name__ == "__main__":
    main()
