"""The result of asking where two systems cross: scale, interval, probability, or "none"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.notes import Note
from scalekit.results import Interval, Provenance, Result, with_notes
from scalekit.units import format_scale, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SURE = 0.9  # probability from which on a crossing, or its absence, counts as found


@dataclass(frozen=True, repr=False)
class Crossover(Result):
    """Where `winner` overtakes `loser` along `along`, within `within`.

    The crossing of the two fits is followed through the draws: each gives its nearest scale at
    which the winner overtakes. `median` and `interval` are over all draws, also those without
    one: they lie beyond an end, and an end of the interval that falls there is put at the range's
    end and told in `open_below` or `open_above`. `probability` is the share of draws with such a
    crossing in the range, `probability_observed` in the scales that both systems were run at,
    `ahead_at_end` the share in which the winner leads at the range's end. `counts` holds the
    shares of draws with no, one, two or more crossings. `estimates` are all crossings of the two
    fits themselves and `order` the winner before, between and after them. `status` is "crosses",
    "none in range" or "not identified".
    """

    winner: str
    loser: str
    along: str
    within: tuple[float, float]
    observed: tuple[float, float]
    status: str
    estimates: tuple[float, ...]
    order: tuple[str, ...]
    in_the_limit: str
    median: float
    interval: Interval
    open_below: bool
    open_above: bool
    probability: float
    probability_observed: float
    counts: Mapping[str, float]
    ahead_at_start: float
    ahead_at_end: float
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "crossover"

    def to_frame(self) -> pd.DataFrame:
        """Return one row with the answer."""
        return pd.DataFrame([self.answer()])

    def answer(self) -> dict[str, Any]:
        """Return the answer as plain values."""
        return {
            "status": self.status,
            "winner": self.winner,
            "loser": self.loser,
            "along": self.along,
            "median": self.median,
            "ci_lower": self.interval.lower,
            "ci_upper": self.interval.upper,
            "open_below": self.open_below,
            "open_above": self.open_above,
            "probability": self.probability,
            "probability_observed": self.probability_observed,
        }

    def payload(self) -> dict[str, Any]:
        """Return the whole answer."""
        return self.answer() | {
            "params": {},
            "within": list(self.within),
            "observed": list(self.observed),
            "estimates": list(self.estimates),
            "order": list(self.order),
            "in_the_limit": self.in_the_limit,
            "counts": dict(self.counts),
            "ahead_at_start": self.ahead_at_start,
            "ahead_at_end": self.ahead_at_end,
            "confidence_level": self.interval.confidence_level,
            "interval_method": self.interval.method,
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Crossover:
        """Return the crossover that `save` wrote."""
        ends = [np.nan if values[end] is None else values[end] for end in ("ci_lower", "ci_upper")]
        plain = (
            *("winner", "loser", "along", "status", "in_the_limit", "open_below", "open_above"),
            *("probability", "probability_observed", "ahead_at_start", "ahead_at_end"),
        )
        return cls(
            within=tuple(values["within"]),
            observed=tuple(values["observed"]),
            estimates=tuple(values["estimates"]),
            order=tuple(values["order"]),
            median=np.nan if values["median"] is None else values["median"],
            interval=Interval(
                ends[0], ends[1], values["confidence_level"], values["interval_method"]
            ),
            counts=dict(values["counts"]),
            notes=tuple(Note(**note) for note in values["notes"]),
            provenance=Provenance.from_dict(values["provenance"]),
            **{name: values[name] for name in plain},
        )

    def sentence(self) -> str:
        """Return the answer in one sentence."""
        low, high = (format_scale(end, self.along) for end in self.within)
        span = f"between {low} and {high} {self.along}"
        if self.status == "none in range":
            return (
                f"{self.winner} is ahead of {self.loser} throughout {span}: they cross there with "
                f"probability {probability_text(self.probability)} only"
            )
        level = percent(self.interval.confidence_level)
        ends = (self.interval.lower, self.interval.upper)
        lower, upper = (format_scale(end, self.along) for end in ends)
        lower = f"below {lower}" if self.open_below else lower
        upper = f"beyond {upper}" if self.open_above else upper
        chance = probability_text(self.probability)
        if self.status == "crosses":
            return (
                f"{self.winner} overtakes {self.loser} at {format_scale(self.median, self.along)} "
                f"{self.along} ({level} between {lower} and {upper}; they cross {span} with "
                f"probability {chance})"
            )
        if self.ahead_at_end >= SURE and not self.open_above:
            return (
                f"{self.winner} is ahead of {self.loser} from {upper} {self.along} on at the "
                f"latest ({level}); whether they cross below that is not identified by these runs "
                f"(probability {chance} {span})"
            )
        return (
            f"Where {self.winner} and {self.loser} cross is not identified by these runs: they "
            f"cross {span} with probability {chance} ({level} interval of the scale at which "
            f"{self.winner} would overtake: {lower} to {upper})"
        )

    def summary(self) -> str:
        """Return the sentence, who is ahead where, and how it was found."""
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.counts.items())
        run = " to ".join(format_scale(end, self.along) for end in self.observed)
        places = ", ".join(format_scale(x, self.along) for x in self.estimates) or "nowhere"
        lines = [
            self.sentence() + ".",
            f"the fits without resampling cross at: {places}; ahead in turn: "
            f"{', then '.join(self.order)}; in the limit: {self.in_the_limit}",
            f"crossings in a resample: {shares}; inside the scales that were run ({run}): "
            f"probability {probability_text(self.probability_observed)}",
            f"intervals: {self.interval.method}",
        ]
        return with_notes("\n".join(lines), self.notes)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the interval of the crossing over the range that was asked."""
        from scalekit.fitters.comparison_plots import plot_crossover

        return plot_crossover(self, ax)


def probability_text(value: float) -> str:
    """Return a probability as text: .97, >.99, <.01 (a share of draws is never exactly 0 or 1)."""
    if value > 0.99:
        return "above .99"
    return "below .01" if value < 0.01 else f"{value:.2f}".lstrip("0")
