"""Porian et al. 2024 (arXiv:2406.19146): the ladder of N* exponents from their isoFLOP points.

    python benchmarks/porian_ladder.py

Beside each published exponent: ours by Akima's spline with their noise model, and by parabola,
cubic and spline with the noise measured from the points. Then their loss-law fits: how many of
the weighted ones are start values, and what a fit of the same points finds.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from measure import public_table

import scalekit as sk

KEYS = ["dataset", "hparams", "warmup", "decay", "param_count", "val"]
START = {"weighted_A": np.exp(5), "weighted_alpha": 0.1}


def main() -> None:
    """Print one line a row of their table."""
    points = pd.read_csv(public_table("porian", "isoflop_points.csv"))
    pairs = pd.read_csv(public_table("porian", "optimal_pairs.csv"))
    fits = pd.read_csv(public_table("porian", "published_fits.csv"))
    held = 0
    for published in fits.to_dict("records"):
        rows = points[(points[KEYS] == [published[k] for k in KEYS]).all(axis=1)]
        runs = rows.rename(columns={"n_params": "params"})[["flops", "params", "loss"]]
        noise = np.interp(runs["loss"], [3, 7], [0.002, 0.05])
        found = {"akima, their noise": sk.isoflop(runs.assign(noise=noise), method="akima", rng=0)}
        found |= {name: sk.isoflop(runs, method=name, rng=0)
                  for name in ("akima", "cubic", "parabola")}  # fmt: skip
        words = []
        for name, result in found.items():
            row = result.exponents.loc["params"]
            words.append(f"{name} {row['estimate']:.3f} [{row['ci_lower']:.3f}, "
                         f"{row['ci_upper']:.3f}]")  # fmt: skip
        held += published["a"] in found["akima, their noise"].exponent("params")
        label = " ".join(str(published[k]) for k in KEYS)
        print(f"{label:45s} published {published['a']:.3f} [{published['a_lo']:.3f}, "
              f"{published['a_hi']:.3f}]; " + "; ".join(words))  # fmt: skip
    print(f"\npublished exponent inside our interval (their noise): {held} of {len(fits)}")
    failed = np.isclose(fits["weighted_A"], START["weighted_A"]) & np.isclose(
        fits["weighted_alpha"], START["weighted_alpha"]
    )
    print(f"weighted loss-law fits that are start values: {failed.sum()} of {len(fits)}; "
          "the same optima fitted by scalekit:")  # fmt: skip
    for published in fits[failed].to_dict("records"):
        rows = pairs[(pairs[KEYS] == [published[k] for k in KEYS]).all(axis=1)]
        table = pd.DataFrame({"flops": rows["flops"], "loss": rows["loss_opt"],
                              "noise": rows["loss_star_logstd"] * rows["loss_opt"]})  # fmt: skip
        fit = sk.fit(table, "power_constant", along="flops", weights="noise", rng=0)
        codes = ", ".join(n.code for n in fit.notes if n.severity != "info") or "none"
        print("  " + " ".join(str(published[k]) for k in KEYS) + ": E "
              f"{fit.params['E']:.3f} {fit.interval('E')}, alpha {fit.params['alpha']:.4f} "
              f"{fit.interval('alpha')}; {fit.search.agreeing} of {fit.search.starts} starts "
              f"agree; notes: {codes}")  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
