"""Plots of distances, mixtures and projections: axes in, axes out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scalekit.results import Interval
from scalekit.selectors.simplex import MixtureLike, as_mixtures, describe_mixture
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.mixtures.projection import Projection
    from scalekit.selectors.transport.survey import MixtureSurvey

TITLE_WIDTH = 70  # characters that fit a line above the axes
BLUE, ORANGE, GREY = "#2f6fb0", "#d1701f", "#8a8a8a"


def _axes(ax: Axes | None, size: tuple[float, float] = (6.4, 4.2)) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def draw_interval(
    value: float, interval: Interval, label: str, unit: str, ax: Axes | None = None
) -> Axes:
    """Draw one value with its interval on a horizontal axis that starts at zero."""
    ax = _axes(ax, (6.4, 1.8))
    ax.errorbar(
        [value], [label], xerr=[[value - interval.lower], [interval.upper - value]],
        fmt="o", color=BLUE, capsize=4,
    )  # fmt: skip
    ax.set_xlim(0, max(interval.upper, value) * 1.15 or 1.0)
    ax.set_xlabel(f"{unit}, {percent(interval.confidence_level)} interval")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def draw_shares(
    mixture: Mapping[str, float],
    title: str,
    ax: Axes | None = None,
    intervals: Mapping[str, Interval] | None = None,
) -> Axes:
    """Draw the shares of a mixture as bars, with intervals where there are any."""
    ax = _axes(ax, (6.4, 0.9 + 0.45 * len(mixture)))
    names, shares = list(mixture), 100 * np.array(list(mixture.values()))
    ax.barh(names, shares, color=BLUE, height=0.6)
    if intervals:
        for name in names:
            ends = (100 * intervals[name].lower, 100 * intervals[name].upper)
            ax.plot(ends, [name, name], color=ORANGE, linewidth=2.5, solid_capstyle="butt")
        ax.plot([], [], color=ORANGE, linewidth=2.5, label="where the best mixture may lie")
        ax.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), fontsize="small")
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel("share of the mixture (%)")
    ax.set_title(title, loc="left", fontsize="medium", pad=22 if intervals else 6)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def draw_survey(survey: MixtureSurvey, ax: Axes | None = None) -> Axes:
    """Draw the transport cost over the simplex: a line, a triangle, or bounds in order."""
    if len(survey.sources) == 2:
        return _draw_line(survey, _axes(ax))
    if len(survey.sources) == 3:
        return _draw_triangle(survey, _axes(ax, (6.4, 5.2)))
    ax = _axes(ax)
    order = survey.estimate.argsort()
    ax.fill_between(
        np.arange(len(order)), survey.lower[order], survey.upper[order], color=BLUE, alpha=0.35,
        label="certified bounds",
    )  # fmt: skip
    ax.set_xlabel("mixtures, nearest first")
    ax.set_ylabel(f"transport cost ({survey.cost})")
    ax.legend(frameon=False)
    return ax


def _draw_line(survey: MixtureSurvey, ax: Axes) -> Axes:
    order = survey.mixtures[:, 0].argsort()
    share = 100 * survey.mixtures[order, 0]
    ax.fill_between(
        share, survey.lower[order], survey.upper[order], color=BLUE, alpha=0.35,
        label="certified bounds",
    )  # fmt: skip
    ax.plot(share, survey.estimate[order], color=BLUE, label="middle of the bounds")
    for place, anchor in enumerate(survey.anchors):
        ax.axvline(
            100 * anchor[0], color=GREY, linewidth=0.6, label=None if place else "solved exactly"
        )
    ax.set_xlabel(f"share of {survey.sources[0]} (%), the rest {survey.sources[1]}")
    ax.set_ylabel(f"transport cost ({survey.cost})")
    ax.legend(frameon=False)
    return ax


def _corners(mixtures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return mixtures[:, 1] + mixtures[:, 2] / 2, mixtures[:, 2] * np.sqrt(3) / 2


def _draw_triangle(survey: MixtureSurvey, ax: Axes) -> Axes:
    x, y = _corners(survey.mixtures)
    drawn = ax.tricontourf(x, y, survey.estimate, levels=14, cmap="viridis_r")
    gap = 100 * (survey.upper - survey.lower) / np.maximum(survey.estimate, 1e-300)
    ax.scatter(x, y, s=4 + 14 * gap, facecolor="none", edgecolor="white", linewidth=0.7)
    ax.scatter(*_corners(survey.anchors), marker="x", color="black", s=26, linewidth=1.2)
    near = survey.estimate.argmin()
    ax.scatter(x[near], y[near], marker="*", s=170, color=ORANGE, edgecolor="black", zorder=3)
    for name, (cx, cy), align in zip(
        survey.sources, ((0, 0), (1, 0), (0.5, np.sqrt(3) / 2)), ("top", "top", "bottom"),
        strict=True,
    ):  # fmt: skip
        ax.annotate(
            name, (cx, cy), ha="center", va=align, xytext=(0, 5 if align == "bottom" else -5),
            textcoords="offset points",
        )  # fmt: skip
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_title(
        "star: nearest; crosses: solved; rings: width of the certified bounds\n"
        f"(on average {survey.relative_gap:.1%})",
        fontsize="small",
        pad=24,
    )
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.75)
    bar.set_label(f"transport cost ({survey.cost})")
    return ax


def draw_predicted(projection: Projection, ax: Axes | None = None) -> Axes:
    """Draw the pilots' metric against its prediction, one colour a size, with intervals."""
    ax = _axes(ax, (5.6, 5.0))
    frame, metric = projection.to_frame(), projection.pilots.metric.name
    sizes = projection.pilots.sizes
    import matplotlib as mpl

    colours = mpl.colormaps["viridis"](np.linspace(0.15, 0.8, len(sizes)))
    for size, colour in zip(sizes, colours, strict=True):
        part = frame[frame["samples"] == size]
        below, above = part.predicted - part.obs_lower, part.obs_upper - part.predicted
        ax.errorbar(
            part.predicted, part.observed, xerr=[below.clip(0), above.clip(0)], fmt="o",
            color=colour, markersize=4, elinewidth=0.5, alpha=0.8, label=f"{size:g} samples",
        )  # fmt: skip
    ends = [
        frame[["predicted", "observed"]].min().min(),
        frame[["predicted", "observed"]].max().max(),
    ]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle="--")
    ax.set_xlabel(f"predicted {metric}, {percent(projection.confidence_level)} for one run")
    ax.set_ylabel(f"observed {metric}")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def draw_sizes(
    projection: Projection,
    mixture: MixtureLike,
    samples: Sequence[float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one mixture's projection over sizes: both intervals, pilots of that mixture if any."""
    ax = _axes(ax)
    (point,) = as_mixtures(mixture, projection.sources)
    sizes = projection.pilots.sizes
    grid = np.geomspace(sizes[0], 10 * sizes[-1], 60) if samples is None else np.sort(samples)
    frame, level = (
        projection.predict(point, list(map(float, grid))),
        f"{percent(projection.confidence_level)}",
    )
    ax.fill_between(
        frame["samples"], frame.obs_lower, frame.obs_upper, color=BLUE, alpha=0.15, linewidth=0,
        label=f"one run, {level}",
    )  # fmt: skip
    ax.fill_between(
        frame["samples"], frame.ci_lower, frame.ci_upper, color=BLUE, alpha=0.35, linewidth=0,
        label=f"mean, {level}",
    )  # fmt: skip
    ax.plot(frame["samples"], frame.predicted, color=BLUE)
    pilots = projection.pilots
    here = np.abs(pilots.mixtures[pilots.which] - point).max(axis=1) < 1e-8
    if here.any():
        observed = pilots.metric.from_error(pilots.error[here])
        ax.plot(pilots.samples[here], observed, "o", color=ORANGE, label="pilots of this mixture")
    ax.axvspan(sizes[0], sizes[-1], color=GREY, alpha=0.12, linewidth=0, label="pilot sizes")
    ax.set_xscale("log")
    ax.set_xlabel("training samples")
    ax.set_ylabel(pilots.metric.name)
    title = textwrap.fill(describe_mixture(point, projection.sources), TITLE_WIDTH)
    ax.set_title(title, loc="left", fontsize="medium")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
