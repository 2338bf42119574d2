"""The theory in five pictures: hard, easy, an imperfect probe, the best side, free pruning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalekit.axes import BLUE, GREY, ORANGE, new_axes
from scalekit.errors import InputError, did_you_mean
from scalekit.selectors.pruning_theory.fields import SIDES
from scalekit.selectors.pruning_theory.perceptron_result import Perceptron, perceptron
from scalekit.selectors.pruning_theory.strategies import theory_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEPT = np.geomspace(0.3, 12, 16)
SHARES = (1.0, 0.8, 0.5, 0.3, 0.1, 0.03)
ANGLES = (0.0, 5.0, 10.0, 20.0, 40.0)  # degrees
PICTURES = ("hard", "easy", "angle", "best", "free")


def plot_theory(picture: str = "hard", ax: Axes | None = None) -> Axes:
    """Draw one of the five pictures of Sorscher et al. 2022, from theory.

    "hard", "easy": error against kept examples, a line for each share kept. "angle": the best
    share for each number kept, at several angles between probe and teacher. "best": the best side
    over examples and share. "free": error against the share kept of a fixed number of examples.

    >>> plot_theory("free").get_ylabel()
    'error'
    """
    if picture not in PICTURES:
        raise InputError(f"There is no picture '{picture}'. {did_you_mean(picture, PICTURES)}")
    ax = new_axes(ax)
    if picture in ("hard", "easy"):
        total, share = np.meshgrid(KEPT, SHARES)
        return plot_errors(perceptron(total / share, share, side=picture), ax)
    return {"angle": _plot_angles, "best": _plot_best, "free": _plot_free}[picture](ax)


def plot_errors(found: Perceptron, ax: Axes | None = None) -> Axes:
    """Draw error against kept examples a dimension, one line for each share (and side, angle)."""
    import matplotlib as mpl

    ax = new_axes(ax)
    groups = list(found.table.groupby(["side", "angle", "keep"], sort=False))
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, max(len(groups), 2)))
    sides = found.table["side"].nunique() > 1
    for colour, (_, part) in zip(colours, groups, strict=False):
        first = part.iloc[0]
        name = "all" if first["keep"] == 1 else f"{first['keep']:.0%} kept"
        name += f", {first['side']}" if sides else ""
        name += f", {np.degrees(first['angle']):.0f}°" if first["angle"] else ""
        part = part.sort_values("kept_per_dimension")
        marker = "o" if len(part) == 1 else None
        ax.plot(part["kept_per_dimension"], part["error"], color=colour, marker=marker, label=name)
    ax.set(xscale="log", yscale="log", xlabel="kept examples a dimension", ylabel="error")
    kept = "" if sides else f", {found.table['side'].iloc[0]} examples kept"
    ax.set_title(f"Perceptron theory{kept}", fontsize="medium")
    ax.legend(fontsize="small", frameon=False)
    return ax


def _plot_angles(ax: Axes) -> Axes:
    import matplotlib as mpl

    share = np.geomspace(0.03, 1, 14)
    kept = np.geomspace(1, 12, 8)
    for k, degrees in enumerate(ANGLES):
        total, wanted = np.meshgrid(kept, share)
        table = perceptron(total / wanted, wanted, np.radians(degrees)).table
        best = table.loc[table.groupby("kept_per_dimension")["error"].idxmin()]
        colour = mpl.colormaps["viridis"](k / len(ANGLES))
        ax.plot(best["kept_per_dimension"], best["keep"], marker=".", color=colour,
                label=f"probe {degrees:.0f}° off")  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="kept examples a dimension",
           ylabel="share of all examples kept, best")  # fmt: skip
    ax.set_title("An imperfect probe: prune no further than about its angle", fontsize="medium")
    ax.legend(fontsize="small", frameon=False)
    return ax


def _plot_best(ax: Axes) -> Axes:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    total, share = np.geomspace(0.5, 30, 24), np.linspace(0.05, 0.95, 16)
    table = theory_map(total, share)
    codes = table["best"].map({side: k for k, side in enumerate(SIDES)})
    colours = (BLUE, ORANGE, GREY)
    ax.pcolormesh(total, share, codes.to_numpy().reshape(len(share), -1), vmin=0, vmax=2,
                  cmap=ListedColormap(colours), shading="nearest")  # fmt: skip
    ax.set(xscale="log", xlabel="examples a dimension, before pruning", ylabel="share kept")
    ax.set_title("Which examples to keep (perfect probe)", fontsize="medium")
    shown = [Patch(color=c, label=s) for c, s in zip(colours, SIDES, strict=True)
             if s in set(table["best"])]  # fmt: skip
    ax.legend(handles=shown, fontsize="small", loc="lower left")
    return ax


def _plot_free(ax: Axes) -> Axes:
    import matplotlib as mpl

    share = np.geomspace(0.05, 1, 24)
    for k, total in enumerate((1.0, 2.0, 4.0, 8.0, 12.0)):
        error = perceptron(total, share).error
        ax.plot(share, error, color=mpl.colormaps["viridis"](k / 5), label=f"{total:g} a dimension")
    ax.set(xscale="log", yscale="log", xlabel="share kept, hardest first", ylabel="error")
    ax.set_title("With many examples, the easy half is free to drop", fontsize="medium")
    ax.legend(fontsize="small", frameon=False)
    return ax
