"""Looking at scores: their distribution, and examples from the easiest to the hardest."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.axes import BLUE, GREY, new_axes
from scalekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.scores.table import ScoreTable

ROWS = (("lowest", 0.0), ("middle", 0.5), ("highest", 1.0))


def plot_distribution(table: ScoreTable, by: str, ax: Axes | None = None) -> Axes:
    """Draw the share of examples below each value of score `by`, with its quartiles."""
    values = np.sort(table.frame[by].to_numpy(dtype=float))
    axes = new_axes(ax)
    axes.plot(values, np.linspace(0, 1, len(values)), color=BLUE)
    for share in (0.25, 0.5, 0.75):
        at = float(np.quantile(values, share, method="nearest"))  # no mean of infinite values
        axes.axvline(at, color=GREY, lw=0.8, ls=":")
    meaning = table.direction(by)
    axes.set(xlabel=f"{by} (large: {meaning})", ylabel="share of examples below", ylim=(0, 1))
    beyond = int(np.isinf(values).sum())
    told = f"; {beyond:,} infinite ones lie beyond" if beyond else ""
    axes.set_title(f"{len(table):,} examples; quartiles dotted{told}", fontsize="medium")
    return axes


def ranked_rows(table: ScoreTable, by: str, n: int) -> list[np.ndarray]:
    """Return the rows of the n lowest, n middle and n highest examples by score `by`."""
    values = table.frame[by].to_numpy(dtype=float)
    order = np.argsort(values, kind="stable")
    n = min(n, len(order))
    starts = [int(share * (len(order) - n)) for _, share in ROWS]
    return [order[start : start + n] for start in starts]


def plot_gallery(
    table: ScoreTable, examples: Sequence[Any], by: str, n: int = 6, ax: Axes | None = None
) -> Axes:
    """Draw the n lowest, n middle and n highest examples by score `by`, labels and values below.

    `examples[i]` belongs to row i of the table: images [H, W], [H, W, 3] or [C, H, W], or texts.
    """
    if len(examples) != len(table):
        raise InputError(
            f"There are {len(examples)} examples for {len(table)} scores. Give one a row, in the "
            "table's order (examples that were skipped are left out of it)."
        )
    if n < 1:
        raise InputError(f"n must be at least 1; got {n}.")
    table.direction(by)
    rows = ranked_rows(table, by, n)
    is_text = isinstance(examples[int(rows[0][0])], str)
    n = len(rows[0])
    axes = new_axes(ax, 2.4 * n if is_text else 1.25 * n + 0.9, 3.2 if is_text else 4.6)
    for line, (name, _) in enumerate(ROWS):
        axes.text(-0.08, 2.5 - line, name, ha="right", va="center", fontsize="medium")
        for column, row in enumerate(rows[line]):
            draw_example(axes, examples[int(row)], column, 2 - line)
            label = f"{table.frame['label'].iloc[row]}  " if "label" in table.frame else ""
            axes.text(column + 0.5, 2 - line + 0.06, f"{label}({table.frame[by].iloc[row]:.3g})",
                      ha="center", va="bottom", fontsize="x-small", color="#444444")  # fmt: skip
    axes.set(xlim=(-0.02, n), ylim=(0, 3), xticks=[], yticks=[])
    axes.set_aspect("auto" if is_text else "equal")
    axes.set_frame_on(False)
    axes.set_title(f"{by}: large is {table.direction(by)}; label and (score) below each",
                   fontsize="medium")  # fmt: skip
    return axes


def draw_example(axes: Axes, example: Any, left: float, bottom: float) -> None:
    """Draw one example into the unit square at (left, bottom)."""
    if isinstance(example, str):
        text = textwrap.fill(textwrap.shorten(example, 110, placeholder=" ..."), 24)
        axes.text(left + 0.04, bottom + 0.92, text, va="top", fontsize="x-small", wrap=True)
        return
    image = np.asarray(example, dtype=float)
    if image.ndim == 3 and image.shape[0] in (1, 3):
        image = image.transpose(1, 2, 0)
    image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    low, high = image.min(), image.max()
    image = (image - low) / (high - low) if high > low else image * 0
    extent = (left + 0.08, left + 0.92, bottom + 0.18, bottom + 0.98)
    axes.imshow(image, extent=extent, cmap="gray" if image.ndim == 2 else None, aspect="auto")
