"""What a study reads from a table: the scale along which origins lie, and the rows' weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.moderation import SEED_DF, noise_precision
from scalekit.notes import Note
from scalekit.rows import IN_MEMORY
from scalekit.tables import RunTable

SIZES = ("flops", "tokens", "samples", "params", "step")  # in this order, what a run table is along
RISING = 0.5  # rank correlation of loss with size from which it is said to rise


def frame_of(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
) -> tuple[pd.DataFrame, str, tuple[Note, ...]]:
    """Return the rows, what to call the table, and its notes."""
    if isinstance(runs, RunTable):
        return runs.frame, runs.provenance.source, runs.notes
    return pd.DataFrame(runs), IN_MEMORY, ()


def with_names(frame: pd.DataFrame, runs: object, names: Sequence[str | None]) -> pd.DataFrame:
    """Return the rows with the columns `names` as the file calls them, where roles renamed them."""
    readings = runs.readings if isinstance(runs, RunTable) else ()
    roles = {r.column: r.role for r in readings if r.column in names and r.column not in frame}
    return frame.assign(**{str(name): frame[role] for name, role in roles.items() if role in frame})


def choose_along(runs: RunTable | pd.DataFrame | Mapping[str, Any], along: str | None) -> str:
    """Return the scale along which origins are set: the one given, else the first there is."""
    frame, source, _ = frame_of(runs)
    have = set(map(str, frame)) | ({"flops"} if {"params", "tokens"} <= set(frame) else set())
    if along is not None:
        readings = runs.readings if isinstance(runs, RunTable) else ()
        if along not in have:
            along = next((r.role for r in readings if r.column == along), along)
        if along == "loss":
            raise InputError("along='loss' is what is forecast; say which scale grows.")
        if along not in have:
            raise ColumnNotFoundError(
                f"along='{along}' is no column. {did_you_mean(along, map(str, frame))}"
            )
        return along
    found = next((name for name in SIZES if name in have), None)
    if found is None:
        raise ColumnNotFoundError(
            f"{source} has no scale ({', '.join(SIZES)}). Say which column is one with --along "
            "COLUMN (in Python along='COLUMN')."
        )
    return found


def check_along(along: str, scales: Sequence[str]) -> None:
    """Raise InputError where a forecast could not tell how far along `along` it lies."""
    if along in scales or (along == "flops" and {"params", "tokens"} <= set(scales)):
        return
    flops = " or flops" if {"params", "tokens"} <= set(scales) else ""
    raise InputError(
        f"along='{along}' is no scale of the laws ({', '.join(scales)}), so a forecast could not "
        f"say how far it reaches. Give --along (along=) one of these{flops}."
    )


def check_weights(frame: pd.DataFrame, column: str, source: str) -> pd.DataFrame:
    """Return the rows with the weights as numbers.

    Raises ColumnNotFoundError where there is no such column, InputError where an entry is no
    number, is negative or missing, or all are zero.
    """
    if column not in frame:
        raise ColumnNotFoundError(
            f"weights='{column}' is no column of {source}. {did_you_mean(column, map(str, frame))}"
        )
    if column in ("weight", "noise"):  # bad rows are left out, and told, with the others
        return frame
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(float)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong) or not (values > 0).any():
        found = "".join(f"; row {frame.index[k]} has {frame[column].iloc[k]}" for k in wrong[:1])
        raise InputError(
            f"{source}: weights in column '{column}' must be numbers, none negative, not all "
            f"zero{found}."
        )
    return frame.assign(**{column: values})


def check_names(frame: pd.DataFrame, by: Sequence[str], along: str, source: str) -> None:
    """Raise where the columns `by` cannot name curves: missing, the scale itself, or not filled."""
    for name in by:
        if name not in frame:
            raise ColumnNotFoundError(
                f"{source} has no column '{name}'. {did_you_mean(name, map(str, frame))}"
            )
        if name in (along, "loss"):
            raise InputError(
                f"by='{name}' is what a curve is made of. Name what tells curves apart, as 'task'."
            )
        empty = np.flatnonzero(frame[name].isna())
        if len(empty):
            raise InputError(
                f"{source}: {len(empty)} rows have no {name}, the first is row "
                f"{frame.index[empty[0]]}: whose curve are they? Fill the column, or delete them."
            )


def row_weights(part: pd.DataFrame, along: str, column: str | None, spaced: bool) -> np.ndarray:
    """Return weights with mean one: spacing in log size, times precision, times a given column."""
    weights = np.ones(len(part))
    logs = np.log(part[along].to_numpy(float))
    if spaced and len(part) > 2:
        gaps = np.gradient(logs)
        weights = np.maximum(gaps, 1e-3 * max(gaps.mean(), 1e-12))
    if column is not None:
        values = part[column].to_numpy(float)
        if column == "noise":
            df = part["noise_df"].to_numpy(float) if "noise_df" in part else SEED_DF
            values = noise_precision(values / part["loss"].to_numpy(float), df)
        weights = weights * values
    return weights / weights.mean() if weights.mean() > 0 else np.ones(len(part))


def rising_notes(frame: pd.DataFrame, along: str, by: Sequence[str]) -> Iterator[Note]:
    """Yield a warning where the loss of most curves rises with size: it may be an accuracy."""
    parts = [part for _, part in frame.groupby(list(by), observed=True)] if by else [frame]
    ranks = np.array(
        [np.corrcoef(p[along].rank(), p["loss"].rank())[0, 1] for p in parts if _varies(p, along)]
    )
    if np.sum(ranks > RISING) > 0.5 * len(parts):
        yield Note(
            "loss_rises",
            "warning",
            f"The loss rises with {along} (median rank correlation {np.median(ranks):.2f}). If "
            "it is an accuracy, forecast the error (--columns loss=1-COLUMN): most of these laws "
            "can only fall, and a forecast of an accuracy may pass 1.",
        )


def _varies(part: pd.DataFrame, along: str) -> bool:
    return len(part) > 3 and all(np.ptp(part[name].to_numpy(float)) > 0 for name in (along, "loss"))


def size_of(asked: pd.DataFrame, along: str) -> np.ndarray:
    """Return the sizes of asked rows; FLOPs follow from 6ND."""
    if along in asked:
        return asked[along].to_numpy(float)
    return 6.0 * asked["params"].to_numpy(float) * asked["tokens"].to_numpy(float)
