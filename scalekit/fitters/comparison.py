"""The result of a comparison: who is ahead where, how surely, and what a wrong choice costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.fitters import comparison_store
from scalekit.fitters.comparison_tables import (
    At,
    choose_pair,
    difference_table,
    law_table,
    positive_scales,
    win_table,
)
from scalekit.fitters.comparison_words import (
    advise,
    summarise,
    verdict_notes,
    verdict_sentence,
)
from scalekit.fitters.crossover import Crossover
from scalekit.fitters.curve import Curve
from scalekit.fitters.efficiency import times_less_at
from scalekit.fitters.find_crossing import find_crossover
from scalekit.fitters.fitted import Fit
from scalekit.fitters.law import Law
from scalekit.notes import Note
from scalekit.results import Provenance, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.fitters.plan import Plan

VERDICT_NOTES = (
    "far_extrapolation", "below_the_runs", "drift", "hangs_on_law", "crossover_not_identified",
    "crossing_beyond_data", "several_crossings",
)  # fmt: skip
DECADES_ON = 2.0  # the default range of a crossing goes this far beyond the largest run


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Systems compared along one scale.

    `fits` holds the fit of each system under the first law, `others` those under each other law,
    with joint draws: row b of all systems is one resample. `drifts`, of shape (systems, draws of
    all laws), is what the laws may get wrong beyond the data. `runs`
    holds all runs (columns `system`, the scales, `loss`), `asked` the scales asked about.
    """

    by: str
    along: str
    select: str
    fits: Mapping[str, Fit]
    drifts: np.ndarray
    asked: np.ndarray
    confidence_level: float
    interval_method: str
    runs: pd.DataFrame
    notes: tuple[Note, ...]
    provenance: Provenance
    others: tuple[Mapping[str, Fit], ...] = ()
    kind: ClassVar[str] = "comparison"

    @property
    def systems(self) -> tuple[str, ...]:
        """The names of the systems."""
        return tuple(self.fits)

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """The curve of each system, with its draws."""
        systems = self.runs["system"].astype(str).to_numpy()
        scales = self.runs[self.along].to_numpy(float)
        return {
            name: Curve(fit, self.along, drift, tuple(other[name] for other in self.others),
                        scales[systems == name])
            for (name, fit), drift in zip(self.fits.items(), self.drifts, strict=True)
        }  # fmt: skip

    @property
    def laws(self) -> tuple[Law, ...]:
        """The laws that share the draws."""
        return tuple(next(iter(fits.values())).law for fits in (self.fits, *self.others))

    @property
    def reach(self) -> float:
        """The largest scale that any system was run at."""
        return max(curve.span[1] for curve in self.curves.values())

    @property
    def drift(self) -> float:
        """The standard deviation of one system's own change of slope beyond the data, as drawn."""
        if self.drifts.shape[1] == 0:
            return 0.0
        return float(np.sqrt(np.var(self.drifts, axis=0, ddof=1).mean()))

    def win_probability(self, at: At | None = None) -> pd.DataFrame:
        """Return, for each scale of `at` and each system, whether it would be the best choice.

        Columns: `at, system, predicted, ci_lower, ci_upper` (the loss), `win_probability` (the
        share of joint draws in which it has the lowest loss), `regret` (by what share its loss
        exceeds the best one's on average, if it is chosen) and `extrapolation` (decades beyond
        the system's largest run).
        """
        return win_table(self, self.asked if at is None else positive_scales(at))

    def difference(
        self, at: At, first: str | None = None, second: str | None = None
    ) -> pd.DataFrame:
        """Return by what share the loss of `second` differs from that of `first` (negative: lower).

        Columns: `at, difference, ci_lower, ci_upper, probability_lower`.
        """
        return difference_table(self, positive_scales(at), *choose_pair(self, first, second))

    def efficiency(
        self, at: At, first: str | None = None, second: str | None = None
    ) -> pd.DataFrame:
        """Return how many times less of the scale `second` needs for the loss of `first` at `at`.

        Columns: `at, ratio, ci_lower, ci_upper`. A ratio of 2 means half the compute; zero stands
        for "does not reach that loss within six decades" and infinity for "always has it".
        """
        first, second = choose_pair(self, first, second)
        curves = self.curves
        return times_less_at(
            curves[first], curves[second], positive_scales(at), self.confidence_level
        )

    def crossover(
        self,
        first: str | None = None,
        second: str | None = None,
        within: tuple[float, float] | None = None,
    ) -> Crossover:
        """Return where two systems cross; of more than two, the best two at the last asked scale.

        `within` is the range looked at; default from the smallest run to 100 times the largest,
        or to the last asked scale where that is further.
        """
        first, second = choose_pair(self, first, second)
        curves = {name: self.curves[name] for name in (first, second)}
        if within is None:
            low = min(curve.span[0] for curve in curves.values())
            high = max(curve.span[1] for curve in curves.values()) * 10**DECADES_ON
            within = (low, max(high, float(np.max(self.asked, initial=0.0))))
        return find_crossover(curves, first, second, within, self.confidence_level, self.provenance)

    def under(self, law: str) -> Comparison:
        """Return the comparison under one of its laws alone, with that law's draws."""
        names = [one.name for one in self.laws]
        if law not in names:
            raise InputError(f"This comparison has no law '{law}'. {did_you_mean(law, names)}")
        fits = (self.fits, *self.others)
        sizes = [len(next(iter(block.values())).draws) for block in fits]
        k = names.index(law)
        start = sum(sizes[:k])
        own = self.drifts[:, start : start + sizes[k]] if self.drifts.size else self.drifts
        return replace(self, fits=fits[k], others=(), drifts=own)

    def by_law(self) -> pd.DataFrame:
        """Return what each law alone says: how far the answer hangs on the law.

        Columns: `law`, `best` at the last asked scale, its `win_probability`, and of the crossing
        (of the same two systems) `winner`, `median`, `ci_lower`, `ci_upper`, `status`.
        """
        return law_table(self)

    def decide(self, at: At) -> Comparison:
        """Return the comparison with the verdict at these scales in its table and summary."""
        asked = np.unique(positive_scales(at))
        kept = tuple(note for note in self.notes if note.code not in VERDICT_NOTES)
        moved = replace(self, asked=asked, notes=kept)
        return replace(moved, notes=(*kept, *verdict_notes(moved)))

    def sentence(self) -> str:
        """Return the verdict at the last asked scale."""
        return verdict_sentence(self)

    def advice(self) -> str:
        """Return which few runs would do most to settle the verdict; empty where it is settled."""
        return advise(self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a system and asked scale: loss, interval, win probability, regret."""
        return self.win_probability()

    def summary(self) -> str:
        """Return the verdict in sentences, the table, and how it was made."""
        return summarise(self)

    def payload(self) -> dict[str, Any]:
        """Return the verdict, the crossover and the fits as plain values."""
        return comparison_store.payload_of(self)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return draws and data, which `save` keeps beside the JSON."""
        return comparison_store.arrays_of(self)

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Comparison:
        """Return the comparison that `save` wrote."""
        return cls(**comparison_store.fields_of(values, arrays))

    def plot(self, ax: Axes | None = None, plan: Plan | None = None) -> Axes:
        """Draw runs and curves with their bands, the crossing, and the runs of a plan."""
        from scalekit.fitters.comparison_plots import plot_comparison

        return plot_comparison(self, ax, plan)

    def plot_win_probability(self, ax: Axes | None = None) -> Axes:
        """Draw each system's probability of being the best along the scale."""
        from scalekit.fitters.comparison_plots import plot_win_probability

        return plot_win_probability(self, ax)
