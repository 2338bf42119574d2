"""The mixture of least transport cost, by cutting planes, with a certified gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.selectors.simplex import describe_mixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.transport.mixture import MixtureTransport


TIED = 1e-11


@dataclass(frozen=True, repr=False)
class ClosestMixture(Result):
    """The mixture of least cost: its shares, its cost, a bound below which no mixture can go."""

    kind: ClassVar[str] = "closest_mixture"
    mixture: Mapping[str, float]
    value: float
    lower: float
    solves: int
    history: tuple[float, ...]
    cost: str
    notes: tuple[Note, ...]
    provenance: Provenance

    @property
    def gap(self) -> float:
        """The certified relative gap: no mixture is closer than (1 - gap) times `value`."""
        return (self.value - self.lower) / max(abs(self.value), 1e-300)

    def summary(self) -> str:
        """Return the mixture and its certified gap as text."""
        shares = describe_mixture(np.array(list(self.mixture.values())), list(self.mixture))
        text = (
            f"Closest mixture: {shares}\n"
            f"transport cost {self.value:.6g} ({self.cost}); no mixture is below {self.lower:.6g} "
            f"(certified gap {100 * self.gap:.2g} %, {self.solves} solves)"
        )
        return with_notes(text, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a source: its share."""
        return pd.DataFrame({"source": list(self.mixture), "share": list(self.mixture.values())})

    def payload(self) -> dict[str, Any]:
        """Return the mixture, the bounds and the number of solves."""
        return {
            "mixture": dict(self.mixture),
            "value": self.value,
            "lower": self.lower,
            "gap": self.gap,
            "solves": self.solves,
            "history": list(self.history),
            "cost": self.cost,
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ClosestMixture:
        """Return the saved result."""
        names = ("mixture", "value", "lower", "solves", "cost")
        return cls(
            **{name: values[name] for name in names},
            history=tuple(values["history"]),
            notes=tuple(Note(**note) for note in values["notes"]),
            provenance=Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the shares as bars."""
        from scalekit.selectors.plots import draw_shares

        return draw_shares(self.mixture, f"closest mixture, cost {self.value:.4g}", ax)


def closest(problem: MixtureTransport, tolerance: float, max_solves: int) -> ClosestMixture:
    """Minimise the cost over the simplex by Kelley's cutting planes, steps damped by half.

    The least value of the cuts' maximum is a lower bound for every mixture; the best solve is
    an upper bound; the search ends when they meet.
    """
    if max_solves < 1:
        raise InputError(f"max_solves (--solves) must be at least 1; got {max_solves}.")
    if not tolerance >= 0:
        raise InputError(f"tolerance is a relative gap, 0 or more; got {tolerance}.")
    problem.announce(max_solves)
    count = len(problem.sources)
    known = len(problem.cuts)
    point = np.full(count, 1 / count)
    best, mixture, lower, history = np.inf, point, -np.inf, []
    for cut in problem.cuts:
        if cut.value < best:
            best, mixture = cut.value, cut.mixture
    for _ in range(max_solves):
        cut = problem.solve(point)
        if cut.value < best:
            best, mixture = cut.value, cut.mixture
        target, bound = _least_of_cuts(problem)
        lower = max(lower, min(bound, best))
        if best - lower <= TIED * max(abs(cut.value) for cut in problem.cuts):
            lower = best  # met to rounding; matters where the least cost is zero
        history.append((best - lower) / max(abs(best), 1e-300))
        if best - lower <= tolerance * abs(best):
            break
        point = 0.5 * target + 0.5 * mixture
        if _solved(problem, point):
            point = target
        if _solved(problem, point):
            break
    notes = (*problem.notes, *_gap_note(best, lower, tolerance, len(problem.cuts) - known))
    return ClosestMixture(
        dict(zip(problem.sources, map(float, mixture), strict=True)),
        float(best),
        float(lower),
        len(problem.cuts) - known,
        tuple(history),
        problem.cost,
        notes,
        problem.provenance,
    )


def _solved(problem: MixtureTransport, point: np.ndarray) -> bool:
    return any(np.allclose(cut.mixture, point, atol=1e-12) for cut in problem.cuts)


def _least_of_cuts(problem: MixtureTransport) -> tuple[np.ndarray, float]:
    """Return where the cuts' maximum is least, and a bound below it.

    The tolerances of the linear program are absolute, so it is scaled to the costs, and the bound
    is not its optimum but that of its multipliers' mean cut, which holds whatever they are.
    """
    from scipy.optimize import linprog

    count = len(problem.sources)
    scale = max(abs(cut.value) for cut in problem.cuts) or 1.0
    slopes = np.array([cut.slope for cut in problem.cuts]) / scale
    offsets = np.array([cut.offset for cut in problem.cuts]) / scale
    found = linprog(
        np.r_[np.zeros(count), 1.0],
        A_ub=np.column_stack([slopes, -np.ones(len(slopes))]),
        b_ub=-offsets,
        A_eq=np.r_[np.ones(count), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, 1)] * count + [(None, None)],
    )
    assert found.x is not None
    point = np.maximum(found.x[:count], 0)
    multipliers = np.maximum(-found.ineqlin.marginals, 0)
    multipliers /= multipliers.sum()
    bound = (multipliers @ slopes).min() + multipliers @ offsets
    return point / point.sum(), scale * float(bound)


def _gap_note(best: float, lower: float, tolerance: float, solves: int) -> list[Note]:
    gap = (best - lower) / max(abs(best), 1e-300)
    if gap <= tolerance:
        return []
    message = (
        f"The search ended at a certified gap of {100 * gap:.2g} % after {solves} solves; "
        "raise max_solves (--solves) or tolerance."
    )
    return [Note("gap-open", "warning", message)]
