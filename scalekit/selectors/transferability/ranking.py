"""`transferability`: rank models for a data set before any fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.transferability import from_features as feats
from scalekit.selectors.transferability.from_predictions import leep, nce

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OF_FEATURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "logme": feats.logme,
    "h_score": feats.h_score,
    "h_score_regularised": feats.regularised_h_score,
    "transrate": feats.transrate,
    "tmi": lambda features, labels: feats.tmi(features, labels)[0],
}
OF_PREDICTIONS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"leep": leep, "nce": nce}
DEFAULT = ("logme", "h_score_regularised", "tmi")
FEW = 10  # rows a class below which the measures are shaky


@dataclass(frozen=True, eq=False, repr=False)
class Transferability(Result):
    """Models by measure: `table` has one row a model and measure.

    Columns model, measure, value, ci_lower, ci_upper (percentiles over halves of the
    examples), rank (1 is best), probability_best.
    """

    kind: ClassVar[str] = "transferability"
    table: pd.DataFrame
    confidence_level: float
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def agreement(self) -> pd.DataFrame:
        """Return Kendall's tau between the measures' rankings of the models."""
        wide = self.table.pivot_table("value", "model", "measure")
        return wide.corr(method="kendall")

    def summary(self) -> str:
        """Return values, intervals and ranks."""
        shown = self.table.to_string(index=False, float_format="{:.4g}".format)
        return with_notes(shown, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a model and measure."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return the table."""
        return {"params": {}, "confidence_level": self.confidence_level,
                "measures": self.table.to_dict("records")}  # fmt: skip

    @classmethod
    def restore(
        cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Transferability:
        """Return what `save` wrote."""
        return cls(
            pd.DataFrame(values["measures"]), values["confidence_level"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the models by the first measure, with intervals."""
        from scalekit.axes import BLUE, new_axes

        ax = new_axes(ax)
        first = self.table["measure"].iloc[0]
        part = self.table[self.table["measure"] == first].sort_values("value")
        low, high = part["value"] - part["ci_lower"], part["ci_upper"] - part["value"]
        ax.errorbar(part["value"], range(len(part)), xerr=[low.clip(0), high.clip(0)], fmt="o",
                    color=BLUE)  # fmt: skip
        ax.set_yticks(range(len(part)), part["model"])
        ax.set(xlabel=f"{first} (large is better)")
        ax.set_title("Which model suits these labels", fontsize="medium")
        return ax


def measures() -> tuple[str, ...]:
    """Return the names of all measures."""
    return (*OF_FEATURES, *OF_PREDICTIONS)


def transferability(
    features: Mapping[str, Any] | Any,
    labels: Any,
    *,
    measure: str | tuple[str, ...] | list[str] = DEFAULT,
    predictions: Mapping[str, Any] | Any = None,
    resamples: int = 100,
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Transferability:
    """Score how well each model's features suit a classification, without training.

    `features` maps a model's name to its features (n, d) of the same n examples (or is one array);
    `labels` (n,) are the target's classes. `predictions`, likewise (n, source classes), are needed
    for "leep" and "nce". All measures: large is better (`measures()`); they order models on one
    data set, their values mean nothing across data sets. Intervals come from measuring random
    halves of the examples, by class: without replacement these spread about the whole as the whole
    would about the truth (McCarthy 1969).

    Raises InputError for NaN (naming model and row), one class only, or other lengths.

    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1], 50)
    >>> good = rng.standard_normal((100, 4)) + 3 * labels[:, None]
    >>> found = transferability({"good": good, "bad": rng.standard_normal((100, 4))}, labels)
    >>> found.table.set_index(["measure", "model"])["rank"]["logme", "good"]
    np.int64(1)
    """
    names = [measure] if isinstance(measure, str) else list(measure)
    for name in names:
        if name not in measures():
            raise InputError(f"There is no measure '{name}'. {did_you_mean(name, measures())}")
    models = features if isinstance(features, Mapping) else {"model": features}
    outputs = predictions if isinstance(predictions, Mapping) else {"model": predictions}
    classes, target = np.unique(np.asarray(labels), return_inverse=True)
    sizes = np.bincount(target)
    if len(classes) < 2:
        raise InputError(f"labels holds the one class '{classes[0]}'; two or more are needed.")
    halves = _halves(target, resamples, as_generator(rng))
    ends = [(1 - confidence_level) / 2, (1 + confidence_level) / 2]
    tables = []
    for name in names:
        function = OF_FEATURES.get(name) or OF_PREDICTIONS[name]
        values, drawn = [], []
        for model, given in models.items():
            checked = _checked(given, outputs.get(model), name, str(model), len(target))
            values.append(function(checked, target))
            parts = np.array([function(checked[half], target[half]) for half in halves])
            drawn.append(values[-1] + parts - parts.mean())
        low, high = np.quantile(drawn, ends, axis=1)
        best = np.bincount(np.argmax(drawn, axis=0), minlength=len(models)) / len(halves)
        tables.append(pd.DataFrame({
            "model": list(map(str, models)), "measure": name, "value": values, "ci_lower": low,
            "ci_upper": high, "rank": np.argsort(np.argsort(-np.array(values))) + 1,
            "probability_best": best,
        }))  # fmt: skip
    table = pd.concat(tables, ignore_index=True)
    notes = () if sizes.min() >= FEW else (
        Note("small_class", "warning", f"Class '{classes[sizes.argmin()]}' has {sizes.min()} "
             "examples; measures of classes so small are shaky."),
    )  # fmt: skip
    return Transferability(table, confidence_level, notes,
                           Provenance(source="the features", n_rows=len(target),
                                      seed=seed_of(rng)))  # fmt: skip


def _halves(target: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return random halves of the rows, of every class (at least one row)."""
    found = []
    for _ in range(count):
        shuffled = rng.permutation(len(target))
        order = shuffled[np.argsort(target[shuffled], kind="stable")]
        place = np.arange(len(target)) - np.searchsorted(target[order], target[order])
        size = np.bincount(target)[target[order]]
        found.append(np.sort(order[place < np.maximum((size + 1) // 2, 1)]))
    return found


def _checked(given: Any, output: Any, measure: str, model: str, rows: int) -> np.ndarray:
    what = "features" if measure in OF_FEATURES else "predictions"
    values = given if what == "features" else output
    if values is None:
        raise InputError(f"'{measure}' needs predictions= (--predictions) of the model '{model}'.")
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or len(table) != rows:
        raise InputError(
            f"{what} of '{model}' have shape {table.shape}; ({rows}, d) is needed, a row a label."
        )
    bad = ~np.isfinite(table).all(axis=1)
    if bad.any():
        raise InputError(f"{what} of '{model}': row {int(np.flatnonzero(bad)[0])} holds NaN or "
                         "infinity.")  # fmt: skip
    if what == "predictions" and not (
        (table >= 0).all() and np.allclose(table.sum(axis=1), 1, atol=1e-3)
    ):
        raise InputError(
            f"predictions of '{model}' must be probabilities: not negative, rows of sum one."
        )
    return table
