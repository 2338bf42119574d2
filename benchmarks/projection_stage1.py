"""Protocol D, stage 1: MAE of predicted accuracy at N = 150 on the three splits of the digits.

Ours: the surface with distances weighed by cross-validation, disclosed samples of 300 points a
source (four draws of them). Beside it, on the same runs: the published forms, and models in the
mixture alone. Targets: 1.05 / 1.05 / 1.5 (extrapolation p2 >= .5, random 33/33, 12 trainings).

    python benchmarks/projection_stage1.py [imb|noise]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from digits_sources import GRID, SOURCES, medians, sources

from scalekit.results import Provenance
from scalekit.selectors.mixtures.projecting.distances import (
    FAMILIES,
    DistanceTable,
    distance_tables,
)
from scalekit.selectors.mixtures.projecting.members import fit_member, weigh
from scalekit.selectors.mixtures.projecting.pilots import read_pilots
from scalekit.selectors.mixtures.projecting.published import stage_one_features
from scalekit.selectors.mixtures.projection import Projection
from scalekit.selectors.transport.samples import as_sample

SPLITS = ("extrapolate", "random 33/33", "12 trainings")


def splits(mixtures: np.ndarray) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    high = mixtures[:, 1] > 0.49
    half = [np.random.RandomState(s).permutation(66) for s in range(10)]
    few = [np.random.RandomState(100 + s).permutation(66) for s in range(20)]
    return {
        SPLITS[0]: [(np.flatnonzero(~high), np.flatnonzero(high))],
        SPLITS[1]: [(order[:33], order[33:]) for order in half],
        SPLITS[2]: [(order[:12], order[12:]) for order in few],
    }


def ours(
    table: pd.DataFrame, train: np.ndarray, tables: list[DistanceTable], seed: int
) -> dict[str, Projection]:
    pilots = read_pilots(table.iloc[train], SOURCES)
    rng = np.random.default_rng(seed)
    members = [fit_member("none", None, pilots, 40, rng)]
    members += [fit_member(t.name, t, pilots, 40, rng) for t in tables]
    made = {m.name: Projection(pilots, (m,), "surface", 0.95, (), Provenance()) for m in members}
    weighed = weigh(members, pilots)
    made["scalekit (weighed by CV)"] = Projection(
        pilots, tuple(weighed), "surface", 0.95, (), Provenance()
    )
    best = max(members, key=lambda m: m.density.sum())
    made["scalekit (best by CV)"] = made[best.name]
    return made


def least_squares(columns: np.ndarray, y: np.ndarray, train: np.ndarray) -> np.ndarray:
    found = np.linalg.lstsq(columns[train], y[train], rcond=1e-10)[0]
    return columns @ found


def main(kind: str = "imb") -> None:
    data = medians(kind).query("n == 150").reset_index(drop=True)
    mixtures, accuracy = data[GRID].to_numpy(), data["acc"].to_numpy()
    table = pd.DataFrame(mixtures, columns=SOURCES).assign(samples=150, accuracy=accuracy)
    scores: dict[tuple[str, str], list[float]] = {}

    def score(name: str, split: str, predicted: np.ndarray, test: np.ndarray) -> None:
        scores.setdefault((name, split), []).append(np.abs(predicted - accuracy)[test].mean())

    start = time.process_time()
    for seed in range(4):
        disclosed, validation = sources(kind, 300, seed)
        tables, _ = distance_tables(
            list(FAMILIES),
            {k: as_sample(v, k) for k, v in disclosed.items()},
            as_sample(validation, "validation"), mixtures, 0, np.random.default_rng(seed),
        )  # fmt: skip
        otdd = next(t for t in tables if t.name == "otdd").at(mixtures)[0]
        for split, parts in splits(mixtures).items():
            for train, test in parts:
                for name, plan in ours(table, train, tables, seed).items():
                    predicted = plan.predict(mixtures)["predicted"].to_numpy()
                    label = name if "scalekit" in name else f"  surface, distance {name}"
                    score(label, split, predicted, test)
                for form in ("projektor", "projektor_notebook"):
                    columns = stage_one_features(mixtures, otdd, form)
                    score(
                        f"{form}, pooled OTDD", split, least_squares(columns, accuracy, train), test
                    )
    for split, parts in splits(mixtures).items():
        p, ones = mixtures, np.ones((66, 1))
        square = np.column_stack([ones, p[:, :2], p[:, :2] ** 2, p[:, 0] * p[:, 1]])
        resampled = data["w2"].to_numpy()
        for train, test in parts:
            for name, columns in {
                "linear in p": np.column_stack([ones, p[:, :2]]),
                "pseudo-quadratic in p": square[:, :5],
                "quadratic in p": square,
                "projektor, resampled W2": stage_one_features(p, resampled, "projektor"),
                "projektor_notebook, resampled W2": stage_one_features(
                    p, resampled, "projektor_notebook"
                ),
            }.items():
                score(name, split, least_squares(columns, accuracy, train), test)
    rows = [(name, split, with_error(values, len(splits(mixtures)[split])))
            for (name, split), values in scores.items()]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["model", "split", "mae"]).pivot_table(
        index="model", columns="split", values="mae", aggfunc="first"
    )[list(SPLITS)]
    print(f"{kind}: MAE in accuracy points, with its standard error over the random parts; "
          f"{time.process_time() - start:.0f} CPU s in all")  # fmt: skip
    print(frame.to_string())


def with_error(values: list[float], parts: int) -> str:
    """Return the mean of MAEs (draw by draw, `parts` each) and its error over the parts."""
    by_part = np.reshape(values, (-1, parts)).mean(axis=0)
    error = f" +- {by_part.std(ddof=1) / np.sqrt(parts):.2f}" if parts > 1 else ""
    return f"{by_part.mean():.2f}{error}"


if __name__ == "__main__":
    main(*sys.argv[1:])
