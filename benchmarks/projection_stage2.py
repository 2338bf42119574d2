"""Protocol D, stage 2: MAE of the projected accuracy at N = 1000 over the 66 mixtures.

Ours: one surface over sizes 100, 150, 300. Beside it the published line in log N, on the raw
medians and through the published stage 1. Targets: at most 2.5 (imb) and 1.35 (noise).

    python benchmarks/projection_stage2.py
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from digits_sources import GRID, SOURCES, medians, sources

import scalekit as sk
from scalekit.selectors.mixtures.projecting.published import (
    noise_amplification,
    project_log_samples,
)


def main() -> None:
    rows = []
    for kind in ("imb", "noise"):
        data = medians(kind)
        at = {n: data[data.n == n].reset_index(drop=True) for n in (100, 150, 300, 1000)}
        true, grid = at[1000]["acc"].to_numpy(), at[1000][GRID].to_numpy()
        pilots = data[data.n < 1000].rename(columns=dict(zip(GRID, SOURCES, strict=True)))
        pilots = pilots[[*SOURCES, "n", "acc"]].rename(columns={"n": "samples", "acc": "accuracy"})

        def score(
            name: str, predicted: np.ndarray, cpu: float = 0.0, covered: float = np.nan
        ) -> None:
            error = np.abs(predicted - true).mean()  # noqa: B023
            rows.append((name, kind, error, covered, cpu))  # noqa: B023

        for low, high in ((100, 150), (100, 300)):
            line = project_log_samples(
                1000, low, high, at[low]["acc"].to_numpy(), at[high]["acc"].to_numpy()
            )
            factor = noise_amplification(1000, low, high)
            score(f"published line on medians, {low} and {high} (x{factor:.1f} noise)", line)
        score("no projection (accuracy at 300)", at[300]["acc"].to_numpy())
        for seed in range(2):
            disclosed, validation = sources(kind, 300, seed)
            for form, some in (
                ("surface", pilots),
                ("projektor", pilots[pilots["samples"] < 200]),
                ("projektor_notebook", pilots[pilots["samples"] < 200]),
            ):
                start = time.process_time()
                plan = sk.project(disclosed, validation, some, form=form, rng=seed)
                found = plan.predict(grid, 1000)
                inside = (found.ci_lower <= true) & (true <= found.ci_upper)
                name = "scalekit, 100 150 300" if form == "surface" else f"{form}, 100 and 150"
                score(name, found.predicted.to_numpy(), time.process_time() - start, inside.mean())
    frame = pd.DataFrame(rows, columns=["model", "kind", "mae", "covered_95", "cpu_s"])
    table = frame.pivot_table(index="model", columns="kind", values=["mae", "covered_95", "cpu_s"])
    print(table.round(2).to_string(na_rep=""))


if __name__ == "__main__":
    main()
