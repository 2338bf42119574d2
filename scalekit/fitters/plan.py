"""The result of planning: runs to buy, in order, and what they are expected to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import ndtri

from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETTLED = 0.95  # expected probability from which on a verdict counts as settled


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Result):
    """Runs to buy, in the order in which they tell most per FLOP.

    `table` has one row a chosen run: the candidate's columns, `cost` (FLOPs), `spent` (so far),
    `expected_deviation` (of the question's answer, standard deviation once the runs up to here
    are in) and, for a verdict, `expected_probability` (that the system that is then ahead is the
    better one, on average). `before` is the deviation without any run. `ranking` holds every
    candidate with the share of the variance that it alone would remove.
    """

    question: str
    unit: str
    table: pd.DataFrame
    ranking: pd.DataFrame
    estimate: float
    before: float
    budget: float
    confidence_level: float
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "plan"

    @property
    def after(self) -> float:
        """The expected standard deviation of the answer with all chosen runs."""
        return float(self.table["expected_deviation"].iloc[-1]) if len(self.table) else self.before

    @property
    def of_log(self) -> bool:
        """True where the answer is the logarithm of a scale or a size: its interval is a factor."""
        return self.unit.startswith("in log")

    def to_frame(self) -> pd.DataFrame:
        """Return one row a chosen run, in order."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return the question, the chosen runs and the ranking as plain values."""
        return {
            "question": self.question,
            "unit": self.unit,
            "params": {},
            "estimate": self.estimate,
            "before": self.before,
            "after": self.after,
            "budget": self.budget,
            "confidence_level": self.confidence_level,
            "table": self.table.to_dict("records"),
            "ranking": self.ranking.to_dict("records"),
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Plan:
        """Return the plan that `save` wrote."""
        plain = ("question", "unit", "estimate", "before", "confidence_level")
        return cls(
            table=pd.DataFrame(values["table"]),
            ranking=pd.DataFrame(values["ranking"]),
            budget=np.inf if values["budget"] is None else values["budget"],
            notes=tuple(Note(**note) for note in values["notes"]),
            provenance=Provenance.from_dict(values["provenance"]),
            **{name: values[name] for name in plain},
        )

    def summary(self) -> str:
        """Return the plan in a sentence and a table."""
        if not len(self.table):
            return with_notes(f"No run of the candidates would tell more about {self.question}.",
                              self.notes)  # fmt: skip
        half = float(ndtri(0.5 + self.confidence_level / 2))
        runs = "One run" if len(self.table) == 1 else f"{len(self.table)} runs"
        text = (
            f"{runs} for {self.table['spent'].iloc[-1]:.3g} FLOPs would bring "
            f"the {percent(self.confidence_level)} interval of {self.question} from "
            + (
                f"a factor of {np.exp(half * self.before):.3g} to one of "
                f"{np.exp(half * self.after):.3g} either way"
                if self.of_log
                else f"+-{half * self.before:.3g} to +-{half * self.after:.3g} {self.unit}"
            )
        ).rstrip()
        if "expected_probability" in self.table:
            last = self.table["expected_probability"].iloc[-1]
            verb = "settle" if last >= SETTLED else "not settle"
            text += f" and would {verb} the verdict (expected probability {last:.2f})"
        shown = self.table.to_string(index=False, float_format="{:.4g}".format)
        return with_notes(f"{text}.\n\n{shown}", self.notes)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the expected interval of the answer after each chosen run."""
        from scalekit.fitters.frontier_plots import plot_plan

        return plot_plan(self, ax)
