"""Which law? Not one winner but a combination, weighted by roll-outs: `choose_law(runs)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.fitters.candidates import Fitted
from scalekit.fitters.combination_store import (
    combination_arrays,
    combination_from,
    combination_values,
)
from scalekit.fitters.combined import Combination, combine, count_of
from scalekit.fitters.criteria import information_criteria
from scalekit.fitters.fitted import robust_deviation
from scalekit.fitters.forecast_words import (
    describe_scores,
    horizon_notes,
    rival_notes,
    untried_notes,
)
from scalekit.fitters.forms import HORIZON, TRIMMINGS, candidates_for
from scalekit.fitters.law import Law
from scalekit.fitters.model import to_natural
from scalekit.fitters.outliers import outlier_notes
from scalekit.fitters.prediction import (
    Prediction,
    asked_scales,
    describe_predictions,
    extrapolation,
)
from scalekit.fitters.study import Rows, Study, make_study
from scalekit.fitters.study_inputs import choose_along, size_of
from scalekit.notes import Note
from scalekit.results import Provenance, Result, check_level, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.tables import RunTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Choice(Result):
    """Laws judged by roll-outs, and their combination.

    `combination` forecasts; `criteria` is a table of information criteria, one row an untrimmed
    law. `size`, `loss` and `scales` are the runs; `asked` a table of predictions.
    """

    combination: Combination
    criteria: pd.DataFrame
    along: str
    scales: Mapping[str, np.ndarray]
    size: np.ndarray
    loss: np.ndarray
    confidence_level: float
    notes: tuple[Note, ...]
    provenance: Provenance
    asked: pd.DataFrame | None = None
    kind: ClassVar[str] = "choice"

    @property
    def law(self) -> Law:
        """The law that weighs most in the combination."""
        return self.combination.fits[int(self.combination.weights.argmax())].candidate.law

    @property
    def weights(self) -> pd.Series:
        """The weight of each candidate, by name."""
        return pd.Series(self.combination.weights, index=self.combination.names)

    @property
    def params(self) -> pd.DataFrame:
        """The parameters of every candidate at the full data, one row a parameter."""
        rows = [
            (fit.candidate.name, name, value)
            for fit in self.combination.fits
            for name, value in zip(fit.law.names, self._natural(fit), strict=True)
        ]
        return pd.DataFrame(rows, columns=["candidate", "parameter", "estimate"])

    def _natural(self, fit: Fitted) -> np.ndarray:
        return to_natural(fit.theta[0], fit.law.parameters)

    def predict(
        self,
        at: pd.DataFrame | Mapping[str, Any] | None = None,
        *,
        confidence_level: float | None = None,
        **scales: Any,
    ) -> Prediction:
        """Return the combined loss at scales, with the intervals of the mean and of one new run.

        Give scales as in `Fit.predict`. The widths are those of roll-out errors at the same log
        distance. Raises ColumnNotFoundError where a scale is missing.
        """
        level = check_level(self.confidence_level if confidence_level is None else confidence_level)
        asked = asked_scales(self, at, scales)
        ahead = self.combination.ahead(
            np.zeros(len(asked), dtype=int),
            {name: asked[name].to_numpy(float) for name in self.law.scales},
            size_of(asked, self.along),
        )
        table = pd.concat([asked, self.combination.intervals(ahead, level)], axis=1)
        decades, scale = extrapolation(self, asked)
        along = ahead.distance / np.log(10)
        furthest = np.maximum(along, decades)
        table["domain"] = np.where(furthest > 0, "extrapolation", "interpolation")
        table["extrapolation"] = furthest
        table["extrapolation_in"] = np.where(decades > along, scale, self.along)
        table.loc[furthest == 0, "extrapolation_in"] = ""
        blocks = self.combination.calibration.blocks
        notes = [*self.combination.notes(ahead, self.along)]
        notes += untried_notes(asked, along, decades, scale, self.along)
        return Prediction(
            table,
            f"combination of {int((self.combination.weights > 0.005).sum())} forms",
            level,
            f"roll-out errors at {blocks} origin" + ("s" if blocks != 1 else ""),
            tuple(notes),
            self.provenance,
        )

    def with_predictions(
        self, at: pd.DataFrame | Mapping[str, Any] | None = None, **scales: Any
    ) -> Choice:
        """Return the choice with predictions at these scales in its summary and JSON."""
        found = self.predict(at, **scales)
        return Choice(**{**vars(self), "asked": found.table, "notes": (*self.notes, *found.notes)})

    def to_frame(self) -> pd.DataFrame:
        """Return one row a candidate: weight, probability, roll-out errors, AIC and BIC."""
        return self.combination.scores().merge(self.criteria, on="candidate", how="left")

    def summary(self) -> str:
        """Return the asked predictions, the candidates, the combination's worth, the notes."""
        found = self.combination
        factor = np.exp(found.past.distance.max())
        lines = []
        if self.asked is not None:
            lines += [describe_predictions(self.asked, self.confidence_level), ""]
        lines += [
            f"{len(self.loss)} rows of {self.provenance.source}; "
            f"{count_of(found.calibration.blocks)} along {self.along}, "
            f"up to {factor:.3g} times beyond",
            describe_scores(self.to_frame()),
            f"  combination of all: error {found.combined_error():.2%} of the loss on the "
            "roll-outs that its weights were chosen on",
        ]
        return with_notes("\n".join(lines), self.notes)

    def payload(self) -> dict[str, Any]:
        """Return candidates with weights, probabilities, errors and criteria."""
        return {
            "along": self.along,
            "confidence_level": self.confidence_level,
            "n_rows": len(self.loss),
            "params": {},
            "candidates": self.to_frame().to_dict("records"),
            "criteria": self.criteria.to_dict("records"),
            "combination": combination_values(self.combination),
            "predictions": [] if self.asked is None else self.asked.to_dict("records"),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return fits, roll-outs and runs."""
        scales = {f"scale_{name}": scale for name, scale in self.scales.items()}
        return {
            "size": self.size,
            "loss": self.loss,
            **scales,
            **combination_arrays(self.combination),
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Choice:
        """Return the choice that `save` wrote."""
        return cls(
            combination_from(values["combination"], arrays),
            pd.DataFrame(values["criteria"]),
            values["along"],
            {name[6:]: array for name, array in arrays.items() if name.startswith("scale_")},
            arrays["size"],
            arrays["loss"],
            values["confidence_level"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
            pd.DataFrame(values["predictions"]) if values["predictions"] else None,
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the forecast fan: runs, what earlier origins forecast, and the way ahead."""
        from scalekit.fitters.forecast_plots import plot_fan

        return plot_fan(self, ax)

    def plot_calibration(self, ax: Axes | None = None) -> Axes:
        """Draw how often intervals held on the roll-outs, against their level."""
        from scalekit.fitters.forecast_plots import plot_calibration

        return plot_calibration([self.combination], ax)


def choose_law(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    laws: str | Law | Sequence[str | Law] | None = None,
    *,
    along: str | None = None,
    trimmings: float | Sequence[float] = TRIMMINGS,
    horizon: float = HORIZON,
    weights: str | None = None,
    rows: Rows = "single",
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Choice:
    """Judge laws by how well they forecast from the small to the large, and combine them.

    From every origin, candidates are fitted to the runs below and forecast those up to `horizon`
    times larger: each law on all runs, and without the given shares (`trimmings`) of the smallest
    ones. Weights come from stacking, probabilities from drawing the roll-outs again, intervals
    from the roll-out errors at the same log distance. `laws` are names, formulas or laws on the
    same scales; the default are those of params and tokens where both are there, else laws of one
    scale. `along` is the size along which origins lie (default: FLOPs, or the one scale).
    `weights` names a column ("noise": standard errors, shrunk); `rows` says what the rows of one
    curve are, as in `fit_many`.

    Raises InputError where there are too few runs for any roll-out.

    >>> import numpy as np
    >>> flops = np.geomspace(1e16, 1e20, 20)
    >>> choice = choose_law({"flops": flops, "loss": 1.7 + 80 * flops**-0.09}, rng=0)
    >>> choice.to_frame()["candidate"][0]
    'power_constant'
    """
    level = check_level(confidence_level)
    size = choose_along(runs, along)
    candidates = candidates_for(runs, laws, size, trimmings)
    scales = candidates[0].law.scales
    study = make_study(runs, scales, size, (), weights, rows)
    fewest = 2 * min(len(candidate.law.parameters) for candidate in candidates)
    found, left_out = combine(study, candidates, horizon, as_generator(rng), max(fewest, 4))
    present = study.present[0]
    notes = (*study.notes, *left_out, *found.notes(), *_outlier_notes(study, found),
             *rival_notes(found), *horizon_notes(found, horizon))  # fmt: skip
    return Choice(
        found,
        information_criteria(study, found.fits),
        size,
        {
            name: scale[0, present] * study.reference[name]
            for name, scale in study.members.scales.items()
        },
        study.size[0, present],
        study.members.loss[0, present],
        level,
        notes,
        Provenance(**{**vars(study.provenance), "seed": seed_of(rng)}),
    )


def _outlier_notes(study: Study, found: Combination) -> Iterator[Note]:
    """Yield what to tell of rows far off the law that lies nearest to all rows."""
    present = study.present[0]
    scales = {name: scale[:1, present] for name, scale in study.members.scales.items()}
    loss = study.members.loss[0, present]
    candidates = []
    for fit in found.fits:
        if not (fit.candidate.trimmed or fit.candidate.tilt):
            residuals = np.log(loss) - fit.forecast(scales)[0][0]
            noise = robust_deviation(residuals, len(fit.law.parameters))
            candidates.append((noise if np.isfinite(noise) else np.inf, residuals))
    if candidates:
        noise, residuals = min(candidates, key=lambda pair: pair[0])
        yield from outlier_notes(residuals, loss, noise, True, study.locate)
