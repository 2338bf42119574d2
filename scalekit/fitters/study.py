"""A study: the curves of one table, and what each of them has seen at an origin.

An origin is a scale at which one pretends to stand: rows up to it are fitted, rows beyond it are
the future. Everything that judges a forecast (weights of forms, intervals) stands at origins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from scalekit.columns import Locate
from scalekit.errors import InputError
from scalekit.fitters.batch import Members
from scalekit.fitters.evaluations import (
    SAME,
    behind_best_so_far,
    behind_monotone,
    missing_rises,
)
from scalekit.fitters.pooling import pooling_notes
from scalekit.fitters.preparing import noise_note
from scalekit.fitters.study_inputs import (
    check_along,
    check_names,
    check_weights,
    frame_of,
    rising_notes,
    row_weights,
    with_names,
)
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.rows import locate_by, with_runs
from scalekit.tables import RunTable, check_runs

LONG = 12  # rows: shorter curves may well never rise by chance
MISSING = 3.0  # rises that must be missing before rows that never rise are called chosen or smooth
MISSING_EACH = 0.5  # of each curve that never rises
FEWEST_BEHIND = 20  # rows from which a curve tells what lies behind them
Rows = Literal["single", "best_so_far", "monotone"]
BEHIND = {"best_so_far": behind_best_so_far, "monotone": behind_monotone}


@dataclass(frozen=True)
class Study:
    """Curves side by side: arrays of shape (curves, rows), padded at weight zero.

    `size` is the scale along which origins are set, `scales` all scales of the laws (in units of
    `reference`, so that parameters of different curves compare). `keys` names each curve by the
    columns `by`; `groups` numbers the values of each of these columns. `noise` (curves,) is the
    deviation of the log loss of single evaluations, where it is known to be more than the rows
    show (0 elsewhere). `locate` names a row to the user, where there is one curve.
    """

    by: tuple[str, ...]
    keys: pd.DataFrame
    along: str
    size: np.ndarray
    members: Members
    reference: Mapping[str, float]
    noise: np.ndarray
    notes: tuple[Note, ...]
    provenance: Provenance
    locate: Locate

    def __len__(self) -> int:
        return len(self.members)

    @property
    def groups(self) -> list[np.ndarray]:
        """The number of the group of each curve, for every column that names curves."""
        if len(self.by) < 2:
            return []
        return [self.keys.groupby(name, sort=False).ngroup().to_numpy() for name in self.by]

    @property
    def present(self) -> np.ndarray:
        """Which entries are rows of the curve, not padding."""
        return self.members.weights > 0

    @property
    def largest(self) -> np.ndarray:
        """The largest size of each curve."""
        return np.where(self.present, self.size, 0.0).max(axis=1)

    def part(self, curves: np.ndarray) -> Study:
        """Return the study of some of the curves."""
        return replace(
            self,
            keys=self.keys.iloc[curves].reset_index(drop=True),
            size=self.size[curves],
            members=self.members.part(curves),
            noise=self.noise[curves],
        )

    def until(self, origins: np.ndarray) -> Members:
        """Return what each curve has seen at its origin, an array of sizes (curves,)."""
        weights = np.where(self.size <= origins[:, None] * (1 + 1e-12), self.members.weights, 0.0)
        return replace(self.members, weights=weights)


def make_study(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    scales: Sequence[str],
    along: str,
    by: Sequence[str] = (),
    weights: str | None = None,
    rows: Rows = "single",
) -> Study:
    """Return the curves of `runs`, one for each combination of the columns `by`.

    Rows of one-scale laws are weighted by the log distance to their neighbours, so that a decade
    counts the same however densely it was logged; a column `weight` or `noise` comes on top.
    Where `rows` are not single evaluations, what lies behind them is found (`evaluations.py`).
    Raises InputError where the loss is not positive, ColumnNotFoundError where a column is missing.
    """
    if rows not in ("single", *BEHIND):
        raise InputError(f"rows must be one of 'single', {', '.join(map(repr, BEHIND))}: '{rows}'.")
    frame, source, notes = frame_of(runs)
    check_along(along, scales)
    frame = with_names(frame, runs, [*by, weights])
    weights = "weight" if weights is None and "weight" in frame else weights
    if weights is not None:
        frame = check_weights(frame, weights, source)
    check_names(frame, by, along, source)
    if along == "flops" and along not in frame and {"params", "tokens"} <= set(frame):
        frame = frame.assign(flops=6.0 * frame["params"] * frame["tokens"])
    needed = list(dict.fromkeys([*scales, along]))
    table = check_runs(frame, scales=needed, source=source, notes=notes)
    kept = table.frame.sort_values(along, kind="stable")
    told = [*rising_notes(kept, along, by)]
    if (kept["loss"] <= 0).any():
        raise InputError(
            f"{source}: {int((kept['loss'] <= 0).sum())} rows have a loss of zero or less. "
            "Forecasts work on log loss; give a positive loss (an error rate, a cross-entropy)."
        )
    reference = {name: float(np.exp(np.log(kept[name]).mean())) for name in scales}
    groups = list(kept.groupby(list(by), sort=False, observed=True)) if by else [((), kept)]
    spaced = len(scales) == 1
    parts = [part for _, part in groups]
    noise = np.zeros(len(parts))
    if rows != "single":
        if not spaced:
            raise InputError(f"rows='{rows}' is for the log of one curve, along one scale.")
        parts, noise = _look_behind(parts, list(by), along, rows)
    members = Members.of(
        [{n: part[n].to_numpy(float) / reference[n] for n in scales} for part in parts],
        [part["loss"].to_numpy(float) for part in parts],
        [row_weights(part, along, weights, spaced) for part in parts],
    )
    size = Members.of(
        [{"size": part[along].to_numpy(float)} for part in parts],
        [part["loss"].to_numpy(float) for part in parts],
        [np.ones(len(part)) for part in parts],
    ).scales["size"]
    keys = (
        pd.DataFrame([key for key, _ in groups], columns=list(by))
        if by
        else pd.DataFrame(index=[0])
    )
    if weights == "noise":
        told.append(noise_note(kept))
    if rows != "single":
        told.append(_behind_note(rows, noise))
    elif spaced:
        told += _selection_notes(parts, along)
    pooled = () if by else pooling_notes(kept, runs)
    return Study(
        tuple(by), keys, along, size, members, reference, noise, (*table.notes, *pooled, *told),
        table.provenance, with_runs(locate_by(kept.index, source), kept),
    )  # fmt: skip


def _look_behind(
    parts: list[pd.DataFrame], by: list[str], along: str, rows: Rows
) -> tuple[list[pd.DataFrame], np.ndarray]:
    """Return curves of the evaluations behind rows that never rise, and the noise of each curve."""
    for part in parts:
        rising = np.flatnonzero(np.diff(np.log(part["loss"])) > SAME)
        if len(rising):
            name = ", ".join(f"{column}={part[column].iloc[0]}" for column in by) or "the curve"
            row = part.iloc[rising[0] + 1]
            raise InputError(
                f"rows='{rows}', but the loss of {name} rises to {row['loss']:.6g} at "
                f"{along}={row[along]:.6g}: these rows are single evaluations. Leave --rows "
                "(in Python rows=) out."
            )
    every = min((np.diff(part[along]).min() for part in parts if len(part) > 1), default=np.inf)
    changed, noise = list(parts), np.full(len(parts), np.nan)
    for k, part in enumerate(parts):
        if len(part) >= FEWEST_BEHIND:
            size, logs = part[along].to_numpy(float), np.log(part["loss"].to_numpy(float))
            found = BEHIND[rows](size, logs, every)
            changed[k], noise[k] = part.assign(loss=np.exp(found.log_loss)), found.noise
    if np.isnan(noise).all():
        raise InputError(
            f"rows='{rows}': no curve has the {FEWEST_BEHIND} rows from which the noise behind "
            "them could be told. Leave --rows (rows=) out."
        )
    return changed, np.where(np.isnan(noise), np.nanmedian(noise), noise)


def _behind_note(rows: Rows, noise: np.ndarray) -> Note:
    what = "the best so far" if rows == "best_so_far" else "made to fall"
    return Note(
        f"rows_{rows}",
        "info",
        f"The rows are {what}; forecasts and intervals are for single evaluations, whose noise "
        f"they hide: {np.median(noise):.2%} of the loss in the median curve.",
    )


def _selection_notes(parts: list[pd.DataFrame], along: str) -> list[Note]:
    """Return what to tell of logs that fall more steadily than single evaluations would."""
    long = [part for part in parts if len(part) >= LONG]
    falls = [p for p in long if (np.diff(p["loss"]) <= 0).all()]
    missing = [
        missing_rises(p[along].to_numpy(float), np.log(p["loss"].to_numpy(float))) for p in falls
    ]
    never = len(falls)
    if never > 0.5 * len(long) and sum(missing) >= max(MISSING, MISSING_EACH * never):
        return [
            Note(
                "running_best",
                "warning",
                f"In {never} of {len(long)} curves the loss never rises: the rows look like the "
                "best so far, or smoothed. The noise of single evaluations cannot be seen in them; "
                "intervals hold for further rows chosen in the same way. To forecast single "
                "evaluations, say what the rows are: --rows best_so_far, or --rows monotone (made "
                "to fall; in Python rows='monotone').",
            )
        ]
    return []
