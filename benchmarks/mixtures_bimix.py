"""BiMix (arXiv:2405.14908) beside the other laws: each domain's loss from its own share alone.

    python benchmarks/mixtures_bimix.py

BiMix says L_i = (A_i / r_i**alpha_i) (B_i / s**beta_i + C_i) with r_i the domain's own share and s
the training steps. The catalogue's law "bimix" sums such powers over sources, since in most tables
a target has no source of its own. Both stand here beside the additive and log-linear laws on
tables where targets and sources have the same names (the paper's own runs are not public with
them):

1. Data mixing laws' three sources, 410M at 60k steps, 32 mixtures: mean relative error, five-fold
   cross-validation repeated five times. BiMix has no value for an own share of zero: those rows
   count for all laws, or for none.
2. The same sources, 160M: fitted to at most 20k steps, scored at 40k to 60k.
3. RegMix, 512 pilots of 1M: rank correlation and squared error at 1M (shares + 0.001).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measure import print_table, public_table
from mixtures_regmix import ranks
from mixtures_regmix import read as read_regmix
from scipy.optimize import least_squares

from scalekit.selectors.mixtures.catalogue import mixing_law
from scalekit.selectors.mixtures.crossval import train_law
from scalekit.selectors.mixtures.pilots import read_pilots

SOURCES = ["Github", "Books3", "Pile-CC"]
OFFSET = 1e-3  # as in the catalogue's law
LAWS = ("additive", "loglinear", "bimix")


def bimix(share: np.ndarray, steps: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return log A, alpha, log B, beta (with C = 1 - B at the mean step) by least squares."""
    unit = np.exp(np.log(steps).mean())

    def predict(theta: np.ndarray) -> np.ndarray:
        decay = theta[2] * (steps / unit) ** -theta[3] + 1 - theta[2]
        return theta[0] - theta[1] * np.log(share) + np.log(decay)

    start = [np.log(losses.mean()), 0.05, 0.2, 0.5]
    done = least_squares(lambda theta: predict(theta) - np.log(losses), start,
                         bounds=([-20, 0, 0, 0], [20, 5, 1, 5]))  # fmt: skip
    return np.r_[done.x, unit]


def bimix_at(theta: np.ndarray, share: np.ndarray, steps: np.ndarray) -> np.ndarray:
    decay = theta[2] * (steps / theta[4]) ** -theta[3] + 1 - theta[2]
    return np.exp(theta[0]) * share ** -theta[1] * decay


def three_sources(size: str) -> pd.DataFrame:
    table = pd.read_csv(public_table("mixinglaws", "3Mix_loss.csv"))
    table = (
        table[table["model_size"] == size].dropna(subset=[*SOURCES, "ratio"]).reset_index(drop=True)
    )
    shares = np.array([[float(part) for part in ratio.split("-")] for ratio in table["ratio"]])
    table[[f"share {name}" for name in SOURCES]] = shares
    return table.assign(steps=table["step"].astype(float))


def both_ways(fit: pd.DataFrame, held: pd.DataFrame, scales: list[str]) -> dict[str, np.ndarray]:
    """Return relative errors (targets, rows) on `held`; NaN where the own share is zero."""
    columns = [f"share {name}" for name in SOURCES]
    observed = held[SOURCES].to_numpy().T
    own = held[columns].to_numpy().T
    found = {}
    for law in LAWS:
        pilots = read_pilots(fit, columns, SOURCES, scales)
        at = {name: held[name].to_numpy() for name in scales}
        value = train_law(mixing_law(law), pilots).predict(held[columns].to_numpy(), at)[0]
        found[law if law != "bimix" else "bimix, summed"] = np.abs(value / observed - 1)
    value = np.full_like(observed, np.nan)
    for k, name in enumerate(SOURCES):
        rows = fit[fit[columns[k]] > 0]
        theta = bimix(rows[columns[k]].to_numpy(), rows["steps"].to_numpy(), rows[name].to_numpy())
        with np.errstate(divide="ignore"):
            value[k] = bimix_at(theta, own[k], held["steps"].to_numpy())
    found["BiMix, own share"] = np.where(own > 0, np.abs(value / observed - 1), np.nan)
    return found


def show(errors: dict[str, np.ndarray]) -> None:
    known = np.isfinite(errors["BiMix, own share"])
    rows = []
    for law, each in errors.items():
        everywhere = f"{100 * each.mean():.2f}" if np.isfinite(each).all() else "no value"
        by_source = [100 * part[rest].mean() for part, rest in zip(each, known, strict=True)]
        rows.append([law, f"{100 * each[known].mean():.2f}", everywhere,
                     *[f"{value:.2f}" for value in by_source]])  # fmt: skip
    print_table(["law", "own share > 0", "all rows", *SOURCES], rows)


def by_mixture() -> None:
    table = three_sources("410M")
    table = table[table["step"] == 60_000].reset_index(drop=True)
    parts: dict[str, list[np.ndarray]] = {}
    for seed in range(5):
        fold = np.random.default_rng(seed).permutation(len(table)) % 5
        for k in range(5):
            for law, each in both_ways(table[fold != k], table[fold == k], []).items():
                parts.setdefault(law, []).append(each)
    print(f"1. Three sources, 410M at 60k steps, {len(table)} mixtures: relative error %, held out")
    show({law: np.concatenate(each, axis=1) for law, each in parts.items()})


def by_step() -> None:
    table = three_sources("160M")
    fit = table[table["step"].between(2_000, 20_000)]
    held = table[table["step"] >= 40_000]
    print(f"\n2. Three sources, 160M, {table['ratio'].nunique()} mixtures: from at most 20k steps "
          f"({len(fit)} rows) to 40k-60k ({len(held)}): relative error %")  # fmt: skip
    show(both_ways(fit, held, ["steps"]))


def regmix() -> None:
    (shares, losses), (new, observed) = read_regmix("1m", "train"), read_regmix("1m")
    table = pd.concat([shares.add_prefix("share_"), losses.add_prefix("loss_")], axis=1)
    pilots = read_pilots(table)
    truth = observed[list(pilots.targets)].to_numpy()
    rows = []
    for law in LAWS:
        found = train_law(mixing_law(law), pilots).predict(new[list(pilots.sources)].to_numpy(), {})
        name = law if law != "bimix" else "bimix, summed"
        rows.append([name, *figures(found[0].T, truth)])
    found = np.empty_like(truth)
    for k, name in enumerate(pilots.targets):
        slope, level = np.polyfit(np.log(shares[name] + OFFSET), np.log(losses[name]), 1)
        found[:, k] = np.exp(level + slope * np.log(new[name] + OFFSET))
    rows.append(["BiMix, own share", *figures(found, truth)])
    print("\n3. RegMix, 512 pilots of 1M, 256 new runs, 13 targets")
    print_table(["law", "rank correlation", "worst", "squared error"], rows)


def figures(found: np.ndarray, truth: np.ndarray) -> list[str]:
    each = ranks(found, truth)
    return [f"{each.mean():.4f}", f"{each.min():.3f}", f"{((found - truth) ** 2).mean():.4f}"]


if __name__ == "__main__":
    by_mixture()
    by_step()
    regmix()
