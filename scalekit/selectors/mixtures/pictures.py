"""Plots of mixtures: predicted against observed, the choice, the triangle, shares over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scalekit.errors import InputError
from scalekit.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.mixtures.mixture_choice import MixtureChoice
    from scalekit.selectors.mixtures.mixture_fit import MixtureFit
    from scalekit.selectors.mixtures.pilot_plan import PilotPlan
    from scalekit.selectors.mixtures.schedule import Schedule

GRID = 60  # steps along a side of the triangle


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def _colours(count: int) -> list[tuple[float, ...]]:
    """Return a colour for each source; no two of up to twenty are the same."""
    import matplotlib as mpl

    if count > 20:
        return [mpl.colormaps["turbo"](k / (count - 1)) for k in range(count)]
    return [mpl.colormaps["tab10" if count <= 10 else "tab20"](k) for k in range(count)]


def plot_predicted(fit: MixtureFit, ax: Axes | None = None) -> Axes:
    """Draw held-out predictions against observed losses, a colour for each target."""
    ax = _axes(ax, (5.6, 4.6))
    error = fit.residuals.mean(axis=0)
    for k, name in enumerate(fit.targets):
        observed = fit.pilots.losses[k]
        ax.scatter(observed - error[k], observed, s=16, alpha=0.8, lw=0, label=name,
                   color=f"C{k % 10}", marker="osD^v"[k // 10 % 5])  # fmt: skip
    low, high = np.nanmin(fit.pilots.losses), np.nanmax(fit.pilots.losses)
    ax.plot([low, high], [low, high], color="0.5", lw=1, zorder=0)
    ax.set(xlabel="predicted loss (held out)", ylabel="observed loss")
    ax.set_title(f"law '{fit.law.name}', {len(fit.pilots)} pilots", fontsize="medium")
    if len(fit.targets) > 1:
        ax.legend(fontsize="x-small", frameon=False, ncols=1 + len(fit.targets) // 10)
    return ax


def plot_choice(choice: MixtureChoice, ax: Axes | None = None) -> Axes:
    """Draw the share of each source with its interval, its cap and the unlimited optimum."""
    table = choice.table.sort_values("share", ignore_index=True)
    ax = _axes(ax, (6.4, 1.2 + 0.3 * len(table)))
    rows = np.arange(len(table))
    ax.barh(rows, table["share"], color="C0", alpha=0.6, label="share")
    ax.hlines(rows, table["ci_lower"], table["ci_upper"], color="C0", lw=2, label="interval")
    ax.plot(table["unlimited"], rows, "x", color="0.35", ms=5, label="without limits")
    capped = table["cap"].notna()
    if capped.any():
        ax.plot(table["cap"][capped], rows[capped], "|", color="C3", ms=12, mew=2, label="cap")
    if table["natural"].notna().any():
        ax.plot(table["natural"], rows, "d", color="C2", ms=4, label="share of the data")
    ax.set_yticks(rows, table["source"])
    shown = ["ci_upper", "share", "unlimited", "natural"]
    ax.set_xlim(0, min(1.02, 1.08 * float(np.nanmax(table[shown]))))
    ax.set_xlabel("share of the mixture")
    _legend_outside(ax)
    return ax


def plot_pilots(plan: PilotPlan, ax: Axes | None = None) -> Axes:
    """Draw the mixtures to run next as stacked bars, best above, with what each promises."""
    ax = _axes(ax, (6.4, 1.4 + 0.35 * len(plan.table)))
    rows = -np.arange(len(plan.table))
    begin = np.zeros(len(rows))
    for name, colour in zip(plan.sources, _colours(len(plan.sources)), strict=True):
        shares = plan.table[name].to_numpy(float)
        ax.barh(rows, shares, left=begin, label=name, alpha=0.85, color=colour)
        begin = begin + shares
    gains = [f"{gain:+.2g}" for gain in -plan.table["expected_gain"]]
    ax.set_yticks(rows, [f"{k + 1}: {gain}" for k, gain in enumerate(gains)])
    ax.set(xlim=(0, 1), xlabel="share of the mixture", ylabel="pilot: expected change of loss")
    _legend_outside(ax)
    return ax


def plot_ternary(
    fit: MixtureFit,
    choice: MixtureChoice | None = None,
    *,
    sources: Sequence[str] | None = None,
    target: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw predicted loss over the triangle of three sources, with the pilots and the choice.

    `sources` names the three where the law has more: the rest then keep the share that they have
    in `choice` (zero without one). Without a target it is the weighted mean. Losses are those at
    the scales of the choice; without one, at the largest of the pilots.
    Raises InputError for a number of sources that is not three, or an unknown target.
    """
    names = fit.sources if sources is None else tuple(sources)
    if len(names) != 3 or any(name not in fit.sources for name in names):
        raise InputError(f"A triangle shows three sources; name three of {', '.join(fit.sources)}.")
    if target is not None and target not in fit.targets:
        raise InputError(f"There is no target '{target}'. There are: {', '.join(fit.targets)}.")
    places = [fit.sources.index(name) for name in names]
    rest = np.zeros(len(fit.sources))
    if choice is not None:
        rest = np.array([choice.shares[name] for name in fit.sources])
        rest[places] = 0.0
    corners = _triangle_grid()
    shares = np.tile(rest, (len(corners), 1))
    shares[:, places] = corners * (1 - rest.sum())
    scales = fit.settle_scales({} if choice is None else choice.at)
    if target is None:
        loss = fit.value(shares, scales)[0]
    else:
        loss = fit.trained.predict(shares, scales)[0, fit.targets.index(target)]
    ax = _axes(ax, (5.6, 4.8))
    # colours for the lower nine tenths: the loss rises steeply where a source is missing
    levels = np.linspace(loss.min(), np.quantile(loss, 0.9), 15)
    drawn = ax.tricontourf(*_flat(corners), loss, levels=levels, cmap="viridis_r", extend="max")
    ax.figure.colorbar(drawn, ax=ax, label=f"predicted loss ({target or 'mean'})", shrink=0.8,
                       format="%.3g")  # fmt: skip
    if scales:
        told = ", ".join(f"{k} {format_quantity(float(v))}" for k, v in scales.items())
        ax.set_title(f"at {told}", fontsize="medium")
    pilots = fit.pilots.shares[:, places]
    near = pilots.sum(axis=1) > 0.5
    pilots = pilots[near] / pilots[near].sum(axis=1, keepdims=True)
    ax.scatter(*_flat(pilots), s=14, facecolors="white", edgecolors="black", lw=0.6, label="pilots")
    if choice is not None:
        chosen = np.array([[choice.shares[name] for name in names]])
        if chosen.sum() > 0:
            ax.scatter(*_flat(chosen / chosen.sum()), marker="*", s=160, color="C3",
                       edgecolors="white", label="choice")  # fmt: skip
    for name, (x, y), align in zip(names, ((0, -0.03), (1, -0.03), (0.5, 0.89)),
                                   ("left", "right", "center"), strict=True):  # fmt: skip
        ax.text(x, y, name, ha=align, va="top" if y < 0 else "bottom")
    ax.plot([0, 1, 0.5, 0], [0, 0, np.sqrt(0.75), 0], color="black", lw=0.8)
    ax.set(aspect="equal", xlim=(-0.05, 1.05), ylim=(-0.1, 0.97))
    ax.axis("off")
    ax.legend(fontsize="small", frameon=False, loc="upper left")
    return ax


