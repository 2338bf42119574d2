"""Judging the rows of a run table: which cannot be used, and what makes the others doubtful."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote

import numpy as np
import pandas as pd

from scalekit.columns import Locate
from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.notes import Note
from scalekit.units import format_quantity, parse_quantity

COMPARE = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
IN_MEMORY = "the table"  # what messages call a table that comes from no file
# how trackers (wandb, MLflow, Slurm, Ray) call a run that did not get to its end
UNFINISHED = (
    "crashed", "failed", "failure", "killed", "error", "errored", "running", "pending", "scheduled",
    "preempted", "preempting", "canceled", "cancelled", "timeout", "out_of_memory", "node_fail",
    "terminated", "stopped", "interrupted", "unfinished",
)  # fmt: skip
# codes of the notes on rows that are kept: judged anew where a selection keeps fewer of them
DOUBTS = (
    "duplicate_rows", "one_row", "one_scale", "loss_not_positive", "several_steps",
    "unfinished_runs",
)  # fmt: skip
_CONDITION = re.compile(r"\s*(.+?)\s*(==|!=|<=|>=|=|<|>)\s*(.+?)\s*")


def locate_by(index: pd.Index, source: str) -> Locate:
    """Return how to name a row: by its number in the file `source`, from 1, or by its label.

    Tables keep the index they were read with, so that a row keeps its name in every selection.

    >>> locate_by(pd.RangeIndex(3), "runs.csv")(1), locate_by(pd.RangeIndex(3), IN_MEMORY)(1)
    ('data row 2', 'row 1')
    """
    if source != IN_MEMORY and pd.api.types.is_integer_dtype(index.dtype):
        return lambda position: f"data row {int(index[position]) + 1}"
    labels = index.astype(object)  # plain Python labels, which print as they were written
    return lambda position: f"row {labels[position]!r}"


def with_runs(locate: Locate, frame: pd.DataFrame) -> Locate:
    """Return `locate` with the name of the row's run behind it, where `frame` has names of runs."""
    if "run" not in frame:
        return locate
    runs = frame["run"].to_numpy()
    return lambda position: f"{locate(position)}, run {runs[position]}"


def name_some(rows: Sequence[int] | np.ndarray, locate: Locate) -> str:
    """Return the names of the first three of `rows`, and "..." where there are more."""
    named = ", ".join(locate(int(row)) for row in rows[:3])
    return f"{named}{', ...' if len(rows) > 3 else ''}"


def leave_out_bad_rows(
    frame: pd.DataFrame, scales: Sequence[str], source: str, locate: Locate
) -> tuple[np.ndarray, dict[str, int], list[Note]]:
    """Return which rows are usable, the count left out by reason, and the note that tells it.

    Raises InputError where no row is left.
    """
    good = np.ones(len(frame), dtype=bool)
    left_out: dict[str, int] = {}
    told = []
    for reason, bad in _faults(frame, scales):
        rows = np.flatnonzero(bad & good)
        if len(rows):
            left_out[reason] = len(rows)
            told.append(f"{len(rows)} where {reason} ({name_some(rows, locate)})")
            good[rows] = False
    if not left_out:
        return good, {}, []
    if not good.any():
        raise InputError(
            f"{source}: none of the {len(frame)} rows can be used: {'; '.join(told)}. "
            "Check that each role is read from the right column."
        )
    message = f"{sum(left_out.values())} of {len(frame)} rows are left out: {'; '.join(told)}."
    return good, left_out, [Note("rows_left_out", "warning", message)]


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


