"""CLIP against MaMMUT (LAION, arXiv:2506.04598): where the frontiers cross, and forecasts of it.

    python benchmarks/laion_crossing.py

Prints, for the five settings: the crossing from all cells, the forecast from cells below 5e10
GFLOPs, how much both hang on the smallest compute used and on the law, and the time of 1,000
joint resamples with the frontier chosen anew in each. Then MaMMUT and CLIP L-14 at 12.8B samples
(published forecast for MaMMUT 82.0 to 82.1 %, truth 80.34 %; CLIP truth 79.2 %).
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from measure import public_table, timed

import scalekit as sk
from scalekit.fitters.comparison import Comparison
from scalekit.fitters.crossover import Crossover

SETTINGS = [
    ("imagenet1k", "acc1", "datacomp_1b", "cosine"),
    ("mscoco_captions", "image_retrieval_recall@5", "datacomp_1b", "cosine"),
    ("imagenet1k", "acc1", "relaion2b-en", "cosine"),
    ("datacomp_classification", "acc1", "datacomp_1b", "cosine"),
    ("imagenet1k", "acc1", "datacomp_1b", "const"),
]
RANGE = (1e8, 1e13)


def cells(table: pd.DataFrame, setting: tuple[str, ...]) -> pd.DataFrame:
    """Return the cells of both families (best run per architecture and samples), error as loss."""
    dataset, metric, data, schedule = setting
    rows = table[
        (table["downstream_dataset"] == dataset)
        & (table["metric"] == metric)
        & (table["pretrain_dataset"] == data)
        & (table["lr_scheduler"] == schedule)
        & table["family"].isin(["clip", "mammut"])
    ]
    return pd.DataFrame({
        "family": rows["family"], "flops": rows["gflops_total"],
        "params": rows["gflops_per_sample"], "samples": rows["samples_seen"],
        "loss": 1 - rows["value"],
    })  # fmt: skip


def crossing(runs: pd.DataFrame, **options: object) -> tuple[Crossover, Comparison, float]:
    """Return the crossing at the 90 % level, and the processor seconds of the whole comparison."""
    duel, spent = timed(
        lambda: sk.compare(runs, by="family", along="flops", confidence_level=0.9, rng=0,
                           at=RANGE[1], **options)
    )  # fmt: skip
    return duel.crossover(within=RANGE), duel, spent.cpu


def main() -> None:
    """Print the figures."""
    table = pd.read_csv(public_table("laion_clip_mammut", "best_per_arch_samples.csv"))
    for setting in SETTINGS:
        runs = cells(table, setting)
        print("\n" + " / ".join(setting))
        for words, part in (("all cells", runs), ("below 5e10", runs[runs["flops"] <= 5e10])):
            cross, duel, seconds = crossing(part)
            chance = duel.win_probability(RANGE[1]).set_index("system")["win_probability"]
            ends = ("-" if cross.open_below else f"{cross.interval.lower:.2g}",
                    "-" if cross.open_above else f"{cross.interval.upper:.2g}")  # fmt: skip
            print(
                f"  {words:11s} {cross.status:15s} median {cross.median:.3g} 90 % "
                f"[{', '.join(ends)}] P(crossing) {cross.probability:.3f} P(MaMMUT best at 1e13) "
                f"{chance['mammut']:.3f}; {len(duel.laws)} laws, "
                f"drift {duel.drift:.3f}, {seconds:.2f} s CPU"
            )
            medians = []
            for law in ("power", "power_constant", "shifted_power"):
                for low in (0, 1e8, 3e8, 1e9):
                    found, _, _ = crossing(part[part["flops"] >= low], law=law, resamples=200)
                    medians += list(found.estimates[-1:]) if found.winner == "mammut" else []
            shown = f"{min(medians):.2g} to {max(medians):.2g}" if medians else "none"
            print(f"    point crossing over 3 laws x 4 smallest computes: {shown} "
                  f"({len(medians)} of 12 cross)")  # fmt: skip
    print(
        "\nL-14 at 12.8B samples, ImageNet accuracy from a law of size and samples (samples >= 3e7;"
    )
    print("published forecast for MaMMUT .820 to .821)")
    for family, size, truth in (("clip", 168.61, 0.792), ("mammut", 202.56, 0.8034)):
        for least in (0, 3e7, 1e8):
            runs = cells(table, SETTINGS[0]).query("family == @family and samples >= @least")
            fit = sk.fit(runs[["params", "samples", "loss"]],
                         "E + A / params**alpha + B / (samples + s0)**beta", rng=0)  # fmt: skip
            row = fit.predict(params=size, samples=12.8e9).table.iloc[0]
            inside = row["obs_lower"] <= 1 - truth <= row["obs_upper"]
            print(f"  {family:6s} samples >= {least:.0e}: {1 - row['predicted']:.4f} "
                  f"[{1 - row['obs_upper']:.4f}, {1 - row['obs_lower']:.4f}] truth {truth:.4f} "
                  f"{'inside' if inside else 'OUTSIDE'}")  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    main()
