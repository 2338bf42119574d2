"""P1: 92 real learning curves (Alabdulmohsin et al. 2022), half of each held out by size.

    python benchmarks/forecast_curves.py            the held-out half (log every look in LOG.md)
    python benchmarks/forecast_curves.py --inside   a rehearsal inside the training half only

Prints, for each domain, the mean over curves of the root mean squared log error beside published
figures of peers; the coverage of central intervals, the mean squared calibration error over
levels, the interval score; and the CPU time of everything (all forms, roll-outs, intervals).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

import scalekit as sk
from scalekit.fitters.predictive import LEVELS, interval_score

# the same table and split; figures as the papers and our re-runs of released code give them
PEERS = {
    "IC": {"M4 (paper)": 0.0415, "BNSL": 0.0406, "NSL-PFN": 0.0280, "median of 5 forms": 0.0354},
    "NMT": {"M4 (released code)": 0.0208, "median of 5 forms": 0.0131},
    "LM": {"M4 (released code)": 0.00094},
    "BB": {"M3 (released code)": 0.0087, "median of 5 forms": 0.0077},
}
BY = ["domain", "task", "model"]


def load(inside: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and test rows; with `inside`, both from the training half."""
    shared = Path(os.environ.get("SCALEKIT_SHARED", Path(__file__).parents[2] / "shared"))
    folder = shared / "data" / "revisiting_nsl"
    table = pd.concat(
        [pd.read_csv(folder / f"benchmark.{kind}.csv") for kind in ("vision", "lang")]
    )
    table = table.rename(columns={"Domain": "domain", "Task": "task", "Model": "model",
                                  "Seen Examples": "samples", "Loss": "loss"})  # fmt: skip
    table = table.drop_duplicates([*BY, "samples", "Training"])
    if not inside:
        return table[table["Training"] == 1], table[table["Training"] == 0]
    table = table[table["Training"] == 1]
    largest = table.groupby(BY)["samples"].transform("max")
    return table[table["samples"] <= largest / 2], table[table["samples"] > largest / 2]


def score(many: sk.fitters.ManyFits, test: pd.DataFrame) -> pd.DataFrame:
    """Return one row a curve: error, coverage at each level, interval score and width at 95%."""
    observed = np.log(test["loss"].to_numpy())
    rows = test[BY].reset_index(drop=True)
    for level in LEVELS:
        found = many.predict(test, confidence_level=level).table
        low, high = np.log(found["obs_lower"]), np.log(found["obs_upper"])
        rows[level] = ((low <= observed) & (observed <= high)).to_numpy()
        if level == 0.95:
            rows["interval_score"] = interval_score(low, high, observed, level)
            rows["width"] = (high - low).to_numpy()
    rows["square"] = (np.log(found["predicted"]).to_numpy() - observed) ** 2
    curves = rows.groupby(BY).mean()
    return curves.assign(rmsle=np.sqrt(curves["square"])).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inside", action="store_true", help="rehearse inside the training half")
    parser.add_argument("--no-share", action="store_true", help="each curve on its own")
    parser.add_argument("--rows", default="single", help="what the rows of IC are (LOG.md, 4, 5)")
    options = parser.parse_args()
    train, test = load(options.inside)
    seconds, scored = 0.0, []
    for domain, part in train.groupby("domain"):
        start = time.process_time()
        many = sk.fit_many(part, by=["task", "model"], within="domain", along="samples", rng=0,
                           rows=options.rows if domain == "IC" else "single",
                           share=not options.no_share)  # fmt: skip
        seconds += time.process_time() - start
        scored.append(score(many, test[test["domain"] == domain]))
        print(many.summary(), "\n")
    curves = pd.concat(scored, ignore_index=True)
    print(f"{len(curves)} curves, {len(test)} test rows; CPU seconds of fit_many: {seconds:.1f}")
    print("\nmean RMSLE")
    for domain, part in curves.groupby("domain"):
        peers = "; ".join(f"{name} {value:.4f}" for name, value in PEERS[domain].items())
        print(f"  {domain:<4} ({len(part)} curves)  scalekit {part['rmsle'].mean():.5f}   {peers}")
    print("\ncalibration: mean over curves of the share inside; mean squared calibration error")
    for domain, part in [("all", curves), *curves.groupby("domain")]:
        inside = part[list(LEVELS)].mean().to_numpy(float)
        error = np.mean((inside - np.array(LEVELS)) ** 2)
        shown = "  ".join(
            f"{level:.0%}: {share:.1%}" for level, share in zip(LEVELS, inside, strict=True)
        )
        print(f"  {domain:<4} {shown}   MSCE {error:.5f}   95%: interval score "
              f"{part['interval_score'].mean():.4f}, width {part['width'].mean():.4f}")  # fmt: skip
    print("\nworst curves")
    print(curves.nlargest(12, "rmsle")[[*BY, "rmsle", 0.95]].to_string(index=False))


if __name__ == "__main__":
    main()
