"""`perceptron`: the error that a pruned training set leaves, from theory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.selectors.pruning_theory.fields import SIDES, Fields, kept_fields
from scalekit.selectors.pruning_theory.margin import find_student

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Perceptron(Result):
    """Theory at one or many settings: `table` has one row a setting.

    Columns: examples_per_dimension (before pruning), keep, angle, side, kept_per_dimension, error
    (share of new examples misclassified), overlap (cosine of student and teacher), probe_overlap
    (of student and probe), margin. Exact in the limit of many dimensions; there is nothing to
    estimate, and so no interval.
    """

    kind: ClassVar[str] = "perceptron"
    table: pd.DataFrame
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance(source="theory"))

    def _values(self, name: str) -> Any:
        values = self.table[name].to_numpy(float)
        return float(values[0]) if len(values) == 1 else values

    @property
    def error(self) -> Any:
        """The error, a number for one setting, else an array (settings,)."""
        return self._values("error")

    @property
    def overlap(self) -> Any:
        """The cosine between student and teacher."""
        return self._values("overlap")

    @property
    def probe_overlap(self) -> Any:
        """The cosine between student and probe."""
        return self._values("probe_overlap")

    @property
    def margin(self) -> Any:
        """The margin of the unit student on the kept examples."""
        return self._values("margin")

    def summary(self) -> str:
        """Return the table as text."""
        shown = self.table.to_string(index=False, float_format="{:.5g}".format)
        return with_notes(f"Max-margin perceptron on pruned examples\n\n{shown}", self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a setting."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return the table's rows."""
        return {"params": {}, "settings": self.table.to_dict("records")}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Perceptron:
        """Return what `save` wrote."""
        return cls(pd.DataFrame(values["settings"]))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw error against kept examples a dimension, one line for each share kept."""
        from scalekit.selectors.pruning_theory.theory_plots import plot_errors

        return plot_errors(self, ax)


def perceptron(
    examples_per_dimension: ArrayLike,
    keep: ArrayLike = 1.0,
    angle: ArrayLike = 0.0,
    side: str = "hard",
) -> Perceptron:
    """Return the error of a max-margin perceptron trained on the kept share of its examples.

    `examples_per_dimension` counts them BEFORE pruning; of these the share `keep` with the
    smallest margin (side="hard"), the largest ("easy") or any ("random") stay. Margins are those
    of a probe at `angle` radians from the teacher. Arguments broadcast; one row each.

    Raises InputError for a number of examples that is not positive, keep outside (0, 1], an angle
    outside [0, pi/2). Source: Sorscher et al. 2022, sections 2 and A; solved in a convex form.

    >>> [round(perceptron(8.0, keep=0.5, side=side).error, 3) for side in ("hard", "random")]
    [0.061, 0.114]
    """
    if side not in SIDES:
        raise InputError(f"side must be one of {', '.join(SIDES)}; got '{side}'.")
    total, share, turn = np.broadcast_arrays(
        *(np.asarray(value, dtype=float) for value in (examples_per_dimension, keep, angle))
    )
    for good, what in (
        (np.isfinite(total) & (total > 0), "examples_per_dimension must be positive"),
        ((share > 0) & (share <= 1), "keep must lie above 0 and at most at 1"),
        ((turn >= 0) & (turn < np.pi / 2), "angle is in radians, from 0 to below pi/2"),
    ):
        if not good.all():
            at = np.flatnonzero(~good.ravel())[0]
            got = {"e": total, "k": share, "a": turn}[what[0]].ravel()[at]
            raise InputError(f"{what}; got {got:g}.")
    rows = [
        (t, f, a, side, t * f, *_solve(float(t * f), float(f), float(a), side))
        for t, f, a in zip(total.ravel(), share.ravel(), turn.ravel(), strict=True)
    ]
    names = ["examples_per_dimension", "keep", "angle", "side", "kept_per_dimension"]
    return Perceptron(pd.DataFrame(rows, columns=[*names, "error", "overlap", "probe_overlap",
                                                  "margin"]))  # fmt: skip


@lru_cache(maxsize=256)
def fields_of(keep: float, angle: float, side: str) -> Fields:
    """Return the kept examples' quadrature; a map asks for the same ones many times."""
    return kept_fields(keep, angle, side)


def _solve(alpha: float, keep: float, angle: float, side: str) -> tuple[float, ...]:
    whole = side == "random" or keep == 1
    fields = fields_of(1.0, 0.0, "random") if whole else fields_of(keep, angle, side)
    student = find_student(alpha, fields)
    overlap = 1 / student.norm
    error = np.arctan2(np.hypot(student.beta, student.chi), 1.0) / np.pi
    probe = (np.cos(angle) + student.beta * np.sin(angle)) * overlap
    return float(error), overlap, float(probe), student.scale * overlap
