"""Measure the bundled example log: digit classifiers, several seeds, item answers.

Writes scalekit/data/examples/digits_evals.parquet. Every answer is a trained network's; nothing is
simulated. Two minutes on one core: `python benchmarks/make_example_evals.py`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

OUT = Path(__file__).parent.parent / "scalekit" / "data" / "examples" / "digits_evals.parquet"
TRAIN, TEST, SEEDS = 500, 240, 5
WIDTHS = (8, 16, 32)
EPOCHS = (5, 10, 20, 30, 40, 50)
CLASSES = np.arange(10)


def recipe_data(recipe: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)  # the data of a recipe are the same for every seed
    if recipe == "augmented":
        shifted = np.roll(x.reshape(-1, 8, 8), 1, axis=2).reshape(len(x), -1)
        return np.concatenate([x, shifted]), np.concatenate([y, y])
    if recipe == "noisy_labels":
        wrong = rng.random(len(y)) < 0.15
        return x, np.where(wrong, rng.integers(0, 10, len(y)), y)
    return x, y


def train(recipe: str, width: int, seed: int, x: np.ndarray, y: np.ndarray) -> list[MLPClassifier]:
    data, labels = recipe_data(recipe, x, y)
    decay = 3e-2 if recipe == "decay" else 1e-4
    net = MLPClassifier((width,), alpha=decay, learning_rate_init=3e-3, batch_size=50,
                        random_state=seed)  # fmt: skip
    rng = np.random.default_rng(seed)
    # the same number of optimiser steps for every recipe, so that epochs compare
    per_epoch = len(x) // 50
    for epoch in range(1, max(EPOCHS) + 1):
        order = rng.permutation(len(data))[: per_epoch * 50]
        for batch in order.reshape(per_epoch, 50):
            net.partial_fit(data[batch], labels[batch], classes=CLASSES)
        if epoch in EPOCHS:
            yield epoch, net


def test_sets(x: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    patched = x.reshape(-1, 8, 8).copy()
    patched[:, 2:5, 3:6] = 0
    return {
        "digits": x,
        "digits_noisy": x + rng.normal(0, 0.35, x.shape),
        "digits_patched": patched.reshape(len(x), -1),
    }


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    x, y = load_digits(return_X_y=True)
    x = x / 16
    order = np.random.default_rng(0).permutation(len(x))
    fit, held = order[:TRAIN], order[-TEST:]
    sets, rows = test_sets(x[held]), []
    for recipe in ("base", "augmented", "decay", "noisy_labels"):
        for width in WIDTHS:
            for seed in range(SEEDS):
                for epoch, net in train(recipe, width, seed, x[fit], y[fit]):
                    if width != max(WIDTHS) and epoch != max(EPOCHS):
                        continue
                    for name, images in sets.items():
                        p = net.predict_proba(images)
                        right = p[np.arange(TEST), y[held]]
                        rows.append(pd.DataFrame({
                            "recipe": recipe,
                            "params": sum(w.size for w in [*net.coefs_, *net.intercepts_]),
                            "seed": seed,
                            "step": epoch * (TRAIN // 50),
                            "benchmark": name,
                            "item": np.arange(TEST, dtype=np.int16),
                            "acc": (p.argmax(axis=1) == y[held]).astype(np.int8),
                            "nll": -np.log(np.maximum(right, 1e-4)).round(2),
                        }))  # fmt: skip
    table = pd.concat(rows, ignore_index=True)
    table["nll"] = table["nll"].astype(np.float32)
    for column in ("params", "seed", "step"):
        table[column] = table[column].astype(np.int32)
    table.to_parquet(OUT, index=False, compression="zstd")
    final = table[
        (table["step"] == table["step"].max()) & (table["params"] == table["params"].max())
    ]
    print(final.pivot_table("acc", "benchmark", "recipe").round(3))
    print(f"{len(table):,} rows, {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
