"""Prune, retrain, compare: every rule against random on data that need no download.

    python benchmarks/pruning_end_to_end.py [--seeds 6]

Data: scikit-learn's digits; the same with a tenth of the labels wrong; drawn images with wrong
labels and near copies; snippets of Python's own documentation by topic. Scores: EL2N early in
training, over five seeds. The side is chosen from these, from errors on a validation part (true
labels) at three sizes, and ("auto+") from prunings tried on half of the examples. All kept sets
are trained for the same number of steps; accuracy on a test part, with 95% intervals over seeds.
Small perceptrons, all at once (batched matrix products). Equal kept sets share one training.

Printed: accuracy by rule and share; how often hard beats random and where; for side="auto" in how
many cells it is within one standard error of the best of hard and easy, and of all rules, and
whether it is ever worse than the worse of the two by its interval; classes on an imbalanced set.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from measure import print_table
from planted_noise import drawings, plant
from scipy.stats import t as student
from sklearn.datasets import load_digits

import scalekit as sk

SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
RULES = (
    "random",
    "hard",
    "easy",
    "stratified",
    "window",
    "probabilistic",
    "prototypes",
    "auto",
    "auto+",
)
STEPS, BATCH, HIDDEN, SCORE_SEEDS, SCORE_STEPS = 600, 64, 64, 5, 120

Data = tuple[np.ndarray, np.ndarray, np.ndarray]  # inputs, labels given, true labels


def digits(rng: np.random.Generator) -> Data:
    x, y = load_digits(return_X_y=True)
    return x / 16, y, y


def digits_mislabelled(rng: np.random.Generator) -> Data:
    x, y, _ = digits(rng)
    return x, plant(y, rng)[0], y


def drawn_images(rng: np.random.Generator) -> Data:
    """A third are near copies of others; a tenth have a wrong label."""
    x, y = drawings(rng, 2400)
    x = x.reshape(len(x), -1)
    source = rng.integers(0, 1600, 800)
    x[1600:], y[1600:] = x[source] + 0.02 * rng.standard_normal((800, x.shape[1])), y[source]
    return x, plant(y, rng)[0], y


def documentation(rng: np.random.Generator) -> Data:
    """Snippets of 160 characters of the five longest help topics, as hashed character trigrams."""
    from pydoc_data.topics import topics

    longest = sorted(topics, key=lambda name: -len(topics[name]))[:5]
    texts = [topics[name] for name in longest]
    count = min(len(t) for t in texts) // 160
    x, y = np.zeros((5 * count, 400)), np.repeat(np.arange(5), count)
    for row in range(len(y)):
        start = 160 * (row % count)
        text = texts[y[row]][start : start + 160]
        for a, b, c in zip(text, text[1:], text[2:], strict=False):
            x[row, (ord(a) * 961 + ord(b) * 31 + ord(c)) % 400] += 0.25
    return x, y, y


def train(
    x: torch.Tensor, y: torch.Tensor, kept: list[np.ndarray], seed: int, steps: int
) -> list[torch.Tensor]:
    """Train one small perceptron on each kept set, all at once; return their weights."""
    generator = torch.Generator().manual_seed(seed)
    count, wide, classes = len(kept), x.shape[1], int(y.max()) + 1
    weights = [
        torch.randn(count, wide, HIDDEN, generator=generator) / wide**0.5,
        torch.zeros(count, 1, HIDDEN),
        torch.randn(count, HIDDEN, classes, generator=generator) / HIDDEN**0.5,
        torch.zeros(count, 1, classes),
    ]
    for w in weights:
        w.requires_grad_(True)
    optimiser = torch.optim.Adam(weights, 5e-3)
    sizes = torch.tensor([len(k) for k in kept])
    padded = torch.nn.utils.rnn.pad_sequence([torch.as_tensor(k) for k in kept], batch_first=True)
    for _ in range(steps):
        drawn = (torch.rand(count, BATCH, generator=generator) * sizes[:, None]).long()
        rows = padded.gather(1, drawn)
        logits = forward(x[rows], weights)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y[rows].flatten())
        optimiser.zero_grad()
        (loss * count).backward()
        optimiser.step()
    return [w.detach() for w in weights]


def forward(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    first, bias, second, offset = weights
    return torch.relu(x @ first + bias) @ second + offset


def accuracy(x: torch.Tensor, y: torch.Tensor, weights: list[torch.Tensor]) -> np.ndarray:
    guesses = forward(x[None].expand(len(weights[0]), -1, -1), weights).argmax(-1)
    return (guesses == y).double().mean(1).numpy()


def study(make, seed: int, floors: tuple[float, ...] = (0.5,)) -> pd.DataFrame:
    """Return accuracy by rule and share for one draw of data and seeds."""
    rng = np.random.default_rng(seed)
    x, given, truth = make(rng)
    order = rng.permutation(len(x))
    a, b = int(0.5 * len(x)), int(0.7 * len(x))
    x, given, truth = x[order], given[order], truth[order]
    inputs = torch.as_tensor(x, dtype=torch.float32)
    labels = torch.as_tensor(given)
    here, now = inputs[:a], labels[:a]
    everything = np.arange(a)
    early = train(here, now, [everything] * SCORE_SEEDS, 1000 + seed, SCORE_STEPS)
    logits = forward(here[None].expand(SCORE_SEEDS, -1, -1), early)
    chance = torch.softmax(logits, -1)
    wrong = chance - torch.nn.functional.one_hot(now, chance.shape[-1])
    el2n = wrong.norm(dim=-1).numpy()
    suspect = _wrong_labels(here, now, rng, seed)
    sizes = (a // 4, a // 2, a)
    curve_sets = [rng.permutation(a)[:n] for n in sizes for _ in range(3)]
    checked = torch.as_tensor(truth[a:b])
    errors = 1 - accuracy(inputs[a:b], checked, train(here, now, curve_sets, seed, STEPS))
    curve = pd.DataFrame({"n": [len(k) for k in curve_sets], "error": np.clip(errors, 1e-3, None)})
    tables = [pd.DataFrame({"id": everything, "label": given[:a], "el2n": e}) for e in el2n]
    cells, kept = [], []
    half = np.sort(rng.permutation(a)[: a // 2])
    tried = _trials(tables, x[:a], half, suspect, seed)
    tried["error"] = np.clip(1 - accuracy(inputs[a:b], checked, train(
        here, now, list(tried.pop("kept")), 90 + seed, STEPS)), 1e-3, None)  # fmt: skip
    for share in SHARES:
        cut = min(suspect, 0.9 * (1 - share))
        for rule in RULES:
            by = "prototypes" if rule == "prototypes" else "el2n"
            side = {"prototypes": "hard", "auto+": "auto"}.get(rule, rule)
            for floor in floors:
                found = sk.prune(tables, share, by=by, side=side, cutoff=cut, class_floor=floor,
                                 features=x[:a], learning_curve=curve,
                                 trials=tried if rule == "auto+" else None, rng=seed)  # fmt: skip
                cells.append((rule, share, floor, found.manifest["side"]))
                kept.append(np.flatnonzero(found.mask))
    test = torch.as_tensor(truth[b:])
    # rules that keep the same examples get the same training: what differs is the choice alone
    distinct = {rows.tobytes(): rows for rows in kept}
    weights = train(here, now, list(distinct.values()), 50 + seed, STEPS)
    found = dict(zip(distinct, accuracy(inputs[b:], test, weights), strict=True))
    table = pd.DataFrame(cells, columns=["rule", "share", "floor", "chosen"])
    return table.assign(accuracy=[found[rows.tobytes()] for rows in kept], seed=seed)


def _wrong_labels(
    here: torch.Tensor, now: torch.Tensor, rng: np.random.Generator, seed: int
) -> float:
    """Return the share of labels that a model of the other half of the data is sure are wrong."""
    order = rng.permutation(len(now))
    halves = [order[: len(order) // 2], order[len(order) // 2 :]]
    models = train(here, now, [halves[k % 2] for k in range(6)], 500 + seed, SCORE_STEPS)
    chance = torch.softmax(forward(here[None].expand(6, -1, -1), models), -1)
    sure = 0
    for k, rows in enumerate(halves):
        p = chance[[m for m in range(6) if m % 2 != k]].mean(0)[rows]
        sure += int(((p.max(-1).values > 0.8) & (p.argmax(-1) != now[rows])).sum())
    return sure / len(now) if sure > 0.02 * len(now) else 0.0


def _trials(
    tables: list[pd.DataFrame], x: np.ndarray, half: np.ndarray, suspect: float, seed: int
) -> pd.DataFrame:
    """Return prunings of half of the examples, three draws a side: side, keep and rows kept."""
    pool = [table.iloc[half] for table in tables]
    rows = []
    for share in SHARES:
        cut = min(suspect, 0.9 * (1 - share))
        sides = ("random", "hard", "easy", "stratified", *(("window",) if cut else ()))
        for side in sides:
            for draw in range(3):
                found = sk.prune(
                    pool, share, by="el2n", side=side, cutoff=cut, rng=100 * seed + draw
                )
                rows.append({"side": side, "keep": share, "kept": half[np.flatnonzero(found.mask)]})
    return pd.DataFrame(rows)


def judge(runs: pd.DataFrame, name: str) -> tuple[list[list[str]], dict[str, float]]:
    """Return printed rows of one data set, and how auto does."""
    seeds = runs["seed"].nunique()
    reach = student.ppf(0.975, seeds - 1) / seeds**0.5
    mean = runs.pivot_table("accuracy", "rule", "share").loc[list(RULES)]
    wide = runs.pivot_table("accuracy", "rule", "share", aggfunc="std") * reach
    rows = [
        [name, rule, *(f"{100 * mean.loc[rule, s]:.1f}+-{100 * wide.loc[rule, s]:.1f}"
                       for s in SHARES)]
        for rule in RULES
    ]  # fmt: skip
    counts = {}
    for auto in ("auto", "auto+"):
        chosen = runs[runs["rule"] == auto].groupby("share")["chosen"].agg(lambda c: c.mode()[0])
        rows.append([name, f"({auto} takes)", *(str(chosen[s]) for s in SHARES)])
        counts |= _count(runs, mean, auto)
    return rows, counts


def _count(runs: pd.DataFrame, mean: pd.DataFrame, auto: str) -> dict[str, float]:
    """Count cells where `auto` is as good as the better of hard and easy, as the best of all."""
    wide = runs.pivot_table("accuracy", ["rule", "seed"], "share")
    seeds = runs["seed"].nunique()
    counts = {f"{auto} cells": 0.0, f"{auto} two": 0.0, f"{auto} all": 0.0, f"{auto} below": 0.0}
    for share in SHARES:
        two = mean.loc[["hard", "easy"], share]
        everyone = mean[share].drop(["auto", "auto+"])

        def gap(rule: str, at: float = share) -> tuple[float, float]:
            lead = wide.loc[rule, at] - wide.loc[auto, at]
            return float(lead.mean()), float(lead.std()) / seeds**0.5

        for key, rule in (("two", two.idxmax()), ("all", everyone.idxmax())):
            lead, error = gap(rule)
            counts[f"{auto} {key}"] += lead <= error
        lead, error = gap(two.idxmin())
        counts[f"{auto} below"] += lead > student.ppf(0.975, seeds - 1) * error
        counts[f"{auto} cells"] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    rows, totals = [], pd.Series(dtype=float)
    for make in (digits, digits_mislabelled, drawn_images, documentation):
        runs = pd.concat([study(make, seed) for seed in range(seeds)])
        printed, counts = judge(runs, make.__name__)
        rows += printed
        totals = totals.add(pd.Series(counts), fill_value=0)
    print(f"test accuracy in %, mean and 95% interval over {seeds} seeds; {STEPS} steps each")
    print_table(("data", "rule", *(f"{s:.0%}" for s in SHARES)), rows)
    for auto in ("auto", "auto+"):
        two, best, below, cells = (totals[f"{auto} {k}"] for k in ("two", "all", "below", "cells"))
        print(f"\n{auto}: within one standard error of the better of hard and easy in {two:.0f} of "
              f"{cells:.0f} cells, of the best rule in {best:.0f};\nworse than the worse of the "
              f"two, by the interval, in {below:.0f}")  # fmt: skip

    def imbalanced(rng: np.random.Generator) -> Data:
        x, y, _ = digits(rng)
        stays = (y < 7) | (rng.random(len(y)) < 0.15)
        return x[stays], y[stays], y[stays]

    floors = pd.concat([study(imbalanced, seed, (0.0, 0.5)) for seed in range(seeds)])
    hard = floors[floors["rule"] == "hard"].pivot_table("accuracy", "floor", "share")
    print("\nimbalanced digits (three classes thinned to 15%), hard examples kept")
    print_table(("class floor", *(f"{s:.0%}" for s in SHARES)),
                [[f"{f:g}", *(f"{100 * v:.1f}" for v in row)] for f, row in
                 zip(hard.index, hard.to_numpy(), strict=True)])  # fmt: skip


if __name__ == "__main__":
    main()
