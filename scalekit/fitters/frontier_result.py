"""The result of spending budgets best: one row a budget, the exponents, and how it was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.fitters.exponents import exponent_interval
from scalekit.notes import Note
from scalekit.results import Interval, Provenance, Result, with_notes
from scalekit.units import format_quantity, format_scale, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.fitters.plan import Plan


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Result):
    """How to spend budgets: one row a budget.

    `table` has the columns `flops`, then `params, tokens, tokens_per_param, loss` each with
    `_lower` and `_upper`, and `loss_penalty` (share by which the loss exceeds the best one) where
    sizes were constrained. `exponents` holds those of `params` and `tokens` in the budget, with
    intervals. `approach` says how it was found, `constraint` what was held.
    """

    approach: str
    table: pd.DataFrame
    exponents: pd.DataFrame
    constraint: str
    confidence_level: float
    interval_method: str
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "frontier"

    def exponent(self, name: str = "params") -> Interval:
        """Return the interval of the exponent of "params" or "tokens"."""
        return exponent_interval(self.exponents, name, self.confidence_level, self.interval_method)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a budget."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return exponents and rows as plain values."""
        return {
            "approach": self.approach,
            "constraint": self.constraint,
            "params": {
                f"{name}_exponent": values for name, values in self.exponents.T.to_dict().items()
            },
            "confidence_level": self.confidence_level,
            "interval_method": self.interval_method,
            "table": self.table.to_dict("records"),
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Frontier:
        """Return the frontier that `save` wrote."""
        rows = {k.removesuffix("_exponent"): v for k, v in values["params"].items()}
        return cls(
            values["approach"],
            pd.DataFrame(values["table"]).astype(float),
            pd.DataFrame.from_dict(rows, orient="index").astype(float),
            values["constraint"],
            values["confidence_level"],
            values["interval_method"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def summary(self) -> str:
        """Return one sentence a budget, the exponents, and how it was found."""
        lines = [_sentence(row) for row in self.table.to_dict("records")]
        if len(self.exponents):
            shown = ", ".join(
                f"{name} ~ C^{row['estimate']:.3f} [{row['ci_lower']:.3f}, {row['ci_upper']:.3f}]"
                for name, row in self.exponents.iterrows()
            )
            lines.append(f"exponents: {shown}")
        lines.append(f"approach: {self.approach}; {self.constraint}")
        lines.append(f"intervals ({percent(self.confidence_level)}): {self.interval_method}")
        return with_notes("\n".join(lines), self.notes)

    def plot(self, ax: Axes | None = None, plan: Plan | None = None) -> Axes:
        """Draw the optimal params and tokens against the budget, and the runs of a plan."""
        from scalekit.fitters.frontier_plots import plot_frontier

        return plot_frontier(self, ax, plan)


def _sentence(row: Mapping[Any, Any]) -> str:
    def shown(name: str, form: Callable[[float], str]) -> str:
        low, high = row[f"{name}_lower"], row[f"{name}_upper"]
        if not np.isfinite(row[name]):
            return "undetermined"
        if not np.isfinite([low, high]).all() or np.isclose(low, high, rtol=1e-6, atol=0):
            return form(row[name])  # held, or without an interval
        return f"{form(row[name])} [{form(low)}, {form(high)}]"

    def plain(value: float) -> str:
        return f"{value:.4g}"

    text = (
        f"{format_scale(row['flops'], 'flops')} FLOPs: {shown('params', format_quantity)} params "
        f"on {shown('tokens', format_quantity)} tokens ({shown('tokens_per_param', plain)} per "
        f"param) reach loss {shown('loss', plain)}"
    )
    if np.isfinite(row.get("loss_penalty", np.nan)):
        text += f", {row['loss_penalty']:.2%} above the best for this budget"
    return text
