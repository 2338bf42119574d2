"""The table of runs: every reader returns one, every fitter takes one.

A run table has one row a run (or a logged step) and columns under canonical names, the roles.
`check_runs` is the one place where rows are judged; it never modifies its input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.axes import AXIS_LABELS, new_axes, plain_ticks
from scalekit.columns import LABELS, ROLES, SCALES, Locate, Reading, as_numbers
from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance, Result, hash_frame, with_notes
from scalekit.rows import (
    DOUBTS,
    IN_MEMORY,
    doubts,
    hashable,
    leave_out_bad_rows,
    locate_by,
    rows_where,
    storable,
)
from scalekit.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS_DRAWN = 20_000


@dataclass(frozen=True, eq=False, repr=False)
class RunTable(Result):
    """Runs under canonical column names, with the account of how they were read.

    `frame`: one row a run or logged step; the columns of the roles that are there come first
    (params, tokens, samples, flops and loss as float64 in single units), then all others.
    `readings`: how each role was read. `notes`: what was derived, left out, doubtful.

    >>> import pandas as pd
    >>> table = check_runs(pd.DataFrame({"params": [1e6, 1e7], "loss": [4.0, 3.5]}))
    >>> len(table), table.roles
    (2, ('params', 'loss'))
    """

    frame: pd.DataFrame
    readings: tuple[Reading, ...]
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "runs"

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that this table has, in canonical order."""
        return tuple(role for role in ROLES if role in self.frame)

    def to_frame(self) -> pd.DataFrame:
        """Return the table: role columns first, other columns after them."""
        return self.frame

    def interpretation(self) -> str:
        """Return how each role was read, one line a role, with its range of values."""
        return "\n".join(
            f"  {reading}{_range(self.frame[reading.role])}" for reading in self.readings
        )

    def source_name(self, name: object) -> str:
        """Return what the source calls a column of the table; other names as they are."""
        read = {reading.role: reading.column for reading in self.readings if reading.column}
        return read.get(str(name), str(name))

    def account(self) -> str:
        """Return the source, how many rows are used and left out, and the interpretation."""
        left_out = sum(self.provenance.rows_left_out.values())
        first = f"{self.provenance.source}: {len(self)} rows" + (
            f" used, {left_out} left out" if left_out else ""
        )
        return f"{first}\n{self.interpretation()}"

    def summary(self) -> str:
        """Return the interpretation, the first rows and the notes as text."""
        rows = self.frame[list(self.roles)].head(5).to_string(float_format="{:.5g}".format)
        return with_notes(f"{self.account()}\n\n{rows}", self.notes)

    def final_only(self) -> RunTable:
        """Return the table with the last logged step of each run.

        Raises InputError where the table lacks the columns `run` and `step`.
        """
        missing = [role for role in ("run", "step") if role not in self.frame]
        if missing:
            raise InputError(
                f"{self.provenance.source} has no column for {' and '.join(missing)}, so the last "
                f"step of each run is unknown. Name it: --columns {missing[0]}=COLUMN (in Python "
                f"read_runs(..., {missing[0]}='COLUMN'))."
            )
        ordered = self.frame.sort_values("step", kind="stable", na_position="first")
        last = ordered.groupby("run", dropna=False, sort=False).tail(1).sort_index()
        return replace(
            self,
            frame=last,
            notes=(
                *(note for note in self.notes if note.code != "several_steps"),
                Note("last_steps", "info", f"Of {len(self)} rows the last step of each of the "
                     f"{len(last)} runs is kept."),
            ),
        )  # fmt: skip

    def where(self, *conditions: str) -> RunTable:
        """Return the rows for which all conditions hold, such as "recipe=cosine", "tokens>=4e5".

        A condition is a column, one of = != < <= > >=, and a value; the column is a name of the
        table, or the name that a role had in the source. Raises ColumnNotFoundError for a column,
        InputError for a condition that cannot be read or holds for no row.
        """
        source_names = {
            reading.column: reading.role
            for reading in self.readings
            if reading.column and not reading.complement
        }
        if not conditions:
            return self
        kept = self.frame
        for condition in conditions:
            kept = kept[rows_where(kept, condition, source_names, self.provenance.source)]
        words = f"{len(kept)} of {len(self)} rows have {' and '.join(conditions)}."
        scales = [name for name in SCALES if name in kept]
        locate = locate_by(kept.index, self.provenance.source)
        notes = (
            *(note for note in self.notes if note.code not in DOUBTS),
            Note("rows_selected", "info", words),
            *doubts(kept, scales, locate),
        )
        return replace(self, frame=kept, notes=notes)

    def payload(self) -> dict[str, Any]:
        """Return row counts, how each role was read, and the range of each."""
        return {
            "n_rows": len(self),
            "rows_left_out": dict(self.provenance.rows_left_out),
            "columns": [str(name) for name in self.frame.columns],
            "readings": [asdict(reading) for reading in self.readings],
            "ranges": {
                role: [self.frame[role].min(), self.frame[role].max()]
                for role in self.roles
                if pd.api.types.is_numeric_dtype(self.frame[role])
            },
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the columns for `save`, by position, since names may hold any character."""
        columns = [self.frame.index.to_series(), *(self.frame[name] for name in self.frame)]
        return {f"column_{i}": storable(column) for i, column in enumerate(columns)}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> RunTable:
        """Return the table that `save` wrote."""
        columns = {name: arrays[f"column_{i + 1}"] for i, name in enumerate(values["columns"])}
        return cls(
            frame=pd.DataFrame(columns, index=arrays["column_0"]),
            readings=tuple(Reading(**reading) for reading in values["readings"]),
            notes=tuple(Note(**note) for note in values["notes"]),
            provenance=Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw loss against scale (FLOPs where there are any) on logarithmic axes.

        Groups get their own colours; without groups the colour is the number of parameters.
        """
        along = next((role for role in ("flops", "tokens", "samples", "params", "step")
                      if role in self.frame), None)  # fmt: skip
        if along is None:
            raise InputError(f"{self.provenance.source} has no scale to draw the loss against.")
        ax = new_axes(ax)
        drawn = self.frame.iloc[:: -(-len(self) // MOST_POINTS_DRAWN)]
        _scatter(ax, drawn, along)
        ax.set(xscale="log", xlabel=AXIS_LABELS[along], ylabel="loss")
        if (drawn["loss"] > 0).all():
            ax.set_yscale("log")
            plain_ticks(ax.yaxis)
        shown = "" if len(drawn) == len(self) else f", {len(drawn)} of them drawn"
        ax.set_title(f"{self.provenance.source}: {len(self)} rows{shown}", fontsize="medium")
        return ax


def check_runs(
    frame: pd.DataFrame,
    *,
    scales: Sequence[str] | None = None,
    source: str = IN_MEMORY,
    readings: Iterable[Reading] = (),
    notes: Iterable[Note] = (),
    locate: Locate | None = None,
) -> RunTable:
    """Return `frame`, which has canonical column names, as a checked table of runs.

    `scales` names the columns that must be positive numbers (any names; default: those of
    params, tokens, samples and flops that are there). Rows whose loss is missing or infinite, or
    whose scale is missing, infinite or not positive, are left out, counted and told in the notes;
    duplicate rows are kept and told. The index is kept. Raises ColumnNotFoundError where the loss
    or a scale is not there, InputError for text in a number column and where no row is left.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"params": ["1M", "10M", "0"], "loss": [4.0, 3.5, 3.0]})
    >>> check_runs(frame).provenance.rows_left_out
    {'params is not positive': 1}
    """
    locate = locate or locate_by(frame.index, source)
    scales = [name for name in SCALES if name in frame] if scales is None else list(scales)
    numbers = [*scales, "loss", *(name for name in ("step", "weight", "noise") if name in frame)]
    _require_columns(frame, numbers, source)
    if frame.empty:
        raise InputError(f"{source} has no rows. Give at least two runs.")
    roles = [role for role in ROLES if role in frame]
    checked = _select(frame, roles + [name for name in frame if name not in roles])
    for name in numbers:
        checked[name] = as_numbers(frame[name], name, source, locate)
    good, left_out, told = leave_out_bad_rows(checked, scales, source, locate)
    kept, places = (checked[good], np.flatnonzero(good)) if left_out else (checked, None)
    return RunTable(
        frame=kept,
        readings=tuple(readings) or tuple(Reading(role, role) for role in roles),
        notes=(*notes, *told, *doubts(kept, scales, _among(locate, places))),
        provenance=Provenance(
            source=source,
            input_hash=hash_frame(hashable(_select(checked, roles))),
            n_rows=len(frame),
            rows_left_out=left_out,
        ),
    )


def _require_columns(frame: pd.DataFrame, names: Iterable[str], source: str) -> None:
    repeated = frame.columns[frame.columns.duplicated()].unique().tolist()
    if repeated:
        raise InputError(
            f"{source} has more than one column named {', '.join(map(repr, repeated))}. "
            "Rename or drop all but one."
        )
    for name in names:
        if name not in frame:
            how = (
                f", or name it: --columns {name}=COLUMN, in Python read_runs(..., {name}='COLUMN')"
                if name in ROLES
                else ""
            )
            raise ColumnNotFoundError(
                f"{source} has no column '{name}'. {did_you_mean(name, frame.columns)} "
                f"Rename the column{how}."
            )


def _select(frame: pd.DataFrame, names: list[Any]) -> pd.DataFrame:
    """Return the columns `names`, without a copy of the values where these are all there are."""
    return (frame if list(frame) == names else frame[names]).copy(deep=False)


def _among(locate: Locate, places: np.ndarray | None) -> Locate:
    """Return `locate` for positions among the rows at `places` (None: all rows)."""
    return locate if places is None else lambda position: locate(int(places[position]))


def _range(column: pd.Series) -> str:
    if column.name in LABELS:
        return f": {column.nunique()} different"
    low, high = column.min(), column.max()
    if column.name in SCALES and column.name != "flops":  # nobody says 120T of FLOPs
        return f": {format_quantity(low)} to {format_quantity(high)}"
    digits = 3 if column.name == "flops" else 5
    return f": {low:.{digits}g} to {high:.{digits}g}"


def _scatter(ax: Axes, frame: pd.DataFrame, along: str) -> None:
    style: dict[str, Any] = {"s": 18, "alpha": 0.8, "linewidths": 0}
    if "group" in frame and frame["group"].nunique() <= 10:
        for name, rows in frame.groupby("group", sort=True):
            ax.scatter(rows[along], rows["loss"], label=str(name), **style)
        ax.legend(title="group", fontsize="small", frameon=False)
    elif along != "params" and "params" in frame:
        from matplotlib.colors import LogNorm

        points = ax.scatter(
            frame[along], frame["loss"], c=frame["params"], norm=LogNorm(), cmap="viridis", **style
        )
        ax.figure.colorbar(points, ax=ax, label=AXIS_LABELS["params"])
    else:
        ax.scatter(frame[along], frame["loss"], **style)
