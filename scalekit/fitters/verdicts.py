"""The same comparison on several metrics or data sets: is the verdict the same across them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, ScalekitError, did_you_mean
from scalekit.fitters.comparing import compare
from scalekit.fitters.comparison import Comparison
from scalekit.fitters.crossover import probability_text
from scalekit.fitters.plan import SETTLED
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.seeds import RandomState
from scalekit.tables import RunTable
from scalekit.units import format_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Verdicts(Result):
    """One comparison a metric (or data set), and whether they agree.

    `table` has one row each: the column `across`, `best` (at the last asked scale), its
    `win_probability` and `regret`, and the crossover's `status, winner, median, ci_lower,
    ci_upper, probability`.
    """

    across: str
    along: str
    at: float
    table: pd.DataFrame
    confidence_level: float
    notes: tuple[Note, ...]
    provenance: Provenance
    comparisons: Mapping[str, Comparison] | None = None
    kind: ClassVar[str] = "verdicts"

    @property
    def agree(self) -> bool:
        """True where the same system is best on all."""
        return len(set(self.table["best"])) == 1

    def to_frame(self) -> pd.DataFrame:
        """Return one row a metric."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return the verdicts as plain values."""
        return {
            "across": self.across,
            "along": self.along,
            "at": self.at,
            "agree": self.agree,
            "sentence": self.sentence(),
            "params": {},
            "confidence_level": self.confidence_level,
            "table": self.table.to_dict("records"),
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Verdicts:
        """Return the verdicts that `save` wrote (without the single comparisons)."""
        return cls(
            **{key: values[key] for key in ("across", "along", "at", "confidence_level")},
            table=pd.DataFrame(values["table"]),
            notes=tuple(Note(**note) for note in values["notes"]),
            provenance=Provenance.from_dict(values["provenance"]),
        )

    def sentence(self) -> str:
        """Return whether the verdict is the same across the metrics."""
        where = f"at {format_scale(self.at, self.along)} {self.along}"
        sure = self.table[self.table["win_probability"] >= SETTLED]
        number = len(self.table)
        if self.agree:
            lowest = self.table["win_probability"].min()
            return (
                f"{where} {self.table['best'].iloc[0]} is best on all {number} of {self.across} "
                f"(settled on {len(sure)}; lowest probability {probability_text(lowest)})"
            )
        shares = self.table["best"].value_counts()
        listed = ", ".join(f"{name} on {count}" for name, count in shares.items())
        settled = "and these differ" if len(set(sure["best"])) > 1 else "which do not contradict"
        return (
            f"{where} the verdict depends on {self.across}: best is {listed} of {number}; "
            f"settled on {len(sure)}, {settled}"
        )

    def summary(self) -> str:
        """Return the sentence and the table."""
        shown = self.table.to_string(index=False, float_format="{:.4g}".format)
        return with_notes(f"{self.sentence()}.\n\n{shown}", self.notes)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the interval of the crossover on each metric."""
        from scalekit.fitters.comparison_plots import plot_verdicts

        return plot_verdicts(self, ax)


def compare_across(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    across: str,
    by: str = "group",
    at: float | None = None,
    *,
    rng: RandomState = 0,
    **options: Any,
) -> Verdicts:
    """Compare systems on every value of the column `across` (a metric, a data set).

    `options` go to `compare`; `at` is one scale for all (default: ten times the largest run of
    all). Raises ColumnNotFoundError where there is no such column.
    """
    frame = runs.frame if isinstance(runs, RunTable) else pd.DataFrame(runs)
    if across not in frame:
        raise ColumnNotFoundError(
            f"There is no column '{across}'. {did_you_mean(across, map(str, frame.columns))}"
        )
    if not isinstance(rng, (int, np.integer)) and rng is not None:
        raise InputError("compare_across takes an integer seed, which every comparison shares.")
    duels = {
        str(value): _compare_one(
            runs, part, across, str(value), by, {"at": at, "rng": rng, **options}
        )
        for value, part in frame.groupby(across, sort=False)
    }
    scale = float(at) if at is not None else max(float(duel.asked[-1]) for duel in duels.values())
    duels = {name: duel.decide(scale) for name, duel in duels.items()}
    rows = []
    for name, duel in duels.items():
        best = duel.to_frame().sort_values("win_probability", ascending=False).iloc[0]
        cross = duel.crossover().answer()
        rows.append(
            {across: name, "best": best["system"], "win_probability": best["win_probability"],
             "regret": best["regret"]}
            | {key: cross[key] for key in
               ("status", "winner", "median", "ci_lower", "ci_upper", "open_below",
                "open_above", "probability")}
        )  # fmt: skip
    first = next(iter(duels.values()))
    notes = (*(runs.notes if isinstance(runs, RunTable) else ()), *_notes(duels))
    return Verdicts(across, first.along, scale, pd.DataFrame(rows), first.confidence_level,
                    notes, replace(first.provenance, n_rows=len(frame)), duels)  # fmt: skip


def _compare_one(
    runs: Any, part: pd.DataFrame, across: str, value: str, by: str, options: dict[str, Any]
) -> Comparison:
    part = part.drop(columns=across)
    table = replace(runs, frame=part, notes=()) if isinstance(runs, RunTable) else part
    try:
        return compare(table, by, **options)
    except ScalekitError as error:
        raise type(error)(f"{across} '{value}': {error}") from error


def _notes(duels: Mapping[str, Comparison]) -> list[Note]:
    """Return the notes of all comparisons, each once, with the metrics that it is of."""
    found: dict[Note, list[str]] = {}
    for name, duel in duels.items():
        for note in duel.notes:
            if note.severity != "info":
                found.setdefault(note, []).append(name)
    return [
        Note(note.code, note.severity, f"{', '.join(names)}: {note.message}")
        for note, names in found.items()
    ]
