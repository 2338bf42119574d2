"""The result of `compare_models`: differences with intervals, and what they amount to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalekit.errors import InputError, did_you_mean
from scalekit.evals.blocks import rows_of
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False, eq=False)
class ModelComparison(Result):
    """The difference of two recipes per benchmark and metric, with its noise and a verdict.

    `table` has one row per benchmark and metric (and "(average)" per metric where there are
    several): the two scores, difference = first - second, standard_error, df, ci_lower, ci_upper
    (not adjusted), p, p_holm, p_bh, p_equivalent, verdict, better, the variance by items and by
    seeds, where the seed noise is from, what would resolve it, and `sentence`.
    """

    kind: ClassVar[str] = "model_comparison"
    systems: tuple[str, str]
    table: pd.DataFrame
    confidence_level: float
    adjust: str
    margin: float | Mapping[str, float] | None
    notes: tuple[Note, ...]
    provenance: Provenance

    @property
    def params(self) -> pd.Series:
        """The differences, indexed by benchmark and metric."""
        return self.table.set_index(["benchmark", "metric"])["difference"]

    def verdict(self, benchmark: str | None = None) -> str:
        """Return the verdict on one benchmark (the only one, where there is one)."""
        names = list(dict.fromkeys(self.table["benchmark"]))
        chosen = benchmark if benchmark is not None else names[0]
        rows = self.table[self.table["benchmark"] == chosen]
        if rows.empty or (benchmark is None and len(names) > 1) or len(rows) > 1:
            raise InputError(f"Name one benchmark. {did_you_mean(str(benchmark), names)}")
        return str(rows["verdict"].iloc[0])

    def summary(self) -> str:
        """Return one sentence of verdict per benchmark, then the numbers behind."""
        lines = self.table["sentence"].tolist()
        shown = self.table[["benchmark", "metric", *SHOWN]].rename(
            columns={"score_a": self.systems[0], "score_b": self.systems[1]}
        )
        table = shown.to_string(index=False, float_format="{:.4g}".format)
        return with_notes("\n".join(lines) + f"\n\n{table}", self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per benchmark and metric."""
        return self.table

    def payload(self) -> dict[str, Any]:
        """Return the systems, the table, the level and the correction."""
        params = {
            f"{r.benchmark}/{r.metric}": {
                "estimate": r.difference, "ci_lower": r.ci_lower, "ci_upper": r.ci_upper
            }
            for r in rows_of(self.table)
        }  # fmt: skip
        return {
            "params": params,
            "systems": list(self.systems),
            "confidence_level": self.confidence_level,
            "adjust": self.adjust,
            "margin": self.margin,
            "table": self.table.to_dict("records"),
        }

    @classmethod
    def restore(
        cls, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> ModelComparison:
        """Return the result that `save` wrote."""
        return cls(
            (values["systems"][0], values["systems"][1]),
            pd.DataFrame(values["table"]).replace({None: np.nan}),
            float(values["confidence_level"]),
            values["adjust"],
            values["margin"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the differences with their intervals, coloured by verdict."""
        from scalekit.evals.plots import plot_forest

        return plot_forest(self, ax)


SHOWN = ["score_a", "score_b", "difference", "ci_lower", "ci_upper", "standard_error", "df", "p",
         "p_holm", "p_bh", "verdict"]  # fmt: skip
