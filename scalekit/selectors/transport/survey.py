"""The map of transport costs over the simplex: certified bounds from a few solves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.selectors.simplex import (
    MixtureLike,
    as_mixtures,
    candidates,
    describe_mixture,
    simplex_grid,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.transport.mixture import MixtureTransport

LARGEST_GRID = 200


@dataclass(frozen=True, repr=False)
class MixtureSurvey(Result):
    """Bounds on the transport cost of many mixtures: `mixtures` (k, m), `lower` (k,), `upper`.

    `estimate` is the middle of the bounds; where a mixture was solved the bounds agree.
    """

    kind: ClassVar[str] = "mixture_survey"
    sources: tuple[str, ...]
    mixtures: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    anchors: np.ndarray
    cost: str
    notes: tuple[Note, ...]
    provenance: Provenance

    @property
    def estimate(self) -> np.ndarray:
        """The middle of the bounds, shape (k,)."""
        result: np.ndarray = (self.lower + self.upper) / 2
        return result

    @property
    def relative_gap(self) -> float:
        """The mean of (upper - lower) / estimate."""
        return float(np.mean((self.upper - self.lower) / np.maximum(self.estimate, 1e-300)))

    def summary(self) -> str:
        """Return the nearest and farthest mixture and how tight the bounds are."""
        near, far = self.estimate.argmin(), self.estimate.argmax()
        text = (
            f"Transport cost ({self.cost}) of {len(self.mixtures)} mixtures of "
            f"{len(self.sources)} sources, from {len(self.anchors)} solves\n"
            f"nearest: {describe_mixture(self.mixtures[near], self.sources)}: "
            f"{self.lower[near]:.5g} to {self.upper[near]:.5g}\n"
            f"farthest: {describe_mixture(self.mixtures[far], self.sources)}: "
            f"{self.lower[far]:.5g} to {self.upper[far]:.5g}\n"
            f"certified bounds, on average {self.relative_gap:.2%} apart"
        )
        return with_notes(text, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a mixture: shares, lower, upper."""
        shares = pd.DataFrame(self.mixtures, columns=list(self.sources))
        return shares.assign(lower=self.lower, upper=self.upper)

    def payload(self) -> dict[str, Any]:
        """Return the mixtures with their bounds, and the mixtures that were solved."""
        return {
            "sources": list(self.sources),
            "cost": self.cost,
            "mixtures": self.mixtures,
            "lower": self.lower,
            "upper": self.upper,
            "anchors": self.anchors,
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> MixtureSurvey:
        """Return the saved result."""
        names = ("mixtures", "lower", "upper", "anchors")
        return cls(
            sources=tuple(values["sources"]),
            cost=values["cost"],
            **{name: np.array(values[name], dtype=float) for name in names},
            notes=tuple(Note(**note) for note in values["notes"]),
            provenance=Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the map (two or three sources) or the bounds in order of distance (more)."""
        from scalekit.selectors.plots import draw_survey

        return draw_survey(self, ax)


def survey(
    problem: MixtureTransport, mixtures: MixtureLike | None, parts: int, anchors: int
) -> MixtureSurvey:
    """Bound the cost of each mixture; each new solve is where the bounds are furthest apart."""
    if mixtures is None:
        points = simplex_grid(len(problem.sources), parts) if len(problem.sources) <= 4 else (
            candidates(len(problem.sources), LARGEST_GRID, np.random.default_rng(0))
        )  # fmt: skip
    else:
        points = as_mixtures(mixtures, problem.sources)
    known = len(problem.cuts)
    problem.announce(max(anchors, len(problem.sources) + 1))
    problem.solve_vertices()
    lower, upper = problem.lower(points), problem.upper(points)
    while len(problem.cuts) - known < max(anchors, len(problem.sources) + 1):
        widest = int(np.argmax(upper - lower))
        if upper[widest] - lower[widest] <= 1e-9 * abs(upper[widest]):
            break
        problem.solve(points[widest])
        lower, upper = problem.lower(points), problem.upper(points)
    return MixtureSurvey(
        problem.sources,
        points,
        np.minimum(lower, upper),
        upper,
        np.array([cut.mixture for cut in problem.cuts]),
        problem.cost,
        problem.notes,
        problem.provenance,
    )
