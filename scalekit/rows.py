"""Judging the rows of a run table: which cannot be used, and what makes the others doubtful."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from scalekit.columns import Locate
from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.units import format_quantity


def leave_out_bad_rows(
    frame: pd.DataFrame, scales: Sequence[str], source: str, locate: Locate
) -> tuple[pd.DataFrame, dict[str, int], list[Note]]:
    """Return the usable rows of `frame`, the count left out by reason, and the note that tells it.

    Raises InputError where no row is left.
    """
    good = np.ones(len(frame), dtype=bool)
    left_out: dict[str, int] = {}
    told = []
    for reason, bad in _faults(frame, scales):
        rows = np.flatnonzero(bad & good)
        if len(rows):
            left_out[reason] = len(rows)
            named = ", ".join(locate(int(row)) for row in rows[:3])
            told.append(f"{len(rows)} where {reason} ({named}{', ...' if len(rows) > 3 else ''})")
            good[rows] = False
    if not left_out:
        return frame, {}, []
    if not good.any():
        raise InputError(
            f"{source}: none of the {len(frame)} rows can be used: {'; '.join(told)}. "
            "Check that each role is read from the right column."
        )
    message = f"{sum(left_out.values())} of {len(frame)} rows are left out: {'; '.join(told)}."
    return frame[good], left_out, [Note("rows_left_out", "warning", message)]


def _faults(frame: pd.DataFrame, scales: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each reason to leave a row out, with the rows that it holds for."""
    for name in ("loss", *scales, *(name for name in ("weight", "noise") if name in frame)):
        values = frame[name].to_numpy()
        yield f"{name} is missing or NaN", np.isnan(values)
        yield f"{name} is infinite", np.isinf(values)
        if name == "weight":
            yield "weight is negative", values < 0
        elif name != "loss":
            yield f"{name} is not positive", values <= 0


def doubts(frame: pd.DataFrame, scales: Sequence[str]) -> Iterator[Note]:
    """Yield notes on what makes the kept rows worth less than they look."""
    hashes = np.sort(pd.util.hash_pandas_object(hashable(frame), index=False).to_numpy())
    repeated = int((hashes[1:] == hashes[:-1]).sum())
    if repeated:
        yield Note(
            "duplicate_rows",
            "warning",
            f"{repeated} of {len(frame)} rows repeat an earlier row in every column. They are kept "
            "and count again, which narrows intervals; unless they are separate runs, drop them "
            "first with frame.drop_duplicates().",
        )
    if len(frame) == 1:
        yield Note("one_row", "warning", "There is one run only; a law needs several.")
    elif scales and all(frame[name].min() == frame[name].max() for name in scales):
        held = ", ".join(f"{name} = {format_quantity(frame[name].iloc[0])}" for name in scales)
        yield Note(
            "one_scale",
            "warning",
            f"All {len(frame)} rows have the same scale ({held}); they tell the noise between "
            "runs, but not how loss depends on scale. Add runs of other sizes.",
        )
    below = int((frame["loss"] <= 0).sum())
    if below:
        yield Note(
            "loss_not_positive",
            "warning",
            f"{below} of {len(frame)} rows have a loss of zero or less; objectives on log loss "
            "cannot use them. Is this the right column? It may be a reward or a log likelihood.",
        )
    several = int((frame["run"].value_counts() > 1).sum()) if "run" in frame else 0
    if several and "step" in frame:
        yield Note(
            "several_steps",
            "warning",
            f"{several} of {frame['run'].nunique()} runs have several logged steps; all rows are "
            "kept, and rows of one run are not independent. For the last step of each run, use "
            ".final_only() or read_runs(..., last_step=True).",
        )


def hashable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` with columns of Python objects (lists, mixed types) as text."""
    objects = [name for name, dtype in frame.dtypes.items() if dtype == np.dtype(object)]
    return frame.astype(dict.fromkeys(objects, str)) if objects else frame
