"""The result of isoFLOP minima: the best size at each budget, and how it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, eq=False, repr=False)
class Isoflops(Result):
    """The best size at each budget, and how it grows.

    `table` has a row a budget: `flops, runs, params` and `tokens` and `loss` with `_lower` and
    `_upper`, `kept` (the share of resamples with a minimum inside) and `status` ("used", or why
    not). `exponents` holds estimate and interval of `params`, `tokens` in the budget, `lines`
    (draws, 2) the draws of log params = slope * (log flops - centre) + height. `points` are the
    runs, `log_centre` the centre of the line.
    """

    method: str
    table: pd.DataFrame
    exponents: pd.DataFrame
    line: np.ndarray
    lines: np.ndarray
    log_centre: float
    points: pd.DataFrame
    confidence_level: float
    interval_method: str
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "isoflop"

    def exponent(self, name: str = "params") -> Interval:
        """Return the interval of the exponent of "params" or "tokens"."""
        return exponent_interval(self.exponents, name, self.confidence_level, self.interval_method)

    def predict(self, flops: float | Sequence[float]) -> pd.DataFrame:
        """Return the optimal params, tokens and tokens per param of budgets, with intervals."""
        budgets = np.atleast_1d(np.asarray(flops, dtype=float))
        logs = np.log(budgets)
        sizes = self.line[0] * (logs - self.log_centre) + self.line[1]
        draws = self.lines[:, :1] * (logs - self.log_centre) + self.lines[:, 1:]
        tail = (1 - self.confidence_level) / 2
        low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
        table = pd.DataFrame({"flops": budgets})
        data = logs - np.log(6)
        for name, centre, ends in (
            ("params", sizes, (low, high)),
            ("tokens", data - sizes, (data - high, data - low)),
            ("tokens_per_param", data - 2 * sizes, (data - 2 * high, data - 2 * low)),
        ):
            table[name] = np.exp(centre)
            table[f"{name}_lower"], table[f"{name}_upper"] = np.exp(ends[0]), np.exp(ends[1])
        return table

    def to_frame(self) -> pd.DataFrame:
        """Return one row a budget."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return exponents and budgets as plain values."""
        return {
            "method": self.method,
            "params": {
                f"{name}_exponent": values for name, values in self.exponents.T.to_dict().items()
            },
            "confidence_level": self.confidence_level,
            "interval_method": self.interval_method,
            "table": self.table.to_dict("records"),
            "log_centre": self.log_centre,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return draws and runs, which `save` keeps beside the JSON."""
        return {
            "line": self.line,
            "lines": self.lines,
            **{f"point_{name}": self.points[name].to_numpy(float) for name in self.points},
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Isoflops:
        """Return the result that `save` wrote."""
        rows = {k.removesuffix("_exponent"): v for k, v in values["params"].items()}
        table = pd.DataFrame(values["table"])
        numbers = [name for name in table if name != "status"]
        return cls(
            values["method"],
            table.astype(dict.fromkeys(numbers, float)),
            pd.DataFrame.from_dict(rows, orient="index").astype(float),
            arrays["line"],
            arrays["lines"],
            values["log_centre"],
            pd.DataFrame({k[6:]: a for k, a in arrays.items() if k.startswith("point_")}),
            values["confidence_level"],
            values["interval_method"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def summary(self) -> str:
        """Return the exponents in a sentence, the budgets, and how it was found."""
        row = self.exponents.loc["params"]
        used = int((self.table["status"] == "used").sum())
        far = self.predict(10 * self.table["flops"].max()).iloc[0]
        shown = self._shown().to_string(index=False)
        text = (
            f"The optimal model grows as C^{row['estimate']:.3f} "
            f"({percent(self.confidence_level)} between {row['ci_lower']:.3f} and "
            f"{row['ci_upper']:.3f}), from {used} of {len(self.table)} budgets; at "
            f"{format_scale(far['flops'], 'flops')} FLOPs it has {format_quantity(far['params'])} "
            f"[{format_quantity(far['params_lower'])}, {format_quantity(far['params_upper'])}] "
            f"params, {far['tokens_per_param']:.3g} tokens each.\n\n{shown}\n\n"
            f"minimum by: {self.method}; intervals: {self.interval_method}"
        )
        return with_notes(text, self.notes)

    def _shown(self) -> pd.DataFrame:
        """Return the budgets as text: each best size with its interval."""
        table = pd.DataFrame(
            {
                "FLOPs": self.table["flops"].map(format_quantity),
                "runs": self.table["runs"].astype(int),
            }
        )
        for name, write in (
            ("params", format_quantity),
            ("tokens", format_quantity),
            ("loss", "{:.4g}".format),
        ):
            ends = self.table[[name, f"{name}_lower", f"{name}_upper"]].to_numpy(float)
            table[f"best {name}" if name != "loss" else name] = [
                f"{write(at)} [{write(low)}, {write(high)}]" if np.isfinite(at) else ""
                for at, low, high in ends
            ]
        table["bottom inside"] = self.table["kept"].map("{:.0%}".format)
        return table.assign(status=self.table["status"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the isoFLOP curves with their minima; in a figure of its own also their growth.

        Returns the axes of the curves.
        """
        from scalekit.fitters.frontier_plots import plot_isoflops

        return plot_isoflops(self, ax)
