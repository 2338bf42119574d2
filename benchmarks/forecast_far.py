"""Forecasts far beyond the roll-outs: 8 to 150 times the FLOPs of the runs, on eight real tables.

    python benchmarks/forecast_far.py

Runs above 1/8, 1/20, 1/50 and 1/150 of the largest FLOPs are hidden, and the top octave is
forecast by `choose_law` as it stands. Beside it, on the same runs: its weights held to be right
however far it is, the median of its candidates, and the usual fit (chinchilla, Huber 1e-3).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import numpy as np
import pandas as pd
from forecast_tables import COLUMNS, chinchilla, gadre, porian

import scalekit as sk
from scalekit.fitters.predictive import interval_score

FACTORS = (8, 20, 50, 150)
BUNDLED = Path(sk.__file__).parent / "data" / "examples" / "stdlib_runs.csv"


def tables() -> dict[str, pd.DataFrame]:
    runs = pd.read_csv(BUNDLED)
    runs = runs.assign(flops=6.0 * runs["params"] * runs["tokens"], loss=runs["val_loss"])
    found = {f"stdlib {name}": runs[runs["recipe"] == name] for name in ("cosine", "constant")}
    found["chinchilla"] = chinchilla()
    found |= {f"Porian {name}": porian(name) for name in ("rw", "owt2")}
    found |= {f"Gadre {name}": gadre(name) for name in ("c4_original", "rpj", "rw_original")}
    return {name: table[COLUMNS].reset_index(drop=True) for name, table in found.items()}


def judge(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, float]:
    observed = np.log(test["loss"].to_numpy())
    choice = sk.choose_law(train, along="flops", rng=0)
    found = choice.predict(test[["params", "tokens", "flops"]]).table
    below, above = np.log(found["obs_lower"]), np.log(found["obs_upper"])
    scales = {name: test[name].to_numpy(float) for name in choice.law.scales}
    ahead = choice.combination.ahead(np.zeros(len(test), int), scales, test["flops"].to_numpy())
    usual = sk.fit(train, law="chinchilla", delta=1e-3, rng=0, interval="none", resamples=0)
    usual_loss = usual.predict(test[["params", "tokens"]]).table["predicted"]
    return {
        "roll-outs": choice.combination.calibration.blocks,
        "scalekit": rms(np.log(found["predicted"]) - observed),
        "weights kept": rms(ahead.centre @ choice.combination.weights - observed),
        "median": rms(np.median(ahead.centre, axis=1) - observed),
        "Huber": rms(np.log(usual_loss) - observed),
        "covered": float(np.mean((below <= observed) & (observed <= above))),
        "width": float(np.mean(above - below)),
        "interval score": float(np.mean(interval_score(below, above, observed, 0.95))),
    }


def rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def main() -> None:
    rows = []
    for name, table in tables().items():
        top = table["flops"].max()
        for factor in FACTORS:
            train, test = table[table["flops"] <= top / factor], table[table["flops"] >= top / 2]
            try:
                rows.append({"table": name, "factor": factor, "runs": len(train)}
                            | judge(train, test))  # fmt: skip
            except sk.ScalekitError as error:
                print(f"{name}, {factor}: {str(error)[:90]}")
    found = pd.DataFrame(rows)
    print(found.round(4).to_string(index=False))
    errors = ["scalekit", "weights kept", "median", "Huber"]
    means = found.groupby("factor")[errors].agg(lambda e: float(np.exp(np.log(e).mean())))
    rest = found.groupby("factor")[["covered", "width", "interval score"]].mean()
    print("\ngeometric mean error, mean of the rest")
    print(means.join(rest).round(4).to_string())


if __name__ == "__main__":
    main()
