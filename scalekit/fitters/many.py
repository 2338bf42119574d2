"""Hundreds of curves in one call, which inform each other: `fit_many(table, by=...)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.fitters.candidates import Candidate
from scalekit.fitters.combination_store import (
    combination_arrays,
    combination_from,
    combination_values,
)
from scalekit.fitters.combined import Combination, combine, count_of
from scalekit.fitters.forecast_words import describe_scores, short_curve_notes
from scalekit.fitters.law import Law
from scalekit.fitters.laws import as_law
from scalekit.fitters.many_inputs import asked_curves, check_curves, places_of
from scalekit.fitters.prediction import Prediction
from scalekit.fitters.study import Rows, make_study
from scalekit.fitters.study_inputs import choose_along, size_of
from scalekit.notes import Note
from scalekit.results import Provenance, Result, check_level, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.tables import RunTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMS = ("power_constant", "shifted_power", "m3", "lcdb_mmf4", "bnsl1")
# law, share of the smallest rows dropped, shared, tilt: for curves whose start is another regime
MOSTLY_LARGE: tuple[tuple[str, float, bool, float], ...] = (
    ("power", 0.5, False, 0.0),
    ("power_constant", 0.5, False, 0.0),
    ("bnsl1", 0.3, True, 0.0),
    ("power", 0.0, False, 0.5),
    ("power_constant", 0.0, False, 0.5),
)
HORIZON = 2.0


@dataclass(frozen=True, eq=False, repr=False)
class ManyFits(Result):
    """Curves fitted and judged together, study by study.

    `keys` names the curves (one row each; `study` numbers theirs, `place` their place in it);
    `combinations` holds one combination of forms a study. `scales` are those of the laws, `along`
    the one along which origins were set.
    """

    keys: pd.DataFrame
    by: tuple[str, ...]
    scales: tuple[str, ...]
    along: str
    combinations: tuple[Combination, ...]
    studies: tuple[str, ...]
    confidence_level: float
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "many_fits"

    def __len__(self) -> int:
        return len(self.keys)

    def predict(
        self,
        at: pd.DataFrame | Mapping[str, Any] | None = None,
        *,
        confidence_level: float | None = None,
        beyond: float | None = None,
    ) -> Prediction:
        """Return the loss of curves at scales, with the intervals of the mean and of one run.

        `at` has the columns that name the curves and one for each scale; or give `beyond`, a
        factor, to ask for every curve at that many times its largest size (laws of one scale).
        Raises ColumnNotFoundError where a column, InputError where a curve is missing.
        """
        level = check_level(self.confidence_level if confidence_level is None else confidence_level)
        asked = asked_curves(self._beyond(beyond) if at is None else at, self.by, self.scales)
        place = places_of(asked, self.keys[list(self.by)])
        scales = {name: asked[name].to_numpy(float) for name in self.scales}
        size = size_of(asked, self.along)
        studies, places = self.keys["study"].to_numpy()[place], self.keys["place"].to_numpy()[place]
        parts, notes, distance = [], [], np.zeros(len(asked))
        for number, combination in enumerate(self.combinations):
            rows = np.flatnonzero(studies == number)
            if not len(rows):
                continue
            here = {name: scale[rows] for name, scale in scales.items()}
            ahead = combination.ahead(places[rows], here, size[rows])
            parts.append(combination.intervals(ahead, level).set_index(rows))
            distance[rows] = ahead.distance / np.log(10)
            notes += list(combination.notes(ahead, self.along))
        table = asked[[*self.by, *self.scales]].reset_index(drop=True).join(pd.concat(parts))
        table["domain"] = np.where(distance > 0, "extrapolation", "interpolation")
        table["extrapolation"] = distance
        table["extrapolation_in"] = np.where(distance > 0, self.along, "")
        blocks = sum(c.calibration.blocks for c in self.combinations)
        unique = {note.code: note for note in notes}
        return Prediction(
            table,
            "combination of forms",
            level,
            f"roll-out errors of {blocks} fits, conformal",
            tuple(unique.values()),
            self.provenance,
        )

    def _beyond(self, factor: float | None) -> pd.DataFrame:
        good = factor is not None and np.isfinite(factor) and factor > 0
        if not good or self.scales != (self.along,):
            raise InputError(
                "Say where to predict: a table with the columns "
                f"{', '.join([*self.by, *self.scales])}, or beyond=2 for laws of one scale."
            )
        largest = [
            self.combinations[s].largest[p]
            for s, p in zip(self.keys["study"], self.keys["place"], strict=True)
        ]
        return self.keys[list(self.by)].assign(**{self.along: np.array(largest) * factor})

    def weights(self) -> pd.DataFrame:
        """Return, for each study, the candidates with weight, probability and roll-out error."""
        tables = [
            c.scores().assign(study=s) for s, c in zip(self.studies, self.combinations, strict=True)
        ]
        return pd.concat(tables, ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a curve: largest size seen, forecast at the horizon, intervals."""
        if self.scales != (self.along,):
            return self.weights()
        horizon = self.combinations[0].horizon
        return self.predict(beyond=horizon).table

    def payload(self) -> dict[str, Any]:
        """Return curves, candidates and their weights."""
        return {
            "by": list(self.by),
            "scales": list(self.scales),
            "along": self.along,
            "confidence_level": self.confidence_level,
            "curves": self.keys.to_dict("records"),
            "studies": list(self.studies),
            "params": {},
            "weights": self.weights().to_dict("records"),
            "combinations": [combination_values(found) for found in self.combinations],
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return fits, weights and roll-outs of every study."""
        return {
            f"study{k}_{name}": array
            for k, found in enumerate(self.combinations)
            for name, array in combination_arrays(found).items()
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ManyFits:
        """Return the fits that `save` wrote."""
        combinations = []
        for k, entry in enumerate(values["combinations"]):
            mark = f"study{k}_"
            mine = {name[len(mark) :]: a for name, a in arrays.items() if name.startswith(mark)}
            combinations.append(combination_from(entry, mine))
        return cls(
            pd.DataFrame(values["curves"]),
            tuple(values["by"]),
            tuple(values["scales"]),
            values["along"],
            tuple(combinations),
            tuple(values["studies"]),
            values["confidence_level"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def summary(self) -> str:
        """Return the curves, the weights of the forms and the roll-out errors of each study."""
        lines = [f"{len(self)} curves of {self.provenance.source}, by {', '.join(self.by)}"]
        for name, found in zip(self.studies, self.combinations, strict=True):
            of = f" of {name}" if name else ""
            lines += [
                "",
                f"{len(found.largest)} curves{of}, judged on {count_of(found.calibration.blocks)} "
                f"over a factor of {found.horizon:g} in {self.along}; combined error "
                f"{found.combined_error():.2%} of the loss",
                describe_scores(found.scores()),
            ]
        return with_notes("\n".join(lines), self.notes)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how often intervals held on the roll-outs, against their level."""
        from scalekit.fitters.forecast_plots import plot_calibration

        return plot_calibration(self.combinations, ax)


def fit_many(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    by: str | Sequence[str],
    *,
    within: str | Sequence[str] = (),
    along: str | None = None,
    laws: str | Law | Sequence[str | Law] | None = None,
    share: bool = True,
    horizon: float = HORIZON,
    weights: str | None = None,
    rows: Rows = "single",
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> ManyFits:
    """Fit many curves together, with forecasts and intervals judged by roll-outs.

    `runs` holds all curves, one for each combination of the columns `by` (such as task and model).
    Curves of one study (same values in the columns `within`, which belong to what names a curve)
    share: every candidate law is fitted to each curve alone and, with `share`, under a prior that
    all curves determine, with effects of each column of `by`. From origins within each curve's
    data every candidate forecasts `horizon` times further; weights of the candidates and widths
    of the intervals come from these. `along` is the scale (default: the first of flops, tokens,
    samples, params, step that is there); `laws` are laws of this one scale, or laws of several
    scales with `along` given. `weights` names a column ("noise": standard errors, shrunk). With
    rows="best_so_far" (a log of the best loss so far) or "monotone" (evaluations made to fall by
    isotonic regression) forecasts and intervals are those of single evaluations, whose noise and
    mean the rows themselves give away (`fitters.evaluations`).

    Raises InputError where no roll-out is possible or a loss is not positive.

    >>> import numpy as np, pandas as pd
    >>> x = np.geomspace(1e6, 1e9, 16)
    >>> table = pd.concat([pd.DataFrame({"task": t, "tokens": x, "loss": 1 + a * x**-0.2})
    ...                    for t, a in (("a", 9), ("b", 12), ("c", 15))])
    >>> many = fit_many(table, by="task", laws=["power_constant"], rng=0)
    >>> round(float(many.predict(beyond=2).table["predicted"].iloc[0]), 2)
    1.12
    """
    level = check_level(confidence_level)
    size = choose_along(runs, along)
    wanted = [laws] if isinstance(laws, str | Law) else laws or FORMS
    forms = [as_law(law).along(size) for law in wanted]
    large = [
        Candidate(as_law(name).along(size), trimmed, shared, tilt)
        for name, trimmed, shared, tilt in (() if laws else MOSTLY_LARGE)
    ]
    scales = forms[0].scales
    if any(form.scales != scales for form in forms):
        raise InputError("All laws of one call must depend on the same scales.")
    candidates = [Candidate(form, shared=shared) for shared in (False, True) for form in forms]
    candidates = [c for c in [*candidates, *large] if share or not c.shared]
    inside = [within] if isinstance(within, str) else list(within)
    named = list(dict.fromkeys([*inside, *([by] if isinstance(by, str) else by)]))
    study = make_study(runs, scales, size, named, weights, rows)
    check_curves(study, candidates)
    generator = as_generator(rng)
    keys, names, combinations, notes = study.keys.copy(), [], [], [*study.notes]
    numbers = (
        keys.groupby(inside, sort=False).ngroup().to_numpy() if inside else np.zeros(len(keys), int)
    )
    keys["study"], keys["place"] = numbers, 0
    for number in range(numbers.max() + 1):
        curves = np.flatnonzero(numbers == number)
        keys.loc[curves, "place"] = np.arange(len(curves))
        found, left_out = combine(study.part(curves), candidates, horizon, generator)
        combinations.append(found)
        notes += left_out
        names.append(", ".join(str(keys.loc[curves[0], name]) for name in inside))
    notes += short_curve_notes(study)
    for found in combinations:
        notes += list(found.notes())
    return ManyFits(
        keys, tuple(named), scales, size, tuple(combinations), tuple(names), level,
        tuple({note.code: note for note in notes}.values()),
        Provenance(**{**vars(study.provenance), "seed": seed_of(rng)}),
    )  # fmt: skip
