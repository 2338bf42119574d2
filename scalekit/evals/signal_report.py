"""The result of `signal`: which benchmark, metric and framing tells recipes apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalekit.evals.blocks import rows_of
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False, eq=False)
class SignalReport(Result):
    """Signal and noise of each benchmark and metric, at each scale; the best of each marked.

    `table`: signal_sd (of true scores between recipes), noise_sd (of one run's score) and `noise`
    which it is; snr = signal_sd / noise_sd with ci_lower, ci_upper; reliability; the implied share
    of pairs ordered rightly by one run; `decision_accuracy` observed against the reference;
    mean_over_sd and range_snr as published, above_chance_over_sd; tau, tau_z, spearman, rise over
    checkpoints; `best` marks the metric and framing with the highest snr of its task and scale.
    """

    kind: ClassVar[str] = "signal"
    table: pd.DataFrame
    confidence_level: float
    notes: tuple[Note, ...]
    provenance: Provenance

    @property
    def params(self) -> pd.Series:
        """The signal-to-noise ratios, indexed by benchmark, metric and scale."""
        return self.table.set_index(["benchmark", "metric", "scale"])["snr"]

    def summary(self) -> str:
        """Return what to track, per task (and scale), then the ranking."""
        lines = [self._advice(row) for row in rows_of(self.table[self.table["best"]].head(20))]
        columns = [c for c in SHOWN if not self.table[c].isna().all()]
        table = self.table[columns].head(60).to_string(index=False, float_format="{:.4g}".format)
        return with_notes("\n".join(lines) + f"\n\n{table}", self.notes)

    def _advice(self, row: Any) -> str:
        at = f" at scale {row.scale:.3g}" if np.isfinite(row.scale) else ""
        ordered = f"{row.implied_accuracy:.0%} of pairs ordered rightly by one run"
        of = "" if row.benchmark == row.task else f" of {row.benchmark}"
        head = f"{row.task}{at}: track {row.metric}{of}"
        if not row.snr > 0:
            return f"{row.task}{at}: no metric tells these recipes apart."
        others = self.table[(self.table["task"] == row.task) & ~self.table["best"]]
        same = others[others["scale"].eq(row.scale) | others["scale"].isna()]
        next_best = same["snr"].max() if len(same) else np.nan
        above = "" if next_best < row.ci_lower else "not clearly above "
        against = f", {above}the next {next_best:.3g}" if np.isfinite(next_best) else ""
        return (f"{head}: signal to {row.noise} noise {row.snr:.3g} [{row.ci_lower:.3g}, "
                f"{row.ci_upper:.3g}] ({percent(self.confidence_level)} interval){against}; "
                f"{ordered}.")  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """Return one row per benchmark, metric and scale."""
        return self.table

    def payload(self) -> dict[str, Any]:
        """Return the table and the level of the intervals."""
        params = {
            f"{r.benchmark}/{r.metric}" + (f"@{r.scale:g}" if np.isfinite(r.scale) else ""): {
                "estimate": r.snr, "ci_lower": r.ci_lower, "ci_upper": r.ci_upper
            }
            for r in rows_of(self.table)
        }  # fmt: skip
        return {
            "params": params,
            "confidence_level": self.confidence_level,
            "table": self.table.to_dict("records"),
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> SignalReport:
        """Return the result that `save` wrote."""
        table = pd.DataFrame(values["table"])
        numbers = [str(c) for c in table if c not in TEXT]
        table[numbers] = table[numbers].astype(float)
        table["recipes"] = table["recipes"].astype(int)
        return cls(
            table,
            float(values["confidence_level"]),
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the signal-to-noise ratio against scale, or ranked where there is one scale."""
        from scalekit.evals.plots import plot_signal

        return plot_signal(self, ax)


TEXT = ("task", "framing", "benchmark", "metric", "noise", "best")
SHOWN = ["benchmark", "metric", "scale", "snr", "ci_lower", "ci_upper", "noise", "signal_sd",
         "noise_sd", "implied_accuracy", "decision_accuracy", "above_chance_over_sd", "tau_z",
         "rise", "best"]  # fmt: skip
