"""Plots of frontiers, isoFLOP curves, envelopes and plans: axes in, axes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from scalekit.axes import BLUE, GREY, ORANGE, axis_label, new_axes, plain_ticks
from scalekit.fitters.valleys import METHODS
from scalekit.units import format_quantity, format_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from scalekit.fitters.envelopes import Envelope
    from scalekit.fitters.frontier_result import Frontier
    from scalekit.fitters.isoflop_result import Isoflops
    from scalekit.fitters.plan import Plan

POINTS = 160


def plot_frontier(frontier: Frontier, ax: Axes | None = None, plan: Plan | None = None) -> Axes:
    """Draw the best params and tokens against the budget, with their intervals.

    The runs of `plan` are drawn as open circles, params and tokens at the compute of each.
    """
    ax = new_axes(ax)
    table = frontier.table
    for name, colour in (("params", BLUE), ("tokens", ORANGE)):
        ax.plot(table["flops"], table[name], "o-", color=colour, label=name, markersize=4)
        if len(table) > 1:
            ax.fill_between(table["flops"], table[f"{name}_lower"], table[f"{name}_upper"],
                            color=colour, alpha=0.15, linewidth=0)  # fmt: skip
        else:
            ax.vlines(table["flops"], table[f"{name}_lower"], table[f"{name}_upper"], color=colour)
    if plan is not None and {"params", "tokens"} <= set(plan.table):
        flops = 6 * plan.table["params"] * plan.table["tokens"]
        for name, colour in (("params", BLUE), ("tokens", ORANGE)):
            ax.plot(flops, plan.table[name], "o", mfc="none", color=colour, markersize=8,
                    label=f"{name} of planned runs")  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="budget, FLOPs", ylabel="params, tokens")
    ax.set_title(f"{frontier.approach}; {frontier.constraint}", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_isoflops(found: Isoflops, ax: Axes | None = None) -> Axes:
    """Draw loss over size at each budget, the curve through it, and its bottom.

    Where `ax` is None, a second panel has the best sizes over the budgets, with the line.
    """
    import matplotlib as mpl

    if ax is None:
        import matplotlib.pyplot as plt

        ax, beside = plt.subplots(
            1, 2, figsize=(10.4, 4.4), layout="constrained", width_ratios=(3, 2)
        )[1]
        _plot_growth(found, beside)
    logs = np.log(found.table["flops"])
    colours = mpl.colormaps["viridis"](np.interp(logs, [logs.min(), logs.max()], [0.05, 0.9]))
    for row, colour in zip(found.table.to_dict("records"), colours, strict=True):
        near = np.abs(np.log(found.points["flops"] / row["flops"])) < 0.05
        runs = found.points[near].sort_values("params")
        ax.scatter(runs["params"], runs["loss"], s=14, color=colour, linewidths=0)
        if len(runs) > 3:
            grid, curve = _valley_curve(runs["params"], runs["loss"], found.method)
            ax.plot(
                grid, curve, color=colour, linewidth=1, label=format_scale(row["flops"], "flops")
            )
        if row["status"] == "used":
            ax.hlines(row["loss"], row["params_lower"], row["params_upper"], color=ORANGE)
            ax.plot(row["params"], row["loss"], "o", color=ORANGE, markersize=4)
    ax.set(xscale="log", yscale="log", xlabel="parameters", ylabel="loss")
    plain_ticks(ax.yaxis)
    _size_ticks(ax.xaxis)
    exponent = found.exponents.loc["params"]
    ax.set_title(
        f"minima by {found.method}: params ~ C^{exponent['estimate']:.3f} "
        f"[{exponent['ci_lower']:.3f}, {exponent['ci_upper']:.3f}]", fontsize="medium",
    )  # fmt: skip
    ax.legend(frameon=False, fontsize="x-small", title="FLOPs", ncols=2)
    return ax


def _plot_growth(found: Isoflops, ax: Axes) -> None:
    """Draw the best params at each budget, their line and its band, a decade further."""
    used = found.table[found.table["status"] == "used"]
    grid = np.geomspace(used["flops"].min(), 10 * used["flops"].max(), POINTS)
    line = found.predict(grid.tolist())
    ax.fill_between(grid, line["params_lower"], line["params_upper"], color=BLUE, alpha=0.15,
                    linewidth=0)  # fmt: skip
    ax.plot(grid, line["params"], color=BLUE, linewidth=1.2)
    ax.vlines(used["flops"], used["params_lower"], used["params_upper"], color=ORANGE)
    ax.plot(used["flops"], used["params"], "o", color=ORANGE, markersize=4)
    ax.set(xscale="log", yscale="log", xlabel=axis_label("flops"), ylabel="best parameters")
    _size_ticks(ax.yaxis)
    ax.set_title("and their growth, a decade further", fontsize="medium")


def _size_ticks(axis: Axis) -> None:
    """Label a log axis of sizes as people write them: 20M, 50M, 100M."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1e3 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda size, _: format_quantity(size)))
    axis.set_minor_formatter(NullFormatter())