def _triangle_grid() -> np.ndarray:
    first, second = np.meshgrid(np.arange(GRID + 1), np.arange(GRID + 1), indexing="ij")
    inside = first + second <= GRID
    pair = np.stack([first[inside], second[inside]], axis=1) / GRID
    return np.column_stack([pair, np.maximum(1 - pair.sum(axis=1), 0.0)])


def _flat(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place in the plane of points of the triangle (left, right, top)."""
    return corners[:, 1] + 0.5 * corners[:, 2], np.sqrt(0.75) * corners[:, 2]


def plot_schedule(schedule: Schedule, ax: Axes | None = None) -> Axes:
    """Draw the share of each source over training, stacked."""
    ax = _axes(ax, (6.4, 3.6))
    times = np.repeat([0.0, *[part.end for part in schedule.phases]], 2)[1:-1]
    shares = np.repeat(np.array([part.shares for part in schedule.phases]), 2, axis=0)
    ax.stackplot(times * schedule.budget, shares.T, labels=schedule.sources, alpha=0.85,
                 colors=_colours(len(schedule.sources)))  # fmt: skip
    ax.set(xlim=(0, schedule.budget), ylim=(0, 1), ylabel="share of the draws", xlabel="drawn")
    ax.xaxis.set_major_formatter(lambda value, _: format_quantity(value))
    ax.set_title(schedule.name, fontsize="medium")
    _legend_outside(ax)
    return ax


def plot_epochs(schedule: Schedule, ax: Axes | None = None) -> Axes:
    """Draw how often each source has been seen over training, on a logarithmic axis."""
    ax = _axes(ax, (6.4, 3.6))
    times = np.linspace(0, 1, 201)
    ends = np.array([0.0, *[part.end for part in schedule.phases]])
    shares = np.array([part.shares for part in schedule.phases])
    drawn = np.vstack([np.zeros(shares.shape[1]), np.cumsum(shares * np.diff(ends)[:, None], 0)])
    colours = _colours(len(schedule.sources))
    for k, name in enumerate(schedule.sources):
        seen = np.interp(times, ends, drawn[:, k]) * schedule.budget / schedule.counts[k]
        ax.plot(times[1:] * schedule.budget, seen[1:], label=name, color=colours[k])
    ax.axhline(4, color="0.6", lw=1, ls="--")
    ax.text(schedule.budget, 4, "four epochs ", color="0.4", ha="right", va="bottom",
            fontsize="small")  # fmt: skip
    ax.set(yscale="log", xlim=(0, schedule.budget), xlabel="drawn", ylabel="epochs so far")
    ax.xaxis.set_major_formatter(lambda value, _: format_quantity(value))
    ax.set_title(schedule.name, fontsize="medium")
    _legend_outside(ax)
    return ax


def _legend_outside(ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], fontsize="small", frameon=False,
              loc="center left", bbox_to_anchor=(1.0, 0.5))  # fmt: skip
