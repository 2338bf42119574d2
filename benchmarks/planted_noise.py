"""Mislabelled examples, planted: which scores find them? AUC over seeds, with intervals.

Data without a download: scikit-learn's digits, drawn images (bars and blobs), and short texts made
of word groups. A tenth of the labels is replaced by another class. For each seed a small network is
trained under the recorder, with several checkpoints; every score ranks the examples.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from measure import print_table
from scipy.stats import t as student
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F  # noqa: N812

import scalekit as sk
from scalekit.selectors.scores.models import ensemble_difficulty, pvi

SIGN = {"hard": 1, "easy": -1, "ambiguous": 1}
NOISE = 0.1


def digits(_rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return (data.images[:, None] / 16).astype(np.float32), data.target


def drawings(rng: np.random.Generator, n: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Images 12 x 12 of 4 classes: a row, a column, a diagonal, a block; blurred and noisy."""
    y = rng.integers(0, 4, n)
    x = rng.normal(0, 0.25, (n, 1, 12, 12))
    for i, (kind, a, b) in enumerate(zip(y, *rng.integers(1, 8, (2, n)), strict=True)):
        at = np.arange(5)
        rows, columns = [(a, b + at - 1), (a + at - 1, b), (a + at - 1, b + at - 1),
                         (a + at[:3, None], b + at[None, :3])][kind]  # fmt: skip
        x[i, 0, rows, columns] += rng.uniform(0.5, 1.2)
    return x.astype(np.float32), y


def texts(rng: np.random.Generator, n: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Texts of 16 word ids of 3 classes: a quarter of the words is of the class's own group."""
    y = rng.integers(0, 3, n)
    x = rng.integers(0, 300, (n, 16))
    own = rng.random((n, 16)) < rng.uniform(0.1, 0.5, (n, 1))
    return np.where(own, x % 100 + 100 * y[:, None], x), y


def network(x: np.ndarray, classes: int) -> nn.Module:
    if x.dtype.kind == "i":
        return nn.Sequential(nn.EmbeddingBag(300, 32), nn.Linear(32, 32), nn.ReLU(),
                             nn.Linear(32, classes))  # fmt: skip
    size = x[0].size
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(size // 4 * 16, classes),
    )  # fmt: skip


def plant(y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    classes = int(y.max()) + 1
    bad = rng.random(len(y)) < NOISE
    return np.where(bad, (y + rng.integers(1, classes, len(y))) % classes, y), bad


def train(
    x: np.ndarray, y: np.ndarray, seed: int, epochs: int, folder: Path | None, blank: bool = False
) -> tuple[nn.Module, list[dict[str, torch.Tensor]]]:
    """Return the model and its checkpoints after each of the first three epochs."""
    torch.manual_seed(seed)
    model, kept = network(x, int(y.max()) + 1), []
    inputs = torch.as_tensor(np.zeros_like(x) if blank else x)
    labels = torch.as_tensor(y)
    recorder = sk.Recorder(model, folder) if folder else None
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(epochs):
        for rows in torch.randperm(len(y)).split(64):
            if recorder:
                recorder.batch(rows, labels[rows])
            optimiser.zero_grad()
            F.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimiser.step()
        if recorder:
            recorder.end_epoch()
        if epoch < 3:
            kept.append({k: v.clone() for k, v in model.state_dict().items()})
    if recorder:
        recorder.close()
    return model.eval(), kept


def aucs_of(make, seed: int, epochs: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    x, truth = make(rng)
    y, bad = plant(truth, rng)
    with tempfile.TemporaryDirectory() as home:
        model, kept = train(x, y, seed, epochs, Path(home) / "dynamics")
        recorded = sk.read_dynamics(Path(home) / "dynamics").scores()
    asked = ["el2n", "loss", "margin", "entropy", "grand_last", "grand", "tracin_self"]
    if x.dtype.kind == "f":
        asked.append("vog")
    passed = sk.score((x, y), model=model, checkpoints=kept, scores=asked)
    null, _ = train(x, y, seed, 3, None, blank=True)
    blank = np.zeros_like(x)
    early = model
    early.load_state_dict(kept[-1])
    p = [sk.score((data, y), model=net, scores=["p_true"]).frame["p_true"].to_numpy()
         for data, net in ((x, early), (blank, null))]  # fmt: skip
    members = [train(x, y, 100 * seed + k, 3, None)[0] for k in range(5)]
    with torch.no_grad():
        votes = np.stack([m(torch.as_tensor(x)).argmax(1).numpy() for m in members])
    values = {name: passed.frame[name] * SIGN[passed.direction(name)] for name in passed.scores}
    values |= {
        name: recorded.frame[name].replace(np.inf, 1e9) * SIGN[recorded.direction(name)]
        for name in recorded.scores
    }
    values |= {"pvi": -pvi(*p), "ddd (5 models)": ensemble_difficulty(votes, y)["ddd"]}
    return {name: roc_auc_score(bad, value) for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = {}
    for make in (digits, drawings, texts):
        runs = [aucs_of(make, seed, options.epochs) for seed in range(options.seeds)]
        columns[make.__name__] = {name: np.array([run[name] for run in runs]) for name in runs[0]}
    reach = student.ppf(0.975, options.seeds - 1) / options.seeds**0.5
    rows = []
    for name in columns["digits"]:
        cells = [
            f"{v.mean():.3f} +- {reach * v.std(ddof=1):.3f}" if (v := found.get(name)) is not None
            else "" for found in columns.values()
        ]  # fmt: skip
        rows.append([name, *cells])
    rows.sort(key=lambda row: row[1], reverse=True)
    print(f"AUC for {NOISE:.0%} planted mislabels; mean and 95% interval over "
          f"{options.seeds} seeds, {options.epochs} epochs")  # fmt: skip
    print_table(["score", *columns], rows)


if __name__ == "__main__":
    main()
