"""Compute-optimal allocation from the Chinchilla points (Epoch's reconstruction), three ways.

    python benchmarks/chinchilla_frontier.py

Approach 3: the parametric law (Besiroglu et al. 2024: N* exponent .513, 18 to 20 tokens a param
at 5.76e23 FLOPs). Approach 2: isoFLOP minima of the points grouped by budget. Approach 1 needs
training curves, which the points lack: it is run on curves of the fitted law at their sizes.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from measure import public_table

import scalekit as sk
from scalekit.errors import ScalekitError

TARGET = 5.76e23


def main() -> None:
    """Print one line an approach."""
    points = pd.read_csv(public_table("chinchilla_epoch", "points_NDCL.csv"))
    points = points[points["outlier_excluded_by_epoch"] == 0]
    runs = points.rename(columns={"N": "params", "D": "tokens", "C": "flops"})
    fit = sk.fit(runs[["params", "tokens", "loss"]], "chinchilla", delta=1e-3, rng=0)
    found = fit.frontier([1e21, TARGET])
    row, a = found.table.iloc[-1], found.exponents.loc["params"]
    print(f"approach 3, parametric: N* ~ C^{a['estimate']:.3f} [{a['ci_lower']:.3f}, "
          f"{a['ci_upper']:.3f}]; at 5.76e23 N {row['params'] / 1e9:.1f}B, D/N "
          f"{row['tokens_per_param']:.1f} [{row['tokens_per_param_lower']:.1f}, "
          f"{row['tokens_per_param_upper']:.1f}], loss {row['loss']:.4f}")  # fmt: skip
    budgets = np.array([6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21])
    nearest = np.abs(np.log(runs["flops"].to_numpy()[:, None] / budgets)).argmin(axis=1)
    near = np.abs(np.log(runs["flops"] / budgets[nearest])) < 0.15
    grouped = runs[near].assign(flops=budgets[nearest[near]])[["flops", "params", "loss"]]
    for method in ("parabola", "cubic", "akima"):
        try:
            iso = sk.isoflop(grouped, method=method, rng=0)
        except ScalekitError as error:
            print(f"approach 2, {method}: refused: {error}")
            continue
        a, row = iso.exponents.loc["params"], iso.predict(TARGET).iloc[0]
        print(f"approach 2, {method}: N* ~ C^{a['estimate']:.3f} [{a['ci_lower']:.3f}, "
              f"{a['ci_upper']:.3f}] from {int((iso.table['status'] == 'used').sum())} of "
              f"{len(iso.table)} budgets; D/N at 5.76e23 {row['tokens_per_param']:.1f} "
              f"[{row['tokens_per_param_lower']:.1f}, {row['tokens_per_param_upper']:.1f}]; notes: "
              f"{', '.join(n.code for n in iso.notes) or 'none'}")  # fmt: skip
    rng = np.random.default_rng(0)
    curves = []
    for size in np.geomspace(runs["params"].min(), runs["params"].max(), 16):
        tokens = np.geomspace(1e8, 3e11, 60)
        loss = fit.predict(params=size, tokens=tokens).table["predicted"].to_numpy()
        noisy = loss * np.exp(fit.noise * rng.standard_normal() + 0.001 * rng.standard_normal(60))
        curves.append(pd.DataFrame({"run": f"{size:.3g}", "params": size, "tokens": tokens,
                                    "loss": noisy}))  # fmt: skip
    env = sk.envelope(pd.concat(curves), rng=0)
    a = env.exponents.loc["params"]
    print(f"approach 1, envelope of curves simulated from the law: N* ~ C^{a['estimate']:.3f} "
          f"[{a['ci_lower']:.3f}, {a['ci_upper']:.3f}]")  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