def doubts(frame: pd.DataFrame, scales: Sequence[str], locate: Locate) -> Iterator[Note]:
    """Yield notes on what makes the kept rows worth less than they look."""
    hashes = pd.util.hash_pandas_object(hashable(frame), index=False)
    repeated = np.flatnonzero(hashes.duplicated())
    if len(repeated):
        yield Note(
            "duplicate_rows",
            "warning",
            f"{len(repeated)} of {len(frame)} rows repeat an earlier row in every column "
            f"({name_some(repeated, locate)}). They are kept and count again, which narrows "
            "intervals; unless they are separate runs, delete them from the file, or in Python "
            "from the frame with frame.drop_duplicates().",
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
    yield from _unfinished(frame, locate)
    several = int((frame["run"].value_counts() > 1).sum()) if "run" in frame else 0
    if several and "step" in frame:
        yield Note(
            "several_steps",
            "warning",
            f"{several} of {frame['run'].nunique()} runs have several logged steps; all rows are "
            "kept, and rows of one run are not independent. For the last step of each run: "
            "--last-step where the command has it, else scalekit read FILE --last-step -o "
            "last.csv; in Python read_runs(..., last_step=True).",
        )


def _unfinished(frame: pd.DataFrame, locate: Locate) -> Iterator[Note]:
    """Yield a warning where a column such as State says that runs did not get to their end."""
    for name in frame:
        if str(name).lower().rpartition("/")[2] not in ("state", "status"):
            continue
        states = frame[name].astype(str)
        rows = np.flatnonzero(states.str.lower().isin(UNFINISHED))
        if len(rows):
            counts = states.iloc[rows].value_counts()
            listed = ", ".join(f"{count} {state}" for state, count in counts.items())
            leave_out = " ".join(f"--where {quote(f'{name}!={state}')}" for state in counts.index)
            yield Note(
                "unfinished_runs",
                "warning",
                f"{len(rows)} of {len(frame)} rows are of runs that did not finish, by column "
                f"'{name}': {listed} ({name_some(rows, locate)}). They are used: is their loss "
                f"that of the tokens beside it? Else leave them out: {leave_out} (in Python "
                "runs.where(...)).",
            )


def hashable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` with columns of Python objects (lists, mixed types) as text."""
    objects = [name for name, dtype in frame.dtypes.items() if dtype == np.dtype(object)]
    return frame.astype(dict.fromkeys(objects, str)) if objects else frame


def storable(column: pd.Series) -> np.ndarray:
    """Return a column as an array without Python objects, which `save` would have to pickle."""
    if isinstance(column.dtype, np.dtype) and column.dtype != object:
        return column.to_numpy()
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan)
    return column.astype(str).to_numpy(dtype=np.str_)


def rows_where(
    frame: pd.DataFrame, condition: str, source_names: Mapping[str, str], source: str
) -> np.ndarray:
    """Return which rows of `frame` fulfil `condition`, a text such as "tokens >= 400k".

    `source_names` maps names of the source to columns of `frame`. Numbers are compared as numbers,
    anything else as text, for which only = and != make sense.
    """
    parts = _CONDITION.fullmatch(condition)
    if parts is None:
        raise InputError(
            f"Cannot read the condition '{condition}'. Write a column, a comparison and a value, "
            "such as recipe=cosine or tokens>=400k."
        )
    name, comparison, value = parts.groups()
    column = name if name in frame else source_names.get(name, name)
    if column not in frame:
        known = dict.fromkeys([*map(str, frame), *source_names])
        raise ColumnNotFoundError(f"{source} has no column '{name}'. {did_you_mean(name, known)}")
    values = frame[column]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        try:
            rows = COMPARE[comparison](values, parse_quantity(value))
        except InputError as error:
            raise InputError(f"'{name}' holds numbers, in '{condition}': {error}") from None
    elif comparison in ("=", "==", "!="):
        rows = COMPARE[comparison](values.astype(str), value)
    else:
        raise InputError(f"{source}: '{name}' holds text, which {comparison} cannot compare.")
    if not rows.any():
        options = sorted(values.astype(str).unique())
        hint = did_you_mean(value, options) if comparison in ("=", "==") else ""
        raise InputError(f"{source} has no row where {condition}. {hint}".rstrip())
    return np.asarray(rows.fillna(False), dtype=bool)
