"""Wrong labels and foreign examples, planted in digits: what does each detector find?

Two worlds of scikit-learn's digits. Wrong labels: a share of the labels becomes another class.
Foreign: the model knows eight classes, and a share of the examples comes from the other two, with
labels drawn at random. A small network is trained; each rule says whom it suspects (precision,
recall) and how it ranks (AUC). Mean and 95% interval over seeds; cleanlab beside, where installed.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measure import print_table
from scipy.stats import t as student
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.nn import functional as F  # noqa: N812

import scalekit as sk
from scalekit.selectors.scores.models import pvi

SHARES = (0.05, 0.10, 0.20)
EARLY, EPOCHS, FOLDS = 4, 12, 5
# detector -> who is suspected, a ranking (large is wrong), the precision it claims (nan: none)
Found = dict[str, tuple[np.ndarray, np.ndarray, float]]


def wrong_labels(share: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return pixels, labels and which of them are wrong."""
    x, y = load_digits(return_X_y=True)
    bad = np.arange(len(y)) < round(share * len(y))
    bad = rng.permutation(bad)
    return x / 16, np.where(bad, (y + rng.integers(1, 10, len(y))) % 10, y), bad


def foreign(share: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return pixels, labels among eight classes, and which examples belong to none of them."""
    x, y = load_digits(return_X_y=True)
    own, other = np.flatnonzero(y < 8), np.flatnonzero(y >= 8)
    count = min(round(share / (1 - share) * len(own)), len(other))
    rows = rng.permutation(np.r_[own, rng.choice(other, count, replace=False)])
    bad = y[rows] >= 8
    return x[rows] / 16, np.where(bad, rng.integers(0, 8, len(rows)), y[rows]), bad


def train(
    x: np.ndarray, y: np.ndarray, classes: int, seed: int, epochs: int = EPOCHS,
    folder: Path | None = None, weights: np.ndarray | None = None,
) -> nn.Module:  # fmt: skip
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes))
    inputs, labels = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
    weight = torch.as_tensor(np.ones(len(y)) if weights is None else weights, dtype=torch.float32)
    recorder = sk.Recorder(model, folder) if folder else None
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(64):
            if recorder:
                recorder.batch(rows, labels[rows])
            optimiser.zero_grad()
            losses = F.cross_entropy(model(inputs[rows]), labels[rows], reduction="none")
            (losses * weight[rows]).mean().backward()
            optimiser.step()
        if recorder:
            recorder.end_epoch()
    if recorder:
        recorder.close()
    return model.eval()


def probabilities(model: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.as_tensor(x, dtype=torch.float32)).softmax(1).numpy().astype(float)


def cross_validated(x: np.ndarray, y: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Return the probabilities (n, classes) of networks that did not see the example."""
    out = np.empty((len(y), classes))
    for fit, held in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
        out[held] = probabilities(train(x[fit], y[fit], classes, seed, EARLY), x[held])
    return np.clip(out / out.sum(axis=1, keepdims=True), 1e-7, None)


def margins(
    x: np.ndarray, y: np.ndarray, classes: int, seed: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the area under the margin of two trainings, and the rows that had a false class.

    As published: n / (classes + 1) threshold samples, others in the second training.
    """
    rows, found = rng.permutation(len(y)), []
    size = len(y) // (classes + 1)
    for k in range(2):
        false = rows[k * size : (k + 1) * size]
        given = y.copy()
        given[false] = classes
        with tempfile.TemporaryDirectory() as home:
            train(x, given, classes + 1, seed + k, folder=Path(home) / "run")
            frame = sk.read_dynamics(Path(home) / "run").scores().frame
        found.append((frame.set_index("id")["aum"].reindex(np.arange(len(y))).to_numpy(), false))
    return found


def joined(tables: list[pd.DataFrame], method: str, false: list[np.ndarray]) -> np.ndarray:
    """Return who is suspected: a threshold sample of one training by the other training."""
    one, other = (
        sk.mislabelled(table, method, threshold_samples=rows).table["suspect"].to_numpy()
        for table, rows in zip(tables, false, strict=True)
    )
    return np.where(np.isin(np.arange(len(one)), false[0]), other, one)


def cleanlab(y: np.ndarray, p: np.ndarray) -> Found:
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return {}
    p = p / p.sum(axis=1, keepdims=True)
    found = find_label_issues(y, p, n_jobs=1)
    return {"cleanlab find_label_issues": (found, 1 - get_label_quality_scores(y, p), np.nan)}


def judged(table: pd.DataFrame, ranking: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    suspect = table["suspect"].to_numpy()
    return suspect, ranking, float(table["probability"][suspect].mean())


def two_modes(loss: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    table = pd.DataFrame({"id": np.arange(len(loss)), "loss": loss})
    return judged(sk.mislabelled(table, "gmm").table, loss)


def detect(
    x: np.ndarray, y: np.ndarray, share: float, seed: int, rng: np.random.Generator
) -> Found:  # fmt: skip
    """Return every detector's suspects and ranking."""
    classes, ids, n = int(y.max()) + 1, np.arange(len(y)), len(y)
    early = -np.log(np.clip(probabilities(train(x, y, classes, seed, EARLY), x)[ids, y], 1e-7, 1))
    p = cross_validated(x, y, classes, seed)
    held = -np.log(p[ids, y])
    info = pvi(np.clip(p[ids, y], 1e-7, 1), np.bincount(y, minlength=classes)[y] / n)
    areas = margins(x, y, classes, seed, rng)
    aum = np.where(np.isin(ids, areas[0][1]), areas[1][0], areas[0][0])
    tables = [pd.DataFrame({"id": ids, "loss": early, "pvi": info, "aum": a}) for a, _ in areas]
    false = [rows for _, rows in areas]

    def retrain(weights: np.ndarray) -> np.ndarray:
        model = train(x, y, classes, seed + 1, EARLY, weights=weights)
        return -np.log(np.clip(probabilities(model, x)[ids, y], 1e-7, 1))

    found = {
        "guessing (the true share)": (rng.random(n) < share, rng.random(n), share),
        f"gmm, loss of epoch {EARLY}": two_modes(early),
        "gmm, cross-validated loss": two_modes(held),
        "pvi < 0, cross-validated": (info < 0, -info, np.nan),
        "AUM, threshold samples": (joined(tables, "aum", false), -aum, np.nan),
    }
    votes = [
        sk.mislabelled(t, "vote", threshold_samples=r) for t, r in zip(tables, false, strict=True)
    ]
    score = np.mean([v.table["probability"] for v in votes], axis=0)
    found["vote of gmm, aum, pvi"] = (joined(tables, "vote", false), score, np.nan)
    for name, again in (("alternate", None), ("alternate, retrained", retrain)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unregularised separation may not converge
            told = sk.alternate(early, x, retrain=again).table
        found[name] = judged(told, told["probability"].to_numpy())
    return found | cleanlab(y, p)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    reach = student.ppf(0.975, options.seeds - 1) / options.seeds**0.5
    for make in (wrong_labels, foreign):
        for share in SHARES:
            cells: dict[str, list[tuple[float, ...]]] = {}
            for seed in range(options.seeds):
                rng = np.random.default_rng(seed)
                x, y, bad = make(share, rng)
                for name, (suspect, ranking, claim) in detect(x, y, share, seed, rng).items():
                    hits = float((suspect & bad).sum())
                    cells.setdefault(name, []).append(
                        (hits / max(suspect.sum(), 1), hits / bad.sum(),
                         roc_auc_score(bad, ranking), claim)
                    )  # fmt: skip
            print(f"\n{make.__name__.replace('_', ' ')}, {share:.0%}; mean and 95% interval over "
                  f"{options.seeds} seeds")  # fmt: skip
            rows = []
            for name, values in cells.items():
                table = np.array(values)
                half = reach * table.std(axis=0, ddof=1)
                pairs = zip(table.mean(axis=0), half, strict=True)
                rows.append([name, *(f"{mean:.3f} +- {width:.3f}" if np.isfinite(mean) else ""
                                     for mean, width in pairs)])  # fmt: skip
            print_table(["detector", "precision", "recall", "AUC", "claimed precision"], rows)


if __name__ == "__main__":
    main()
