"""Rows that one curve is laid through although a column tells them apart: said, not guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Any

import numpy as np
import pandas as pd

from scalekit.columns import ROLES
from scalekit.notes import Note
from scalekit.tables import RunTable
from scalekit.units import format_quantity

MOST_VALUES = 20  # a column of text with more names runs, or is prose
SIZES = ("params", "tokens", "samples")
UNEXPLAINED = 0.25  # of a scale's logarithm, beyond what the law's scales say of it
# words in the name of a column that tells runs apart, not recipes
_OF_RUNS = re.compile(r"(^|.*[^a-z])(run|runs|id|ids|uuid|seed|job|trial)($|[^a-z].*)|name", re.I)


def pooling_notes(frame: pd.DataFrame, runs: Any = None) -> Iterator[Note]:
    """Yield a warning where `frame`, to be fitted as one, holds the runs of several recipes.

    Recipes are told apart by the column `group`, or by a column of text with 2 to 20 values under
    which sizes vary: values with one size each, or one run each, are names of sizes and runs.
    `runs` is what the frame comes from; a table read by `read_runs` knows the names of the source.
    """
    found = pooled_columns(frame)
    if not found:
        return
    names = [runs.source_name(name) if isinstance(runs, RunTable) else str(name) for name in found]
    values = sorted(frame[found[0]].dropna().astype(str).unique())
    listed = ", ".join(values[:5]) + (", ..." if len(values) > 5 else "")
    also = f" (so do {', '.join(names[1:4])})" if names[1:] else ""
    yield Note(
        "recipes_pooled",
        "warning",
        f"Column '{names[0]}' has {len(values)} values ({listed}){also}: their runs are fitted "
        f"together, as one recipe. Fit one, with --where {quote(f'{names[0]}={values[0]}')} (in "
        f"Python read_runs(...).where('{names[0]}={values[0]}')), or compare them: scalekit "
        f"compare --by {quote(names[0])} (in Python compare(runs, by='{names[0]}')).",
    )


def left_out_notes(frame: pd.DataFrame, scales: Sequence[str]) -> Iterator[Note]:
    """Yield a warning for each scale that varies among `frame` on its own, but is not in the law.

    A scale that goes with those of the law (tokens at a fixed ratio to params) is no such; with
    flops in the law, tokens follow from params.
    """
    known = np.stack([np.ones(len(frame)), *(np.log(frame[name]) for name in scales)], axis=1)
    for name in SIZES[:1] if "flops" in scales else SIZES:
        if name in scales or name not in frame or not (frame[name] > 0).all():
            continue
        size = np.log(frame[name].to_numpy(float))
        left = size - known @ np.linalg.lstsq(known, size, rcond=None)[0]
        if np.sqrt(np.mean(left**2)) > UNEXPLAINED:
            low, high = frame[name].min(), frame[name].max()
            yield Note(
                "scale_left_out",
                "warning",
                f"{name} goes from {format_quantity(low)} to {format_quantity(high)} on its own, "
                f"but the law knows {' and '.join(scales)} only: what {name} does to the loss is "
                f"scatter to it. Take a law of both (see `scalekit laws`), or runs of one {name} "
                "(--where).",
            )


def pooled_columns(frame: pd.DataFrame) -> list[Any]:
    """Return the columns that tell recipes (metrics, data sets) apart among these runs."""
    others = [name for name in frame if name not in ROLES and _is_text(frame[name])]
    return [name for name in ["group", *others] if name in frame and _tells_recipes(frame, name)]


def _is_text(column: pd.Series) -> bool:
    kind = pd.api.types
    return bool(
        kind.is_string_dtype(column)
        or isinstance(column.dtype, pd.CategoricalDtype)
        or kind.is_object_dtype(column)
    )


def _tells_recipes(frame: pd.DataFrame, name: Any) -> bool:
    """Tell whether the values of a column are recipes, not names of runs or of sizes."""
    if name != "group" and _OF_RUNS.fullmatch(str(name)):
        return False
    present = frame[name].notna()
    labels = frame.loc[present, name].astype(str)
    count = labels.nunique()
    if count < 2 or (name != "group" and count > MOST_VALUES):
        return False
    runs = frame["run"].nunique() if "run" in frame else len(labels)
    if runs < 2 * count:
        return False
    varying = [size for size in SIZES if size in frame and frame[size].min() < frame[size].max()]
    if not varying:
        return True
    sizes = frame.loc[present, varying].groupby(labels.to_numpy()).nunique()
    several = int((sizes > 1).all(axis=1).sum())
    return several >= (1 if name == "group" else 2)
