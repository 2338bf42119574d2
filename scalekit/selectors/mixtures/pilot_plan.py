"""What the next pilots are: mixtures to run, what they promise, and what is left to gain at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class PilotPlan(Result):
    """Mixtures worth running next; see `next_pilots`.

    `table` has a row for each, best first: a share of every source, `expected_gain` (how much
    lower the loss of the chosen mixture will be on average after this run, the earlier ones done)
    and `deviation` (how unsure the law is of its loss). `regret` is what knowing the law exactly
    would save on average: no number of pilots gains more. `noise` is the deviation of held-out
    residuals. `scales` are those to run the pilots at.
    """

    table: pd.DataFrame
    sources: tuple[str, ...]
    law: str
    regret: float
    noise: float
    scales: Mapping[str, float]
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "pilot_plan"

    def to_frame(self) -> pd.DataFrame:
        """Return the table: a row for each pilot, a column for the share of every source."""
        return self.table

    @property
    def mixtures(self) -> list[dict[str, float]]:
        """The mixtures to run, by name, best first."""
        rows = self.table[list(self.sources)].to_numpy(float)
        return [dict(zip(self.sources, row.tolist(), strict=True)) for row in rows]

    def summary(self) -> str:
        """Return the mixtures, what they promise, and the notes as text."""
        gained = float(self.table["expected_gain"].sum())
        at = ", ".join(f"{name} {format_quantity(value)}" for name, value in self.scales.items())
        first = (
            f"{len(self.table)} pilot(s) to run next{f' at {at}' if at else ''} (law "
            f"'{self.law}'). Together they lower the loss of the choice by {gained:.2g} on "
            f"average; knowing the law exactly would by {self.regret:.2g}. One pilot's noise is "
            f"{self.noise:.2g}."
        )
        table = self.table.to_string(index=False, float_format="{:.3g}".format)
        return with_notes(f"{first}\n\n{table}", self.notes)

    def payload(self) -> dict[str, Any]:
        """Return the mixtures, regret, noise and scales."""
        return {
            "law": self.law,
            "sources": list(self.sources),
            "pilots": self.table.to_dict("records"),
            "regret": self.regret,
            "noise": self.noise,
            "scales": dict(self.scales),
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> PilotPlan:
        """Return the plan that `save` wrote."""
        return cls(pd.DataFrame(values["pilots"], dtype=float), tuple(values["sources"]),
                   values["law"], values["regret"], values["noise"], values["scales"],
                   tuple(Note(**note) for note in values["notes"]),
                   Provenance.from_dict(values["provenance"]))  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the mixtures as bars, best above."""
        from scalekit.selectors.mixtures.pictures import plot_pilots

        return plot_pilots(self, ax)
