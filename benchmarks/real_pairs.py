"""Which of two real models will lead at larger scale? Forecasts for pairs of learning curves.

    python benchmarks/real_pairs.py [--factor 8]

The 72 image-classification curves of `revisiting_nsl`, their training part only (the held-out part
stays for `forecast_curves.py`): on each task, every two models. Both are seen up to 1 / factor of
the largest common number of examples; asked is the difference of their log losses at that number.
Printed for each way: the Brier score of "the second leads", the share of 95% intervals that hold
the difference, and both again for the pairs that are close or change places.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from itertools import combinations

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measure import print_table, public_table

import scalekit as sk

LAWS = {"power_constant": "power_constant", "power": "power", "shifted_power": "shifted_power",
        "all three (default)": None}  # fmt: skip
FEWEST = 8  # rows of each curve
CLOSE = 0.15  # log loss apart, where the curves end


def pairs(factor: float) -> Iterator[tuple[pd.DataFrame, float, float, float]]:
    """Yield the runs seen, the scale asked, the true difference there, and that at the end."""
    table = pd.read_csv(public_table("revisiting_nsl", "benchmark.vision.csv"))
    table = table[table["Training"] == 1].rename(
        columns={"Seen Examples": "samples", "Loss": "loss"}
    )
    for _, task in table.groupby("Task"):
        curves = {model: part.sort_values("samples") for model, part in task.groupby("Model")}
        for names in combinations(curves, 2):
            both = [curves[name][["samples", "loss"]] for name in names]
            top = min(curve["samples"].max() for curve in both)
            seen = [curve[curve["samples"] <= top / factor] for curve in both]
            if min(map(len, seen)) >= FEWEST:
                runs = pd.concat([p.assign(model=n) for p, n in zip(seen, "ab", strict=True)])
                yield runs, top, _gap(both, top), _gap(seen, top / factor)


def _gap(curves: list[pd.DataFrame], at: float) -> float:
    first, second = (np.interp(np.log(at), np.log(c["samples"]), np.log(c["loss"])) for c in curves)
    return float(second - first)


def main() -> None:
    """Print one row a way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factor", type=float, default=8.0)
    factor = parser.parse_args().factor
    rows = []
    for k, (runs, top, truth, last) in enumerate(pairs(factor)):
        close = abs(last) < CLOSE or (last < 0) != (truth < 0)
        rows.append((k, "sign at the end", (float(last < 0) - (truth < 0)) ** 2, np.nan, close))
        for name, law in LAWS.items():
            duel = sk.compare(runs, by="model", law=law, along="samples", at=top, resamples=300,
                              rng=0)  # fmt: skip
            gap = duel.difference(top, "a", "b").iloc[0]
            inside = gap["ci_lower"] <= np.expm1(truth) <= gap["ci_upper"]
            rows.append((k, name, (gap["probability_lower"] - (truth < 0)) ** 2, inside, close))
    table = pd.DataFrame(rows, columns=["pair", "way", "brier", "covered", "close"])
    print(f"{table['pair'].nunique()} pairs, seen up to 1/{factor:g}; "
          f"{table.loc[table['close'], 'pair'].nunique()} close or changing places")  # fmt: skip
    shown = [["way", "Brier", "95% holds", "Brier, close", "95% holds, close"]]
    for way, part in table.groupby("way", sort=False):
        near = part[part["close"]]
        shown.append([str(way), *(f"{value:.3f}" for value in (
            part["brier"].mean(), part["covered"].astype(float).mean(), near["brier"].mean(),
            near["covered"].astype(float).mean()))])  # fmt: skip
    print_table(shown[0], shown[1:])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    main()
