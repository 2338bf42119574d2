"""What a comparison is asked with: the table, its systems, the laws and the runs that count."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.fitters.law import Law
from scalekit.fitters.laws import as_law
from scalekit.fitters.selection import guess_selection
from scalekit.notes import Note
from scalekit.results import Provenance, hash_frame
from scalekit.tables import RunTable, check_runs

SIZES = ("params", "tokens", "samples")
RISING = 0.8  # rank correlation of loss and scale from which on the column can be no loss
AN_ACCURACY = (
    "Is it an accuracy, give its error: --columns loss=1-COLUMN, in percent loss=100-COLUMN (in "
    "Python read_runs(..., loss='1-COLUMN'))."
)
# hyper-parameters, of which a grid is tried at each size
_TUNED = re.compile(
    r"(.*_)?(lr|learning_rate|wd|weight_decay|batch(_size)?|batch_tokens|warmup.*|dropout|beta_?\d?|"
    r"momentum|optimi[sz]er|schedule[r]?)",
    re.I,
)


@dataclass(frozen=True)
class Entry:
    """The runs of a comparison: `parts` holds those of each system, `frame` all that can be used.

    `by` is the column of the systems, `called` its name in the source; `scales` the scales of the
    first law, `along` the one to compare along.
    """

    frame: pd.DataFrame
    parts: dict[str, pd.DataFrame]
    by: str
    called: str
    laws: list[Law]
    along: str
    scales: list[str]
    notes: tuple[Note, ...]
    provenance: Provenance


def enter(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    by: str,
    law: str | Law | Sequence[str | Law] | None,
    along: str | None,
) -> Entry:
    """Return the runs that `compare` can use; raises InputError where some system has none."""
    frame, source, provenance, notes = frame_of(runs)
    if isinstance(runs, RunTable) and by not in frame:
        by = next((r.role for r in runs.readings if r.column == by), by)
    called = runs.source_name(by) if isinstance(runs, RunTable) else by
    names = systems_of(frame, by, source, called)
    asked = [law] if law is None or isinstance(law, (str, Law)) else list(law)
    laws, along = settle_laws(frame, asked, along)
    scales = list(dict.fromkeys([along, *laws[0].scales]))
    table = check_runs(with_along(frame, along, source), scales=scales, source=source)
    frame = table.frame
    missing = [name for name in names if not (frame[by].astype(str) == name).any()]
    if missing:
        raise InputError(f"{source}: no usable run of '{missing[0]}' is left. See its rows.")
    refuse_negative(frame, source)
    parts = {name: frame[frame[by].astype(str) == name].reset_index(drop=True) for name in names}
    refuse_rising(parts, along)
    left_out = dict(provenance.rows_left_out)
    for reason, count in table.provenance.rows_left_out.items():
        left_out[reason] = left_out.get(reason, 0) + count
    return Entry(
        frame, parts, by, called, laws, along, scales,
        (*notes, *unsaid(table.notes, notes)), replace(provenance, rows_left_out=left_out),
    )  # fmt: skip


def unsaid(found: Sequence[Note], said: Sequence[Note]) -> list[Note]:
    """Return the notes whose code was not said of the same runs before."""
    codes = {note.code for note in said}
    return [note for note in found if note.code not in codes]


def frame_of(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
) -> tuple[pd.DataFrame, str, Provenance, tuple[Note, ...]]:
    """Return the table of runs, what to call it, where it comes from, and its notes."""
    if isinstance(runs, RunTable):
        return runs.frame, runs.provenance.source, runs.provenance, runs.notes
    frame = pd.DataFrame(runs)
    found = Provenance("the table", hash_frame(frame.astype(str)), len(frame))
    return frame, "the table", found, ()


def systems_of(frame: pd.DataFrame, by: str, source: str, called: str) -> list[str]:
    """Return the names of the systems in order; raise InputError where they are not two or more.

    `called` is the source's name of the column `by`, for the messages.
    """
    if by not in frame:
        raise InputError(
            f"{source} has no column '{by}' to tell the systems apart. "
            f"{did_you_mean(by, map(str, frame.columns))} Say which with --by COLUMN (in Python "
            "by='COLUMN')."
        )
    names = list(dict.fromkeys(frame[by].dropna().astype(str)))
    if len(names) < 2:
        raise InputError(
            f"{source}: column '{called}' names only {', '.join(names) or 'nothing'}; "
            "a comparison needs two systems or more."
        )
    plain = pd.Series(names, index=[" ".join(name.lower().split()) for name in names])
    alike = plain[plain.index.duplicated(keep=False)].sort_index()
    if len(alike):
        shown = " and ".join(f"'{name}'" for name in alike[alike.index == alike.index[0]])
        raise InputError(
            f"{source}: column '{called}' has the values {shown}, which differ only in case or "
            "spaces. Write them alike, or rename one if they are two systems."
        )
    if len(names) > 50:
        raise InputError(
            f"{source}: column '{called}' has {len(names)} different values; that looks like a "
            "number, not like the name of a system. Say another with --by COLUMN (in Python "
            "by='COLUMN')."
        )
    return names


def settle_laws(
    frame: pd.DataFrame, asked: Sequence[str | Law | None], along: str | None
) -> tuple[list[Law], str]:
    """Return the laws, along a scale, and that scale; raise InputError where they do not fit."""
    if not asked:
        raise InputError("law is an empty list; name at least one law.")
    columns = [str(name) for name in frame]
    laws = [as_law("power_constant" if law is None else law, columns) for law in asked]
    settled = laws[0]
    if along is None:
        have = [n for n in ("flops", "tokens", "samples", "params", "step") if n in columns]
        if {"params", "tokens"} <= set(columns):
            have.insert(0, "flops")
        several = len(settled.scales) > 1
        along = "flops" if several else next(iter(have), None)
        if settled.scales != ("x",) and not several:
            along = settled.scales[0]
    if along is None:
        raise InputError(
            f"No column is a scale to compare along; say which with --along COLUMN (in Python "
            f"along='COLUMN'). There are: {', '.join(columns)}."
        )
    if along not in columns and not (along == "flops" and {"params", "tokens"} <= set(columns)):
        raise InputError(
            f"There is no column '{along}' to compare along (--along, or a scale named in --at). "
            f"{did_you_mean(along, columns)}"
        )
    placed = [law.along(along) for law in laws]
    for law in placed[1:]:
        if law.scales != placed[0].scales:
            raise InputError(
                f"Laws that share the draws depend on the same scales; '{placed[0].name}' on "
                f"{', '.join(placed[0].scales)}, '{law.name}' on {', '.join(law.scales)}."
            )
    if len({law.name for law in placed}) < len(placed):
        raise InputError("law names the same law twice; every law has the same part.")
    return placed, along


def with_along(frame: pd.DataFrame, along: str, source: str) -> pd.DataFrame:
    """Return the frame with the scale `along`; FLOPs follow from 6ND."""
    if along in frame:
        return frame
    filled = check_runs(frame, scales=["params", "tokens"], source=source).frame
    return filled.assign(flops=6 * filled["params"] * filled["tokens"])


def refuse_negative(frame: pd.DataFrame, source: str) -> None:
    """Raise InputError that names the first row with a loss of zero or less."""
    if (frame["loss"] <= 0).any():
        row = frame.index[(frame["loss"] <= 0).to_numpy()][0]
        raise InputError(
            f"{source}, row {row!r}: the loss is {frame['loss'].loc[row]:g}. Recipes are compared "
            f"by ratios of loss, which must be positive. {AN_ACCURACY}"
        )


def refuse_rising(parts: Mapping[str, pd.DataFrame], along: str) -> None:
    """Raise InputError where the loss of every system rises with scale: it is no loss."""
    found = {}
    for name, part in parts.items():
        with np.errstate(all="ignore"):  # a constant has no correlation, and does not rise
            rank = part[along].rank().corr(part["loss"].rank()) if len(part) > 2 else 0.0
        found[name] = float(rank)
    if all(value >= RISING for value in found.values()):
        shown = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
        raise InputError(
            f"The loss rises with {along} in every system (rank correlation: {shown}), and the "
            f"lowest would win. {AN_ACCURACY} Is it a loss, then compare along another scale."
        )


def choose_selection(
    select: str, law: Law, along: str, parts: Mapping[str, pd.DataFrame]
) -> tuple[str, list[Note]]:
    """Return the selection, and what to tell of it where it was chosen here."""
    if select != "auto":
        return select, []
    plain = len(law.scales) == 1 and along == "flops"
    if plain and "frontier" in [_guess(part, along) for part in parts.values()]:
        words = (
            "Runs of several sizes share the same compute, so each curve follows the frontier "
            "(runs that no run of less compute beats), chosen anew in every resample. --select "
            "all (in Python select='all') uses every run."
        )
        return "frontier", [Note("frontier_selected", "info", words)]
    tuned = _tuned_columns(parts, along)
    if not tuned:
        return "all", []
    words = (
        f"Runs of the same size differ in {', '.join(tuned)}, so each curve follows the best run "
        "of each size, chosen anew in every resample. --select all (in Python select='all') uses "
        "every run."
    )
    return "best", [Note("best_selected", "info", words)]


def _guess(part: pd.DataFrame, along: str) -> str:
    others = [part[n].to_numpy(float) for n in SIZES if n in part]
    others = [o for o in others if (np.isfinite(o) & (o > 0)).all()]
    return guess_selection(part[along].to_numpy(float), others)


def _tuned_columns(parts: Mapping[str, pd.DataFrame], along: str) -> list[str]:
    """Return the columns of hyper-parameters that differ, in every system, among runs of a size."""
    found = []
    for name in map(str, next(iter(parts.values()))):
        if _TUNED.fullmatch(name):
            values = [
                part.groupby([along, *(n for n in SIZES if n in part and n != along)])[name]
                .nunique().mean()
                for part in parts.values()
            ]  # fmt: skip
            if min(values) >= 2:
                found.append(name)
    return found
