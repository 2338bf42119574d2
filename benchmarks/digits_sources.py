"""The three digit sources of the projektor protocol: recipe of shared/data/ot_measured."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

SHARES = {
    "imb": [[0.2425] * 4 + [0.005] * 6,
            [0.0057] * 4 + [0.32] * 3 + [0.0057] * 3,
            [0.0014] * 7 + [0.33] * 3],
    "noise": [[0.18] * 5 + [0.02] * 5, [0.1] * 10, [0.02] * 5 + [0.18] * 5],
}  # fmt: skip
SOURCES = ["s1", "s2", "s3"]
GRID = ["p1", "p2", "p3"]


def shared_data() -> Path:
    root = Path(os.environ.get("SCALEKIT_SHARED", Path(__file__).parent.parent.parent / "shared"))
    if not (root / "data").is_dir():
        raise SystemExit(f"public tables not found at {root}; set SCALEKIT_SHARED")
    return root / "data"


def sources(kind: str, points: int, seed: int) -> tuple[dict, tuple]:
    """Return {name: (features, labels)} and (validation features, labels), 500 digits."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images / 16
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    held, rest = order[:500], order[500:]
    made = {}
    for name, shares in zip(SOURCES, SHARES[kind], strict=True):
        p = np.array(shares) / np.sum(shares)
        y = rng.choice(10, points, p=p)
        x = np.array([_shifted(images[rng.choice(rest[labels[rest] == c])], rng) for c in y])
        x = x + rng.normal(0, 0.05, x.shape)
        if kind == "noise" and name == "s2":
            y = np.where(rng.random(points) < 0.4, rng.integers(0, 10, points), y)
        if kind == "noise" and name == "s3":
            x = x + rng.normal(0, 0.35, x.shape)
        made[name] = (x, y)
    return made, (images[held], labels[held])


def _shifted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    down, right = rng.integers(-1, 2, 2)
    return np.roll(np.roll(image.reshape(8, 8), down, 0), right, 1).ravel()


def runs(kind: str) -> pd.DataFrame:
    """Return the recorded runs: n, p1..p3, rep, acc and their resampled distances."""
    path = shared_data() / "ot_measured" / f"proj_{kind}_lr.json"
    return pd.DataFrame(json.loads(path.read_text()))


def medians(kind: str) -> pd.DataFrame:
    """Return the median over repetitions of each mixture and size, in the protocol's order."""
    grouped = runs(kind).groupby(["n", *GRID]).median(numeric_only=True).reset_index()
    return grouped.sort_values(["n", "p1", "p2"], ignore_index=True)