def _valley_curve(params: np.ndarray, loss: np.ndarray, method: str) -> tuple[np.ndarray, ...]:
    from scipy.interpolate import Akima1DInterpolator

    x, y = np.log(np.asarray(params)), np.log(np.asarray(loss))
    grid = np.linspace(x[0], x[-1], POINTS)
    if method == METHODS[2]:
        return np.exp(grid), np.exp(Akima1DInterpolator(x, y)(grid))
    degree = 2 if method == METHODS[0] else 3
    return np.exp(grid), np.exp(np.polynomial.Polynomial.fit(x, y, degree)(grid))


def plot_envelope(found: Envelope, ax: Axes | None = None) -> Axes:
    """Draw the training curves, the envelope, and the law of its loss."""
    import matplotlib as mpl

    ax = new_axes(ax)
    sizes = np.log(found.curves["params"])
    for _, rows in found.curves.groupby("run", sort=False):
        place = np.interp(np.log(rows["params"].iloc[0]), [sizes.min(), sizes.max()], [0.05, 0.9])
        ordered = rows.sort_values("flops")
        ax.plot(ordered["flops"], ordered["loss"], color=mpl.colormaps["viridis"](place),
                linewidth=0.9)  # fmt: skip
    ax.plot(found.table["flops"], found.table["loss"], ".", color=ORANGE, markersize=3,
            label="envelope")  # fmt: skip
    grid = np.geomspace(found.curves["flops"].min(), 10 * found.curves["flops"].max(), POINTS)
    curve = found.loss_fit.predict(flops=grid).table
    ax.plot(grid, curve["predicted"], color="black", linewidth=1, label="law of the envelope")
    ax.fill_between(grid, curve["ci_lower"], curve["ci_upper"], color=GREY, alpha=0.2, linewidth=0)
    ax.set(xscale="log", yscale="log", xlabel=axis_label("flops"), ylabel="loss",
           ylim=(None, 1.2 * found.curves["loss"].quantile(0.98)))  # fmt: skip
    plain_ticks(ax.yaxis)
    ax.legend(frameon=False, fontsize="small")
    ax.set_title("training curves, coloured by size", fontsize="medium")
    return ax


def plot_plan(plan: Plan, ax: Axes | None = None) -> Axes:
    """Draw the interval of the answer that is expected after each chosen run."""
    ax = new_axes(ax, 6.4, 1.6 + 0.45 * len(plan.table))
    half = float(ndtri(0.5 + plan.confidence_level / 2))
    widths = [plan.before, *plan.table["expected_deviation"]]
    centre = plan.estimate if np.isfinite(plan.estimate) else 0.0
    for k, width in enumerate(widths):
        colour = GREY if k == 0 else BLUE
        ends = np.array([centre - half * width, centre, centre + half * width])
        ends = np.exp(ends) if plan.of_log else ends
        ax.plot(ends[[0, 2]], [k, k], color=colour, linewidth=3)
        ax.plot(ends[1], k, "o", color=colour)
    given = [c for c in map(str, plan.table) if c not in
             ("cost", "spent", "expected_deviation", "expected_probability")]  # fmt: skip
    names = ["now"] + [
        "+ " + ", ".join(
            f"{c} {format_scale(row[c], c)}" if isinstance(row[c], float) else str(row[c])
            for c in given
        )
        for row in plan.table.to_dict("records")
    ]  # fmt: skip
    ax.set_yticks(range(len(names)), names, fontsize="small")
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel=plan.question if plan.of_log else
           f"{plan.question} {plan.unit}".strip())  # fmt: skip
    if plan.of_log:
        ax.set_xscale("log")
    if "expected_probability" in plan.table:
        ax.axvline(0, color=ORANGE, linewidth=1)
    return ax
