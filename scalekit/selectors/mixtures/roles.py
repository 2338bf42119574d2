"""Which columns of a table of pilots are shares and losses, and which scales go unread."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from shlex import quote

import numpy as np
import pandas as pd

from scalekit.columns import SCALES
from scalekit.errors import ColumnNotFoundError, did_you_mean
from scalekit.notes import Note
from scalekit.units import format_quantity

SHARE_PREFIXES = ("share_", "share:", "share/")
LOSS_PREFIXES = ("loss_", "loss:", "loss/")
NAMES_OF_SCALES = (*SCALES, "steps", "step")


def choose_columns(
    frame: pd.DataFrame,
    wanted: str | Sequence[str] | None,
    prefixes: tuple[str, ...],
    what: str,
    source: str,
) -> list[str]:
    """Return the columns that `wanted` names, or those that begin with a prefix.

    Raises ColumnNotFoundError, with the nearest name or the columns that look like shares.
    """
    columns = [str(name) for name in frame.columns]
    if wanted is None:
        found = [name for name in columns if name.lower().startswith(prefixes)]
        if not found:
            raise ColumnNotFoundError(
                f"{source} has no column that begins with '{prefixes[0]}'. Say which columns are "
                f"the {what}: {what}=[...] or a pattern (--{what}). There are: "
                f"{', '.join(columns)}.{_hint(frame) if what == 'shares' else _loss_hint(frame)}"
            )
        return found
    found = []
    for name in [wanted] if isinstance(wanted, str) else wanted:
        hits = [name] if name in columns else fnmatch.filter(columns, name)
        if not hits:
            raise ColumnNotFoundError(
                f"{source} has no column '{name}' ({what}). {did_you_mean(name, columns)}"
            )
        found += [hit for hit in hits if hit not in found]
    return found


def short_names(columns: Iterable[str], prefixes: tuple[str, ...], strip: bool) -> tuple[str, ...]:
    """Return the names without the prefix that marks the role, where all have it."""
    columns = tuple(columns)
    if strip or all(name.lower().startswith(prefixes) for name in columns):
        return tuple(name[len(prefixes[0]) :] or name for name in columns)
    return columns


def _hint(frame: pd.DataFrame) -> str:
    """Return which neighbouring columns sum to one in every row, if any do."""
    numbers = frame.select_dtypes("number")
    names, values = [str(name) for name in numbers], numbers.to_numpy(float)
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    for length in range(len(names), 1, -1):
        for start in range(len(names) - length + 1):
            total = sums[:, start + length] - sums[:, start]
            part = values[:, start : start + length]
            whole = 100 if total.mean() > 50 else 1
            if (np.abs(total / whole - 1) < 0.01).all() and (part >= 0).all():
                found = names[start : start + length]
                return (f" The columns {', '.join(found)} sum to {whole}: are they the shares? "
                        f"--shares {quote(','.join(found))}")  # fmt: skip
    return ""


def _loss_hint(frame: pd.DataFrame) -> str:
    """Return which columns are losses by their names, if any are."""
    found = [str(name) for name in frame if "loss" in re.split(r"[\W_]+", str(name).lower())]
    listed = ",".join(found)
    return f" Is it {' or '.join(found)}? --targets {quote(listed)}" if found else ""


def unread_scales(frame: pd.DataFrame, scales: Sequence[str]) -> Iterator[Note]:
    """Yield a warning for each column that looks like a scale, varies and is not named.

    One that the named scales determine (steps, where tokens are named) is not missed.
    """
    for name in frame.columns:
        plain = str(name).lower().removeprefix("n_").removeprefix("num_")
        if name in scales or plain not in NAMES_OF_SCALES or frame[name].nunique() < 2:
            continue
        if scales and frame.groupby(list(scales))[name].nunique().max() == 1:
            continue
        told = ""
        if pd.api.types.is_numeric_dtype(frame[name]):
            low, high = (format_quantity(float(end)) for end in (frame[name].min(),
                                                                 frame[name].max()))  # fmt: skip
            told = f" ({low} to {high})"
        yield Note("scale_unread", "warning",
                   f"The pilots differ in '{name}'{told}, and the law does not know: it takes the "
                   f"difference for noise. Name it: scales=['{name}'] "
                   f"(--scales {name}).")  # fmt: skip
