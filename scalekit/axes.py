"""What all plots share: axes in, axes out, log axes that people can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

AXIS_LABELS = {
    "params": "parameters",
    "tokens": "tokens",
    "samples": "samples",
    "unique_tokens": "unique tokens",
    "flops": "training FLOPs",
    "step": "step",
    "loss": "loss",
}
BLUE, ORANGE, GREY = "#2a5fa8", "#d9772b", "#8a8a8a"


def new_axes(ax: Axes | None, width: float = 6.4, height: float = 4.2) -> Axes:
    """Return `ax`, or the axes of a new figure where it is None."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def axis_label(name: str) -> str:
    """Return the words for a scale on an axis."""
    return AXIS_LABELS.get(name, name)


def plain_ticks(axis: Axis) -> None:
    """Label a log axis of a narrow range with plain numbers: 2.5, not 2.5 x 10^0."""
    from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter

    low, high = axis.get_view_interval()
    if not low < high < 20 * low:
        return
    if high > 1.6 * low:
        axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)))
    else:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(LogLocator(subs=()))
