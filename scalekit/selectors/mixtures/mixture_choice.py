"""What a chosen mixture is: shares with intervals, what binds, what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.notes import Note
from scalekit.results import Interval, Provenance, Result, with_notes
from scalekit.selectors.mixtures.mixture_fit import AVERAGE
from scalekit.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class MixtureChoice(Result):
    """The mixture to train on; see `choose`.

    `table` has a row for each source; `losses` the predicted losses of this mixture for each
    target; `regret` is the expected loss above the best mixture that the same limits allow, over
    the draws; `gain` is the loss of the baseline minus that of the choice; `at` are the scales
    that it is for, where the law has any.
    """

    table: pd.DataFrame
    losses: pd.DataFrame
    regret: float
    gain: float
    gain_interval: Interval
    baseline: str
    prices: pd.DataFrame
    law: str
    gap: float
    budget: float | None
    notes: tuple[Note, ...]
    provenance: Provenance
    at: Mapping[str, float] = field(default_factory=dict)
    kind: ClassVar[str] = "mixture"

    @property
    def shares(self) -> dict[str, float]:
        """The chosen share of each source, by name."""
        return dict(zip(self.table["source"], self.table["share"].astype(float), strict=True))

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources."""
        return tuple(self.table["source"])

    def to_frame(self) -> pd.DataFrame:
        """Return the table: share, interval, limits, unlimited share, epochs, for each source."""
        return self.table

    def summary(self) -> str:
        """Return the mixture, what it is worth, and the notes as text."""
        mean = self.losses[self.losses["target"] == AVERAGE].iloc[0]
        at = ", ".join(f"{name} {format_quantity(value)}" for name, value in self.at.items())
        first = (
            f"{f'At {at}: predicted' if at else 'Predicted'} loss {mean['predicted']:.4f} "
            f"[{mean['ci_lower']:.4f}, {mean['ci_upper']:.4f}] (law '{self.law}'); "
            f"{self.gain:+.4f} {self.gain_interval} better than {self.baseline}; "
            f"expected regret {self.regret:.4f}."
        )
        shown = self.table.dropna(axis=1, how="all")
        table = shown.to_string(index=False, float_format="{:.4g}".format, na_rep="")
        binding = self.prices.to_string(index=False, float_format="{:.3g}".format, na_rep="?")
        prices = f"\n\nBinding limits:\n{binding}" if len(self.prices) else ""
        return with_notes(f"{first}\n\n{table}{prices}", self.notes)

    def payload(self) -> dict[str, Any]:
        """Return shares, losses, regret, gain and prices."""
        return {
            "law": self.law,
            "shares": self.shares,
            "params": {
                row["source"]: {"estimate": row["share"], "ci_lower": row["ci_lower"],
                                "ci_upper": row["ci_upper"]}
                for row in self.table.to_dict("records")
            },
            "table": self.table.to_dict("records"),
            "losses": self.losses.to_dict("records"),
            "prices": self.prices.to_dict("records"),
            "regret": self.regret,
            "gain": {"estimate": self.gain, "ci_lower": self.gain_interval.lower,
                     "ci_upper": self.gain_interval.upper, "against": self.baseline,
                     "confidence_level": self.gain_interval.confidence_level,
                     "method": self.gain_interval.method},
            "gap": self.gap,
            "budget": self.budget,
            "at": dict(self.at),
        }  # fmt: skip

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> MixtureChoice:
        """Return the choice that `save` wrote."""
        gain = values["gain"]
        interval = Interval(gain["ci_lower"], gain["ci_upper"], gain["confidence_level"],
                            gain["method"])  # fmt: skip
        gap = np.inf if values["gap"] is None else values["gap"]
        return cls(
            _as_numbers(pd.DataFrame(values["table"])), _as_numbers(pd.DataFrame(values["losses"])),
            values["regret"], gain["estimate"], interval, gain["against"],
            _as_numbers(pd.DataFrame(values["prices"], columns=PRICE_COLUMNS)), values["law"], gap,
            values["budget"], tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]), values.get("at", {}),
        )  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the share of each source with its interval, its cap and the unlimited optimum."""
        from scalekit.selectors.mixtures.pictures import plot_choice

        return plot_choice(self, ax)


PRICE_COLUMNS = ["limit", "kind", "bound", "price"]
_TEXT = ("source", "target", "binding", "limit", "kind")


def _as_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({name: float for name in frame if name not in _TEXT})
