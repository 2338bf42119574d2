"""Plots of comparisons: axes in, axes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalekit.axes import GREY, axis_label, new_axes, plain_ticks
from scalekit.units import format_scale, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.fitters.comparison import Comparison
    from scalekit.fitters.crossover import Crossover
    from scalekit.fitters.plan import Plan
    from scalekit.fitters.verdicts import Verdicts

POINTS = 160
COLOURS = ("#2a5fa8", "#d9772b", "#3a8f5c", "#8e5aa8", "#b8443f", "#6b6b6b", "#b59b2b", "#3c9fb0")


def _colours(duel: Comparison) -> dict[str, str]:
    return {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(duel.systems)}


def plot_comparison(duel: Comparison, ax: Axes | None = None, plan: Plan | None = None) -> Axes:
    """Draw each system's runs, curve and band up to the last asked scale, and the crossing.

    The runs of `plan` are drawn as open circles on the curves of their systems.
    """
    ax = new_axes(ax)
    low = min(curve.span[0] for curve in duel.curves.values())
    grid = np.geomspace(low, max(duel.reach, float(duel.asked[-1])), POINTS)
    tail = (1 - duel.confidence_level) / 2
    tops = []
    for name, colour in _colours(duel).items():
        curve = duel.curves[name]
        draws = curve.draws(grid)
        draws = draws[np.isfinite(draws).all(axis=1)]
        bottom, top = np.exp(np.quantile(draws, [tail, 1 - tail], axis=0))
        ax.fill_between(grid, bottom, top, color=colour, alpha=0.15, linewidth=0)
        ax.plot(grid, np.exp(curve.estimate(grid)), color=colour, label=name)
        ax.scatter(curve.observed, curve.fit.loss, s=14, color=colour, linewidths=0)
        tops.append(curve.fit.loss.max())
    if plan is not None and duel.along in plan.table:
        for row in plan.table.to_dict("records"):
            curve, x = duel.curves[row["system"]], np.array([float(row[duel.along])])
            ax.plot(x, np.exp(curve.estimate(x)), "o", mfc="none", markersize=8, color="black")
    _shade_crossing(duel, ax, float(grid[0]), float(grid[-1]))
    ax.axvline(duel.reach, color=GREY, linewidth=0.8, linestyle=":")
    ax.text(duel.reach, 0.98, "largest run ", color=GREY, fontsize="x-small", va="top", ha="right",
            transform=ax.get_xaxis_transform())  # fmt: skip
    for at in duel.asked:
        ax.axvline(at, color="black", linewidth=0.8, linestyle=":")
        ax.text(at, 0.9, "asked ", fontsize="x-small", va="top", ha="right",
                transform=ax.get_xaxis_transform())  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel=axis_label(duel.along), ylabel="loss")
    ax.set_ylim(top=1.15 * max(tops))
    plain_ticks(ax.yaxis)
    ax.legend(frameon=False, fontsize="small")
    ax.set_title(f"{' against '.join(duel.systems[:3])}, {percent(duel.confidence_level)} bands",
                 fontsize="medium")  # fmt: skip
    return ax


def _shade_crossing(duel: Comparison, ax: Axes, low: float, high: float) -> None:
    cross = duel.crossover()
    if cross.status != "crosses":
        return
    ends = np.clip([cross.interval.lower, cross.interval.upper], low, high)
    ax.axvspan(*ends, color=GREY, alpha=0.15, linewidth=0)
    if low < cross.median < high:
        ax.axvline(cross.median, color=GREY, linewidth=1, linestyle="--")
        words = f" cross at {format_scale(cross.median, duel.along)}"
        ax.text(cross.median, 0.02, words, color="#444444",
                fontsize="small", transform=ax.get_xaxis_transform())  # fmt: skip


def plot_win_probability(duel: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the probability that each system is the best, along the scale."""
    ax = new_axes(ax)
    low = min(curve.span[0] for curve in duel.curves.values())
    grid = np.geomspace(low, max(duel.reach * 10, float(duel.asked[-1])), POINTS)
    table = duel.win_probability(grid)
    for name, colour in _colours(duel).items():
        rows = table[table["system"] == name]
        ax.plot(rows["at"], rows["win_probability"], color=colour, label=name)
    ax.axhline(0.5, color=GREY, linewidth=0.6)
    ax.axvline(duel.reach, color=GREY, linewidth=0.8, linestyle=":")
    ax.text(duel.reach, 1.02, " largest run", color=GREY, fontsize="x-small")
    ax.set(xscale="log", ylim=(-0.02, 1.08), xlabel=axis_label(duel.along),
           ylabel="probability of being best")  # fmt: skip
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_crossover(cross: Crossover, ax: Axes | None = None) -> Axes:
    """Draw the interval of the crossing over the range that was looked at."""
    ax = new_axes(ax, 6.4, 1.8)
    _draw_interval(ax, 0.0, cross.status, cross.median, cross.interval.lower, cross.interval.upper,
                   cross.open_below, cross.open_above)  # fmt: skip
    ax.axvspan(*cross.observed, color=GREY, alpha=0.12, linewidth=0, label="run so far")
    ax.set(xscale="log", xlim=cross.within, ylim=(-1, 1), yticks=[], xlabel=axis_label(cross.along))
    ax.set_title(f"where {cross.winner} overtakes {cross.loser}: {cross.status}", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_verdicts(verdicts: Verdicts, ax: Axes | None = None) -> Axes:
    """Draw the interval of the crossing on each metric, and who is best."""
    table = verdicts.table
    ax = new_axes(ax, 6.4, 1.2 + 0.4 * len(table))
    for k, row in enumerate(table.to_dict("records")):
        _draw_interval(ax, k, row["status"], row["median"], row["ci_lower"], row["ci_upper"],
                       row["open_below"], row["open_above"])  # fmt: skip
    labels = [
        f"{row[verdicts.across]}: {row['best']} ({row['win_probability']:.2f})"
        for row in table.to_dict("records")
    ]
    ax.set_yticks(range(len(table)), labels, fontsize="small")
    ax.set(xscale="log", xlabel=f"crossing, {axis_label(verdicts.along)}", ylim=(len(table), -1))
    where = format_scale(verdicts.at, verdicts.along)
    ax.set_title(f"best at {where} {verdicts.along} (probability)", fontsize="medium")
    return ax


def _draw_interval(
    ax: Axes, height: float, status: str, median: float, low: float, high: float,
    open_below: bool, open_above: bool,
) -> None:  # fmt: skip
    if status == "none in range":
        ax.text(0.5, height, "no crossing", va="center", ha="center", color=GREY,
                transform=ax.get_yaxis_transform())  # fmt: skip
        return
    colour = COLOURS[0] if status == "crosses" else GREY
    ax.plot([low, high], [height, height], color=colour, linewidth=3, solid_capstyle="butt")
    for end, marker, is_open in ((low, "<", open_below), (high, ">", open_above)):
        if is_open:  # the interval goes on beyond what was looked at
            ax.plot([end], [height], marker, color=colour, markersize=10, clip_on=False)
    if low < median < high:
        ax.plot([median], [height], "o", color=colour)
