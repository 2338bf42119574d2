"""Plots of forecasts: the fan with its earlier origins, calibration, errors by distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalekit.axes import BLUE, GREY, ORANGE, axis_label, new_axes, plain_ticks
from scalekit.errors import InputError
from scalekit.fitters.predictive import LEVELS, components
from scalekit.fitters.study_inputs import size_of
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.fitters.choice import Choice
    from scalekit.fitters.combined import Combination
    from scalekit.fitters.heldout import RollOut

POINTS = 60
FAN = ((0.95, "#dbe6f4"), (0.8, "#b3cae8"), (0.5, "#7fa5d6"))  # level and shade, widest first
MOST_CANDIDATES = 6


def plot_fan(choice: Choice, ax: Axes | None = None) -> Axes:
    """Draw the runs, the combination through them, earlier forecasts, and the fan ahead.

    Of laws of several scales the combination is drawn as a ring at each run, and the fan from the
    largest run on, at its ratio of scales.
    """
    ax = new_axes(ax)
    ax.plot(choice.size, choice.loss, ".", color=GREY, ms=4, label="runs", zorder=2)
    _draw_through_runs(choice, ax)
    ahead = _way_ahead(choice)
    ax.plot(ahead[choice.along], choice.predict(ahead).table["predicted"], color=BLUE, lw=1.5,
            zorder=4, label="combination")  # fmt: skip
    for level, shade in FAN:
        band = choice.predict(ahead, confidence_level=level).table
        ax.fill_between(
            ahead[choice.along], band["obs_lower"], band["obs_upper"], color=shade, lw=0,
            zorder=1, label=f"one run, {percent(level)}",
        )  # fmt: skip
    _draw_origins(choice, ax)
    _draw_asked(choice, ax)
    ax.set(xscale="log", yscale="log", xlabel=axis_label(choice.along), ylabel="loss")
    plain_ticks(ax.yaxis)
    ax.set_title(f"{choice.provenance.source}: forecast, and what earlier origins said",
                 fontsize="medium")  # fmt: skip
    ax.legend(fontsize="small", frameon=False)
    return ax


def _way_ahead(choice: Choice) -> pd.DataFrame:
    """Return scales from the largest run to the horizon beyond it, all growing in proportion.

    Of a law of one scale, as far as predictions were asked.
    """
    last = int(np.lexsort((choice.loss, -choice.size))[0])
    reach = 1.5 * choice.combination.horizon
    if choice.asked is not None and list(choice.scales) == [choice.along]:
        reach = max(reach, float(choice.asked[choice.along].max() / choice.size.max()))
    grow = np.geomspace(1.0, reach, POINTS)
    names = list(choice.scales)
    power = 1.0 if choice.along in names else 1.0 / len(names)
    table = pd.DataFrame({name: choice.scales[name][last] * grow**power for name in names})
    return table if choice.along in names else table.assign(flops=choice.size[last] * grow)


def _draw_through_runs(choice: Choice, ax: Axes) -> None:
    """Draw what the combination says of the runs: a curve, or (several scales) a ring at each."""
    if list(choice.scales) == [choice.along]:
        size = np.geomspace(choice.size.min(), choice.size.max(), POINTS)
        found = choice.predict(pd.DataFrame({choice.along: size})).table
        ax.plot(size, found["predicted"], color=BLUE, lw=1.5, zorder=4)
        return
    at = pd.DataFrame(dict(choice.scales)).assign(**{choice.along: choice.size}).drop_duplicates()
    ax.plot(at[choice.along], choice.predict(at).table["predicted"], "o", mfc="none", mec=BLUE,
            mew=0.7, ms=6, zorder=3, label="combination at each run")  # fmt: skip


def _draw_origins(choice: Choice, ax: Axes) -> None:
    found = choice.combination
    past, calibration = found.past, found.calibration
    sizes = found.origins[past.origin, past.curve]
    centre = past.centre @ found.weights
    reach = calibration.multiple(0.95) * calibration.width(components(past, found.weights))
    for number in np.unique(past.origin):
        rows = np.flatnonzero(past.origin == number)
        rows = rows[np.argsort(past.distance[rows])]
        at = _sizes_of(choice, float(sizes[rows[0]]), past.distance[rows])
        colour = ORANGE
        ax.axvline(sizes[rows[0]], color=colour, lw=0.8, ls=":", zorder=0,
                   label="origins: forecasts made from here" if number == past.origin.min()
                   else None)  # fmt: skip
        if len(choice.scales) == 1:
            ax.plot(at, np.exp(centre[rows]), color=colour, lw=1, zorder=3,
                    label="earlier forecasts, 95%" if number == past.origin.min() else None,
                    )  # fmt: skip
            ax.fill_between(at, np.exp((centre - reach)[rows]), np.exp((centre + reach)[rows]),
                            color=colour, alpha=0.12, lw=0)  # fmt: skip
        elif number == past.origin.min():
            ax.errorbar(at, np.exp(centre[rows]), _bars(centre[rows], reach[rows]), fmt="none",
                        ecolor=colour, elinewidth=0.8, alpha=0.6,
                        label="forecast from the last origin, 95%")  # fmt: skip


def _draw_asked(choice: Choice, ax: Axes) -> None:
    if choice.asked is None:
        return
    table = choice.asked
    bars = [table["predicted"] - table["obs_lower"], table["obs_upper"] - table["predicted"]]
    ax.errorbar(size_of(table, choice.along), table["predicted"], np.stack(bars), fmt="D", ms=4,
                color=BLUE, elinewidth=1, capsize=2, zorder=5,
                label=f"asked, one run, {percent(choice.confidence_level)}")  # fmt: skip


def _bars(centre: np.ndarray, reach: np.ndarray) -> np.ndarray:
    middle = np.exp(centre)
    return np.stack([middle - np.exp(centre - reach), np.exp(centre + reach) - middle])


def _sizes_of(choice: Choice, origin: float, distance: np.ndarray) -> np.ndarray:
    seen = choice.size[choice.size <= origin * (1 + 1e-9)].max()
    return np.asarray(seen * np.exp(distance))


def plot_calibration(found: Sequence[Combination], ax: Axes | None = None) -> Axes:
    """Draw the share of roll-out errors inside their intervals against the interval's level.

    The intervals of each origin are calibrated on the other origins only. Raises InputError where
    there is one origin only.
    """
    if not any(len(np.unique(one.past.origin)) > 1 for one in found):
        raise InputError(
            "There are roll-outs from one origin only: nothing is left to calibrate them on. More "
            "small runs, or a smaller horizon, give more origins."
        )
    ax = new_axes(ax, width=4.8, height=4.6)
    level = np.array(LEVELS)
    inside = coverage_across_origins(found)
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="as claimed")
    ax.plot(level, inside, "o-", color=BLUE, ms=4, label="intervals of one run")
    error = float(np.mean((inside - level) ** 2))
    blocks = sum(one.calibration.blocks for one in found)
    ax.set(xlabel="level of the interval", ylabel="share of held-out rows inside",
           xlim=(0.4, 1.01), ylim=(0.4, 1.01), aspect="equal")  # fmt: skip
    from scalekit.fitters.combined import count_of

    ax.set_title(f"{count_of(blocks)}, each origin judged by the others\n"
                 f"mean squared calibration error {error:.4f}", fontsize="medium")  # fmt: skip
    ax.legend(fontsize="small", frameon=False)
    return ax


def coverage_across_origins(found: Sequence[Combination]) -> np.ndarray:
    """Return the share of rows inside at each of `LEVELS`, every origin judged by the others.

    NaN where no study has two origins.
    """
    from scalekit.fitters.predictive import calibrate, coverage
    from scalekit.fitters.stacking import stack

    total, count = np.zeros(len(LEVELS)), 0
    for one in found:
        for number in np.unique(one.past.origin):
            here, others = one.past.origin == number, one.past.origin != number
            if not others.any():
                continue
            rest, part = one.past.rows(others), one.past.rows(here)
            weights = stack(rest)
            calibration = calibrate(rest, weights)
            width = calibration.width(components(part, weights))
            blocks = len(np.unique(part.block))
            scores = (part.errors @ weights) / width
            total += blocks * coverage(scores, calibration, part.block_weights)
            count += blocks
    return total / count if count else np.full(len(LEVELS), np.nan)


def plot_roll_out(found: RollOut, ax: Axes | None = None) -> Axes:
    """Draw the root mean squared error of the best candidates against the distance forecast."""
    ax = new_axes(ax)
    table = found.by_distance()
    for name in found.scores["candidate"].head(MOST_CANDIDATES):
        part = table[table["candidate"] == name]
        ax.plot(part["factor"], 100 * part["error"], "o-", ms=3, lw=1.2, label=name)
    ax.set(xscale="log", yscale="log",
           xlabel=f"times larger in {axis_label(found.along)} than the largest run fitted",
           ylabel="error of the forecast, % of the loss")  # fmt: skip
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.6)  # room for the legend
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    left = len(found.scores) - MOST_CANDIDATES
    more = f", the best {MOST_CANDIDATES} of {len(found.scores)}" if left > 0 else ""
    ax.set_title(f"{found.provenance.source}: roll-outs{more}", fontsize="medium")
    ax.legend(fontsize="small", frameon=False, loc="upper left")
    return ax
