"""Plots of the benchmark results: axes in, axes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.evals.model_comparison import ModelComparison
    from scalekit.evals.power import PowerTable
    from scalekit.evals.signal_report import SignalReport
    from scalekit.evals.variance import BenchmarkVariance

# colour-blind safe (Okabe and Ito); signal in black, items in blues, training noise in warm tones
COLOURS = {
    "recipe": "#333333", "item": "#0072B2", "recipe:item": "#56B4E9", "seed": "#D55E00",
    "seed:item": "#E69F00", "step": "#BBBBBB", "seed:step": "#CC79A7", "item:step": "#8FBC8F",
    "residual": "#F0E442", "sample": "#009E73",
}  # fmt: skip
VERDICTS = {"real": "#D55E00", "equivalent": "#009E73", "not resolved": "#777777",
            "refused": "#BBBBBB"}  # fmt: skip
LINES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333"]


def _axes(ax: Axes | None, rows: int) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7.5, max(2.4, 0.42 * rows + 1.6)), layout="constrained")[1]


def _labels(frame: object) -> list[str]:
    one_metric = frame["metric"].nunique() == 1  # type: ignore[index]
    return [
        f"{b}" if one_metric else f"{b} ({m})"
        for b, m in zip(frame["benchmark"], frame["metric"], strict=True)  # type: ignore[index]
    ]


def plot_components(result: BenchmarkVariance, ax: Axes | None = None) -> Axes:
    """Draw the variance of one answer as stacked shares, one bar per benchmark."""
    wide = result.components.pivot_table(
        index=["benchmark", "metric"], columns="component", values="share", sort=False
    ).fillna(0.0)
    axes = _axes(ax, len(wide))
    names = _labels(wide.reset_index())
    left = np.zeros(len(wide))
    for component in (c for c in COLOURS if c in wide):
        share = 100 * wide[component].to_numpy()
        axes.barh(names, share, left=left, color=COLOURS[component], label=component, height=0.7)
        left += share
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the variance of one answer (%)")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return axes


def plot_forest(result: ModelComparison, ax: Axes | None = None) -> Axes:
    """Draw differences with intervals, coloured by verdict, the margin as a band."""
    table = result.table
    axes = _axes(ax, len(table))
    names, y = _labels(table), np.arange(len(table))
    for name, colour in VERDICTS.items():
        rows = (table["verdict"] == name).to_numpy() & table["standard_error"].notna().to_numpy()
        if not rows.any():
            continue
        centre = table.loc[rows, "difference"].to_numpy()
        spread = [centre - table.loc[rows, "ci_lower"], table.loc[rows, "ci_upper"] - centre]
        axes.errorbar(centre, y[rows], xerr=np.array(spread), fmt="o", color=colour, label=name,
                      capsize=3, markersize=5)  # fmt: skip
    refused = (table["verdict"] == "refused").to_numpy()
    if refused.any():
        axes.plot(table.loc[refused, "difference"], y[refused], "x", label="refused",
                  color=VERDICTS["refused"])  # fmt: skip
    axes.axvline(0, color="#333333", linewidth=0.8)
    if isinstance(result.margin, (int, float)):
        axes.axvspan(-result.margin, result.margin, color="#009E73", alpha=0.12, linewidth=0,
                     label="margin")  # fmt: skip
    axes.set_yticks(y, names)
    axes.set_ylim(len(table) - 0.5, -0.5)
    a, b = result.systems
    lower = " (lower is better)" if (table["direction"] < 0).all() else ""
    axes.set_xlabel(f"{a} minus {b}, with {percent(result.confidence_level)} intervals{lower}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return axes


def plot_power(result: PowerTable, ax: Axes | None = None) -> Axes:
    """Draw power against the true difference, one line per seeds (at the first items, samples)."""
    axes = _axes(ax, 6)
    label, noise = next(iter(result.noise.items()))
    first = result.table.iloc[0]
    items, samples = int(first["items"]), int(first["samples"])
    seeds = sorted(set(result.table["seeds"]))
    widest = float(result.table["detectable"].max())
    grid = np.linspace(0, 1.2 * widest, 200)
    for k, colour in zip(seeds, LINES * 5, strict=False):
        model = noise if k > 1 else type(noise)(**(noise.__dict__ | {"seed_df": np.inf}))
        curve = model.power(grid, k, items, samples, result.confidence_level)
        name = f"{k} seeds" if k > 1 else "1 seed (SD known)"
        axes.plot(grid, curve, color=colour, label=name)
    axes.axhline(result.target_power, color="#777777", linewidth=0.8, linestyle="--")
    if result.difference is not None:
        axes.axvline(result.difference, color="#777777", linewidth=0.8, linestyle=":")
    axes.set_xlabel("true difference of two recipes")
    axes.set_ylabel("probability to find it real")
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, grid[-1])
    axes.set_title(f"{label}: {items:,} items" + (f", {samples} samples" if samples > 1 else ""))
    axes.legend(frameon=False)
    return axes


def plot_signal(result: SignalReport, ax: Axes | None = None) -> Axes:
    """Draw SNR against scale where there are several, ranked with intervals otherwise."""
    table = result.table
    if table["scale"].nunique() > 1:
        return _snr_by_scale(result, ax)
    ranked = table.sort_values("snr", ascending=False).head(40)
    axes = _axes(ax, len(ranked))
    y = np.arange(len(ranked))
    colours = dict(zip(dict.fromkeys(ranked["metric"]), LINES * 9, strict=False))
    for metric, colour in colours.items():
        rows = (ranked["metric"] == metric).to_numpy()
        centre = ranked.loc[rows, "snr"]
        spread = np.array([centre - ranked.loc[rows, "ci_lower"],
                           ranked.loc[rows, "ci_upper"] - centre])  # fmt: skip
        axes.errorbar(centre, y[rows], xerr=spread, fmt="o", color=colour, label=metric, capsize=2,
                      markersize=4)  # fmt: skip
    axes.set_yticks(y, ranked["benchmark"])
    axes.set_ylim(len(ranked) - 0.5, -0.5)
    if (ranked["ci_lower"] > 0).all():
        axes.set_xscale("log")
    axes.axvline(1, color="#777777", linewidth=0.8, linestyle="--")
    axes.set_xlabel(f"signal to {ranked['noise'].iloc[0]} noise")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return axes


def _snr_by_scale(result: SignalReport, ax: Axes | None) -> Axes:
    axes = _axes(ax, 8)
    groups = result.table.dropna(subset=["scale"]).groupby(["benchmark", "metric"], sort=False)
    one_metric = len(set(result.table["metric"])) == 1
    for k, ((key, rows), colour) in enumerate(zip(groups, LINES * 20, strict=False)):
        ordered = rows.sort_values("scale")
        name = str(key[0]) if one_metric else f"{key[0]} ({key[1]})"
        centre, x = ordered["snr"], ordered["scale"] * 1.012 ** (k - len(groups) / 2)
        spread = np.array([centre - ordered["ci_lower"], ordered["ci_upper"] - centre])
        axes.errorbar(x, centre, yerr=spread, fmt="o-", color=colour, label=name, capsize=2,
                      markersize=4, linewidth=1.2, elinewidth=0.8)  # fmt: skip
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xscale("log")
    axes.axhline(1, color="#777777", linewidth=0.8, linestyle="--")
    axes.set_xlabel("scale")
    axes.set_ylabel("signal to noise")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return axes
