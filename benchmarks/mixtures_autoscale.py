"""AutoScale's and Apple's published checks, beside our laws.

    python benchmarks/mixtures_autoscale.py

1. AutoScale: the best amounts at 0.6B tokens from those at 0.3B and 1.2B, against the authors'
   notebook and against their own optimisation (DDO) at 0.6B.
2. DDO's perturbation runs (7 domains, each x1/3 and x3): the additive law of amounts, fitted to
   the 15 runs; its best amounts against DDO's, and its error on held-out runs.
3. Apple's laws (Shukor et al. 2025): their mean relative errors beside those of the same laws on
   the RedPajama tables (70M-410M fitted, 1B held out), since Apple's own runs are not public.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measure import print_table, public_table
from mixtures_redpajama import predict, read

from scalekit.results import Provenance
from scalekit.selectors.mixtures.across_scales import extrapolate_amounts
from scalekit.selectors.mixtures.catalogue import mixing_law, term_sum
from scalekit.selectors.mixtures.limits import make_limits
from scalekit.selectors.mixtures.optimum import minimise_convex
from scalekit.selectors.mixtures.pilots import Pilots, read_pilots
from scalekit.selectors.mixtures.training import train

NOTEBOOK = [0.13665, 0.01714, 0.10554, 0.11268, 0.14190, 0.05573, 0.02646]


def amounts_across_budgets() -> None:
    table = pd.read_csv(public_table("autoscale", "ddo_optimal_quantities.csv")).set_index("domain")
    known = {0.3: table["n_opt_0.3B"].to_dict(), 1.2: table["n_opt_1.2B"].to_dict()}
    ours = extrapolate_amounts(known, 0.6)
    geometric = np.sqrt(table["n_opt_0.3B"] * table["n_opt_1.2B"])
    rows = [[name, f"{geometric[name]:.5f}", f"{notebook:.5f}", f"{ours[name]:.5f}",
             f"{table['n_opt_0.6B'][name]:.5f}"]
            for name, notebook in zip(table.index, NOTEBOOK, strict=True)]  # fmt: skip
    print("Best amounts at 0.6B from 0.3B and 1.2B (billions of tokens)")
    print_table(["domain", "geometric", "notebook", "ours (sums to .6)", "DDO at 0.6B"], rows)
    for name, found in (("notebook", np.array(NOTEBOOK)), ("ours", np.array(list(ours.values())))):
        miss = np.abs(found - table["n_opt_0.6B"].to_numpy()).mean()
        print(f"  mean absolute error of {name}: {miss:.5f}")


def ddo_runs() -> None:
    table = pd.read_csv(public_table("autoscale", "ddo_gpt2large_1p2B_ppl.csv"))
    domains = [name.removeprefix("ppl_") for name in table.columns[1:-1]]
    amounts = np.ones((len(table), len(domains)))
    for row, name in enumerate(table["perturbation"]):
        factor, _, domain = name.partition(" ")
        if domain:
            amounts[row, domains.index(domain)] = {"x1/3": 1 / 3, "x3": 3.0}[factor]
    losses = np.log(table[[f"ppl_{name}" for name in domains]].to_numpy().T)
    law = mixing_law("additive")

    def fitted(rows: np.ndarray) -> object:
        pilots = Pilots(tuple(domains), tuple(domains), amounts[rows] / 7, losses[:, rows], {}, (),
                        Provenance())  # fmt: skip
        return train(pilots, term_sum(law, domains, ()))

    errors = []
    for row in range(len(table)):
        rest = np.arange(len(table)) != row
        found = fitted(rest).predict(amounts[[row]] / 7, {})[0, :, 0]
        errors.append(np.abs(np.exp(found) / np.exp(losses[:, row]) - 1).mean())
    centre = losses.mean(axis=1, keepdims=True)
    mean = np.abs(np.exp(losses - centre) - 1).mean(axis=0)
    print("\nDDO's 15 runs, additive law of amounts (perplexity as loss = log ppl)")
    print(f"  leave one out: {100 * np.mean(errors):.2f}% of perplexity (mean of the runs: "
          f"{100 * np.mean(mean):.2f}%)")  # fmt: skip
    whole = fitted(np.arange(len(table)))
    weights = np.full(len(domains), 1 / len(domains))
    best = minimise_convex(lambda h: whole.at(h, {}, weights), make_limits(domains), 1).shares[0]
    ddo = pd.read_csv(public_table("autoscale", "ddo_optimal_quantities.csv")).set_index("domain")
    share = (ddo["n_opt_1.2B"] / ddo["n_opt_1.2B"].sum())[domains].to_numpy()
    rows = np.vstack([best, share, weights])
    perplexity = np.exp(whole.predict(rows, {})[0]).mean(axis=0)
    value = weights @ whole.predict(rows, {})[0]
    print_table(["domain", "ours", "DDO"], [[n, f"{a:.4f}", f"{b:.4f}"]
                for n, a, b in zip(domains, best, share, strict=True)])  # fmt: skip
    for name, found in (("log ppl (what ours minimises)", value), ("ppl (DDO's)", perplexity)):
        print(f"  mean {name} by our law: ours {found[0]:.4f}, DDO {found[1]:.4f}, uniform "
              f"{found[2]:.4f}")  # fmt: skip


def apple() -> None:
    published = pd.read_csv(public_table("published_mixing", "apple_mre.csv"))
    published = published[published["modality"] == "language"]
    table, sources, targets = read("RedPajama")
    fit = table[(table["model_size"] != "1B") & (table["step"] <= 30_000)].dropna(subset=targets)
    held = table[table["model_size"] == "1B"].dropna(subset=targets)
    pilots = read_pilots(fit, sources, targets, ["params", "tokens"])
    rows = []
    for law in ("additive", "joint"):
        line = [law]
        for part in (fit, held):
            observed = part[targets].to_numpy().T
            error = np.abs(predict(law, pilots, sources, part) / observed - 1).mean(axis=1)
            line.append(f"{100 * np.median(error):.2f} ({100 * error.min():.2f}-"
                        f"{100 * error.max():.2f})")  # fmt: skip
        for part in ("train", "val"):
            error = published[f"{part}_{law}"]
            line.append(f"{error.median():.2f} ({error.min():.2f}-{error.max():.2f})")
        rows.append(line)
    print("\nMean relative error %, median (range) over targets")
    print_table(["law", "ours fitted", "ours 1B held out", "Apple fitted", "Apple larger"], rows)


if __name__ == "__main__":
    amounts_across_budgets()
    ddo_runs()
    apple()
