"""Plots of fits, predictions and profiles: axes in, axes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalekit.axes import BLUE, GREY, ORANGE, axis_label, new_axes, plain_ticks
from scalekit.fitters.prediction import shown
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.fitters.fitted import Fit
    from scalekit.fitters.prediction import Prediction
    from scalekit.fitters.profiles import Profile

POINTS = 120
MOST_POINTS_DRAWN = 20_000
ISOLINES = 6


def plot_fit(fit: Fit, ax: Axes | None = None) -> Axes:
    """Draw the runs and the law: a curve over one scale, lines of equal params over FLOPs for two.

    Laws of other scales are drawn as fitted against observed loss.
    """
    ax = new_axes(ax)
    if len(fit.law.scales) == 1:
        _draw_curve(fit, ax)
    elif set(fit.law.scales) == {"params", "tokens"}:
        _draw_isolines(fit, ax)
    else:
        _draw_observed(fit, ax)
    title = f"{fit.law.name}: {len(fit.loss)} runs of {fit.provenance.source}"
    ax.set_title(title, fontsize="medium")
    return ax


def _shown_rows(fit: Fit) -> slice:
    return slice(None, None, -(-len(fit.loss) // MOST_POINTS_DRAWN))


def _log_axes(ax: Axes, xlabel: str, positive: bool) -> None:
    ax.set(xscale="log", xlabel=xlabel, ylabel="loss")
    if positive:
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
    plain_ticks(ax.xaxis)


def _draw_curve(fit: Fit, ax: Axes) -> None:
    (name,) = fit.law.scales
    scale = fit.scales[name]
    asked = np.array([]) if fit.asked is None else fit.asked[name].to_numpy()
    ends = np.concatenate([scale, asked])
    grid = np.geomspace(ends.min() / 1.2, max(ends.max() * 1.2, scale.max() * 3), POINTS)
    table = fit.predict(pd.DataFrame({name: grid})).table
    level = percent(fit.confidence_level)
    if len(fit.draws):
        ax.fill_between(
            grid, table["obs_lower"], table["obs_upper"], color=BLUE, alpha=0.12, lw=0,
            label=f"one run, {level}",
        )  # fmt: skip
        ax.fill_between(
            grid, table["ci_lower"], table["ci_upper"], color=BLUE, alpha=0.3, lw=0,
            label=f"mean, {level}",
        )  # fmt: skip
    ax.plot(grid, table["predicted"], color=BLUE, lw=1.5, label="fitted law")
    rows = _shown_rows(fit)
    ax.plot(scale[rows], fit.loss[rows], ".", color="black", ms=5, label="runs")
    ax.axvspan(scale.max(), grid[-1], color=GREY, alpha=0.08, lw=0, zorder=0)
    if fit.asked is not None:
        _draw_asked(ax, asked, fit.asked)
    if fit.law.irreducible and 0 < fit.params[fit.law.irreducible] > 0.5 * table["predicted"].min():
        ax.axhline(fit.params[fit.law.irreducible], color=GREY, lw=1, ls=":", label="irreducible")
    _log_axes(ax, axis_label(name), bool((fit.loss > 0).all()))
    ax.legend(fontsize="small", frameon=False)


def _draw_isolines(fit: Fit, ax: Axes) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    params, tokens = fit.scales["params"], fit.scales["tokens"]
    asked = fit.asked
    top = params.max() if asked is None else max(params.max(), asked["params"].max())
    norm, colours = LogNorm(params.min(), top), colormaps["viridis"]
    levels = np.unique(
        np.quantile(np.unique(params), np.linspace(0, 1, ISOLINES), method="nearest")
    )
    for level in levels:
        near = np.abs(np.log(params / level)) < 0.35
        grid = np.geomspace(tokens[near].min() / 1.5, tokens[near].max() * 1.5, POINTS)
        loss = fit.law.predict(fit.values, params=level, tokens=grid)
        ax.plot(6 * level * grid, loss, color=colours(norm(level)), lw=1.3)
    _draw_optimum(fit, ax, top)
    rows = _shown_rows(fit)
    ax.scatter(
        (6 * params * tokens)[rows], fit.loss[rows], c=params[rows], norm=norm, cmap=colours, s=14,
        linewidths=0, alpha=0.85,
    )  # fmt: skip
    ax.figure.colorbar(ScalarMappable(norm, colours), ax=ax, label=axis_label("params"))
    if asked is not None:
        _draw_asked(ax, (6 * asked["params"] * asked["tokens"]).to_numpy(), asked)
    ax.legend(fontsize="small", frameon=False)
    _log_axes(ax, f"{axis_label('flops')} (6ND)", bool((fit.loss > 0).all()))


def _draw_optimum(fit: Fit, ax: Axes, top: float) -> None:
    """Draw the lowest loss that the law gives at each compute, over all splits of it."""
    flops = 6 * fit.scales["params"] * fit.scales["tokens"]
    end = flops.max()
    if fit.asked is not None:
        end = max(end, (6 * fit.asked["params"] * fit.asked["tokens"]).max())
    grid = np.geomspace(flops.min(), end, POINTS)
    sizes = np.geomspace(fit.scales["params"].min() / 100, top * 100, 400)
    tokens = grid[:, None] / (6 * sizes)
    loss = fit.law.predict(fit.values, params=sizes, tokens=tokens).min(axis=1)
    ax.plot(grid, loss, color=GREY, ls="--", lw=1, label="best split of the compute")


def _draw_asked(ax: Axes, where: np.ndarray, asked: pd.DataFrame) -> None:
    spread = None
    if np.isfinite(asked["obs_lower"]).all():
        spread = [asked["predicted"] - asked["obs_lower"], asked["obs_upper"] - asked["predicted"]]
    ax.errorbar(
        where, asked["predicted"], spread, fmt="*", color=ORANGE, ms=11, capsize=3,
        label="forecast (one run)",
    )  # fmt: skip


def _draw_observed(fit: Fit, ax: Axes) -> None:
    fitted = fit.law.model.value(fit.theta[None], fit.scales)[0]
    rows = _shown_rows(fit)
    ax.plot(fit.loss[rows], fitted[rows], ".", color=BLUE, ms=5)
    ends = [min(fit.loss.min(), fitted.min()), max(fit.loss.max(), fitted.max())]
    ax.plot(ends, ends, color=GREY, lw=1)
    ax.set(xlabel="observed loss", ylabel="fitted loss")


def plot_prediction(prediction: Prediction, ax: Axes | None = None) -> Axes:
    """Draw each asked prediction with both intervals, one row each."""
    table = prediction.table
    ax = new_axes(ax, height=1.2 + 0.45 * len(table))
    scales = list(table.columns[: list(table.columns).index("predicted")])
    places = np.arange(len(table))[::-1]
    level = percent(prediction.confidence_level)
    for columns, width, words in (
        (("obs_lower", "obs_upper"), 2, f"one run, {level}"),
        (("ci_lower", "ci_upper"), 6, f"mean, {level}"),
    ):
        ax.hlines(
            places, table[columns[0]], table[columns[1]], color=BLUE, lw=width, alpha=0.5,
            label=words,
        )  # fmt: skip
    ax.plot(table["predicted"], places, "o", color="black", ms=4, label="predicted")
    names = [
        ", ".join(f"{scale} {shown(row[scale], scale)}" for scale in scales)
        for row in table.to_dict("records")
    ]
    ax.set_yticks(places, names)
    ax.set(xlabel="loss", ylim=(-0.7, len(table) - 0.3))
    ax.legend(fontsize="small", frameon=False, loc="best")
    return ax


def plot_profile(profile: Profile, ax: Axes | None = None) -> Axes:
    """Draw the objective over the parameter, the threshold, the interval and the estimate."""
    ax = new_axes(ax)
    value, objective = profile.table["value"].to_numpy(), profile.table["objective"].to_numpy()
    ax.plot(value, objective, color=BLUE)
    ax.axhline(profile.threshold, color=GREY, ls="--", lw=1,
               label=f"{percent(profile.interval.confidence_level)} threshold")  # fmt: skip
    ax.axvline(profile.estimate, color="black", lw=1, label="estimate")
    low, high = max(profile.interval.lower, value.min()), min(profile.interval.upper, value.max())
    ax.axvspan(low, high, color=BLUE, alpha=0.1, lw=0, label="interval")
    rise = profile.threshold - objective.min()
    ax.set_ylim(objective.min() - 0.2 * rise, profile.threshold + 2 * rise)
    if value.min() > 0 and value.max() > 30 * value.min():
        ax.set_xscale("log")
    ax.set(xlabel=profile.name, ylabel="objective")
    ax.legend(fontsize="small", frameon=False)
    return ax
