"""Roll-outs: what each law would have forecast, had it been asked earlier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.fitters.combined import furthest_origins
from scalekit.fitters.forms import HORIZON, TRIMMINGS, candidates_for
from scalekit.fitters.law import Law
from scalekit.fitters.rolling import judgeable, roll, to_frame
from scalekit.fitters.stacking import block_scores
from scalekit.fitters.study import make_study
from scalekit.fitters.study_inputs import choose_along
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.tables import RunTable
from scalekit.units import format_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS = 4  # of the distance beyond the origin, in which errors are summarised


@dataclass(frozen=True, eq=False, repr=False)
class RollOut(Result):
    """Forecasts from earlier origins, against what came.

    `table` has one row for each held-out run, origin and candidate: the columns that name the
    curve, `origin` (the size at which the forecaster stood), `candidate`, `factor` (how many
    times larger than the largest run seen), `observed`, `predicted` and `error` (log of predicted
    over observed).
    """

    table: pd.DataFrame
    along: str
    horizon: float
    scores: pd.DataFrame
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "roll_out"

    def to_frame(self) -> pd.DataFrame:
        """Return the table of forecasts."""
        return self.table.copy()

    def by_distance(self) -> pd.DataFrame:
        """Return the root mean squared error of each candidate in bands of distance.

        `factor` is the largest one of its band, `rows` the number of forecasts in it.
        """
        table = self.table.copy()
        edges = np.unique(np.quantile(table["factor"], np.linspace(0, 1, BANDS + 1)))
        band = np.clip(np.searchsorted(edges, table["factor"], side="left"), 1, len(edges) - 1)
        table["factor"] = edges[band]
        grouped = table.groupby(["candidate", "factor"], sort=False)["error"]
        found = grouped.agg(error=lambda e: np.sqrt(np.mean(e**2)), bias="mean", rows="size")
        return found.reset_index().sort_values(["candidate", "factor"], ignore_index=True)

    def summary(self) -> str:
        """Return the candidates, best first, and their errors near and far."""
        origins = ", ".join(
            format_scale(o, self.along) for o in sorted(self.table["origin"].unique())[:8]
        )
        far = self.by_distance().pivot_table("error", "candidate", "factor")
        heads = "".join(f"{f'to {factor:.2g}x':>10}" for factor in far)
        lines = [
            f"{self.provenance.source}: forecasts along {self.along}, up to {self.horizon:g} times "
            f"beyond the origins {origins}",
            f"  {'candidate':<40} {'error':>8}{heads}",
        ]
        for row in self.scores.to_dict("records"):
            near = "".join(f"{value:>10.2%}" for value in far.loc[row["candidate"]])
            lines.append(f"  {row['candidate']:<40} {row['error']:>8.2%}{near}")
        lines.append(
            "  (root mean squared error of log loss: the mean over origins, then by distance)"
        )
        return with_notes("\n".join(lines), self.notes)

    def payload(self) -> dict[str, Any]:
        """Return the scores and the errors by distance."""
        return {
            "along": self.along,
            "horizon": self.horizon,
            "params": {},
            "scores": self.scores.to_dict("records"),
            "by_distance": self.by_distance().to_dict("records"),
            "forecasts": self.table.to_dict("records"),
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> RollOut:
        """Return the roll-out that `save` wrote."""
        return cls(
            pd.DataFrame(values["forecasts"]),
            values["along"],
            values["horizon"],
            pd.DataFrame(values["scores"]),
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the error of each candidate against how far it forecast."""
        from scalekit.fitters.forecast_plots import plot_roll_out

        return plot_roll_out(self, ax)


def roll_out(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    laws: str | Law | Sequence[str | Law] | None = None,
    *,
    by: str | Sequence[str] = (),
    along: str | None = None,
    trimmings: float | Sequence[float] = TRIMMINGS,
    horizon: float = HORIZON,
    weights: str | None = None,
) -> RollOut:
    """Fit on the small runs, test on the larger ones, at every origin.

    Each candidate (a law, without a share of the smallest runs) is fitted to the runs up to an
    origin and forecasts those up to `horizon` times larger. Origins lie one horizon below the
    largest run, and further below as long as enough runs are left. With `by`, every curve has its
    own origins. The arguments are those of `choose_law`. Deterministic.

    Raises InputError where there are too few runs for any roll-out.

    >>> import numpy as np
    >>> flops = np.geomspace(1e16, 1e20, 20)
    >>> runs = {"flops": flops, "loss": 1.7 + 80 * flops**-0.09}
    >>> out = roll_out(runs, ["power", "power_constant"])
    >>> out.scores["candidate"][0]
    'power_constant'
    """
    size = choose_along(runs, along)
    candidates = candidates_for(runs, laws, size, trimmings)
    named = [by] if isinstance(by, str) else list(by)
    study = make_study(runs, candidates[0].law.scales, size, named, weights)
    fewest = max(2 * min(len(candidate.law.parameters) for candidate in candidates), 4)
    origins, horizon = furthest_origins(study, horizon, fewest)
    candidates, left_out = judgeable(study, candidates, origins)
    found = roll(study, candidates, origins, horizon)
    names = [candidate.name for candidate in candidates]
    errors = block_scores(found)
    scores = pd.DataFrame(
        {"candidate": names, "error": errors.mean(axis=0), "worst_error": errors.max(axis=0)}
    ).sort_values("error", ignore_index=True)
    table = to_frame(found, names, study.keys, origins)
    return RollOut(table, size, horizon, scores, (*study.notes, *left_out), study.provenance)
