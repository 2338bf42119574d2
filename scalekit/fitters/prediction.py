"""Predictions: the mean curve and a new observation, each with its interval, and how far out.

The interval of the *mean* says where the curve may lie; the interval of an *observation* adds the
scatter of single runs about the curve. Both hold only as far as the law does: see `extrapolation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.fitters.intervals import percentile_interval
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.units import format_scale, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.fitters.fitted import Fit
    from scalekit.fitters.law import Law

FAR = 1.0  # decades beyond the data: a note says so
TOO_FAR = 3.0  # decades beyond the data: the note is an error
QUANTILES = 199  # of the residuals, with which each draw of the curve is widened
COLUMNS = ("predicted", "ci_lower", "ci_upper", "obs_lower", "obs_upper", "domain",
           "extrapolation", "extrapolation_in")  # fmt: skip


@dataclass(frozen=True, repr=False)
class Prediction(Result):
    """The loss at asked scales: one row each, with both intervals.

    Columns: the scales; `predicted`; `ci_lower, ci_upper` (mean); `obs_lower, obs_upper` (one new
    run); `domain` ("interpolation" or "extrapolation"); `extrapolation`, the decades beyond the
    nearest end of the data, in the scale where this is largest, `extrapolation_in` ("" inside).
    """

    table: pd.DataFrame
    law: str
    confidence_level: float
    method: str
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "prediction"

    def to_frame(self) -> pd.DataFrame:
        """Return the table of predictions."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return the law, the level and the predictions."""
        return {
            "law": self.law,
            "confidence_level": self.confidence_level,
            "interval_method": self.method,
            "params": {},
            "predictions": self.table.to_dict("records"),
        }

    def summary(self) -> str:
        """Return one sentence a row."""
        return with_notes(describe_predictions(self.table, self.confidence_level), self.notes)

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Prediction:
        """Return the prediction that `save` wrote."""
        table = pd.DataFrame(values["predictions"])
        numbers = [c for c in table if not pd.api.types.is_string_dtype(table[c])]
        return cls(
            table.astype(dict.fromkeys(numbers, float)),
            values["law"],
            values["confidence_level"],
            values["interval_method"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the predictions with both intervals, one row each."""
        from scalekit.fitters.plots import plot_prediction

        return plot_prediction(self, ax)


def describe_predictions(table: pd.DataFrame, confidence_level: float) -> str:
    """Return each row as a sentence: the loss, both intervals, how far out."""
    scales = [column for column in map(str, table) if column not in COLUMNS]
    lines = []
    for row in table.to_dict("records"):
        at = ", ".join(f"{scale} {shown(row[scale], scale)}" for scale in scales)
        text = f"loss at {at}: {row['predicted']:.5g}"
        if np.isfinite(row["ci_lower"]):
            text += (
                f"  (mean [{row['ci_lower']:.5g}, {row['ci_upper']:.5g}], "
                f"one run [{row['obs_lower']:.5g}, {row['obs_upper']:.5g}], "
                f"{percent(confidence_level)} intervals)"
            )
        if row["extrapolation"] > 0:
            scale = row.get("extrapolation_in")  # older saved results have none
            text += f", {row['extrapolation']:.1f} decades beyond the data"
            text += f" in {scale}" if scale else ""
        lines.append(text)
    return "\n".join(lines)


class HasLaw(Protocol):
    """Anything with a law: a fit, or a published law."""

    @property
    def law(self) -> Law:
        """The law."""
        ...


class HasRuns(HasLaw, Protocol):
    """Anything with a law and the scales of the runs behind it: a fit, or a choice of laws."""

    @property
    def scales(self) -> Mapping[str, np.ndarray]:
        """The scales of the runs."""
        ...


def shown(value: object, scale: str) -> str:
    """Return a value of `scale`, or the name of a curve, as text."""
    return value if isinstance(value, str) else format_scale(float(value), scale)  # type: ignore[arg-type]


def asked_scales(
    fit: HasLaw, at: pd.DataFrame | Mapping[str, Any] | None, scales: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the asked scales as a table of positive floats, with 6ND filling a missing one.

    Raises ColumnNotFoundError where a scale of the law is missing, InputError for a value that is
    not a positive number.
    """
    given: dict[str, Any] = dict(scales)
    if at is not None:
        given = {str(name): np.asarray(values) for name, values in at.items()}
    unknown = sorted(set(scales) - {*fit.law.scales, "params", "tokens", "flops"})
    if unknown:
        raise ColumnNotFoundError(
            f"The law '{fit.law.name}' has no scale '{unknown[0]}'. "
            f"{did_you_mean(unknown[0], fit.law.scales)}"
        )
    try:
        given = _derive(given, fit.law.scales)
        _require_scales(fit.law, given)
        arrays = [np.atleast_1d(np.asarray(given[name], dtype=float)) for name in fit.law.scales]
        arrays = list(np.broadcast_arrays(*arrays))
    except ColumnNotFoundError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The scales to predict at are not numbers of one shape: {error}"
        ) from None
    for name, array in zip(fit.law.scales, arrays, strict=True):
        if not (np.isfinite(array) & (array > 0)).all():
            bad = array[~(np.isfinite(array) & (array > 0))][0]
            raise InputError(f"Cannot predict at {name} = {bad:g}: scales are positive numbers.")
    return pd.DataFrame(dict(zip(fit.law.scales, map(np.ravel, arrays), strict=True)))


def _require_scales(law: Law, given: Mapping[str, Any]) -> None:
    missing = [name for name in law.scales if name not in given]
    if missing:
        raise ColumnNotFoundError(
            f"The law '{law.name}' needs {' and '.join(law.scales)} to predict; given are "
            f"{', '.join(map(str, given)) or 'none'}. Add {' and '.join(missing)}: --at "
            f"{','.join(f'{name}=...' for name in law.scales)} (in Python "
            f"predict({', '.join(f'{name}=...' for name in law.scales)}))."
        )


def _derive(given: dict[str, Any], needed: tuple[str, ...]) -> dict[str, Any]:
    """Fill a missing one of params, tokens, flops by C = 6ND."""
    have = {name: np.asarray(given[name], float) for name in ("params", "tokens", "flops")
            if name in given}  # fmt: skip
    if len(have) == 2:
        if "flops" in needed and "flops" not in have:
            given = given | {"flops": 6 * have["params"] * have["tokens"]}
        elif "tokens" in needed and "tokens" not in have:
            given = given | {"tokens": have["flops"] / (6 * have["params"])}
        elif "params" in needed and "params" not in have:
            given = given | {"params": have["flops"] / (6 * have["tokens"])}
    return given


def predict(fit: Fit, at: pd.DataFrame, confidence_level: float) -> Prediction:
    """Return the predictions of `fit` at the scales of `at` (see `asked_scales`)."""
    scales = {name: at[name].to_numpy() for name in fit.law.scales}
    centre = fit.law.model.value(fit.theta[None], scales)[0]
    curve = fit.law.model.value(fit.draws, scales) if len(fit.draws) else np.empty((0, len(at)))
    curve = curve[np.isfinite(curve).all(axis=1)]
    factor = fit.widening(confidence_level)
    low, high = percentile_interval(curve, centre, confidence_level, factor)
    single = _with_residuals(curve, fit)
    obs_low, obs_high = percentile_interval(single, centre, confidence_level, factor)
    floor = 0.0 if fit.objective.on_log else -np.inf
    distance, along = extrapolation(fit, at)
    table = at.assign(
        predicted=centre,
        ci_lower=np.maximum(low, floor),
        ci_upper=high,
        obs_lower=np.maximum(obs_low, floor),
        obs_upper=obs_high,
        domain=np.where(distance > 0, "extrapolation", "interpolation"),
        extrapolation=distance,
        extrapolation_in=along,
    )
    furthest = int(distance.argmax()) if len(distance) else None
    notes = () if furthest is None else _distance_notes(distance[furthest], along[furthest])
    return Prediction(
        table, fit.law.name, confidence_level, fit.interval_method, notes, fit.provenance
    )


def _with_residuals(curve: np.ndarray, fit: Fit) -> np.ndarray:
    """Return every draw of the curve with quantiles of the runs' scatter added."""
    if not len(curve):
        return curve
    scatter = np.quantile(fit.scaled_residuals, (np.arange(QUANTILES) + 0.5) / QUANTILES)
    thin = curve[:: max(1, len(curve) * QUANTILES * curve.shape[1] // 20_000_000)]
    spread = thin[:, None] * np.exp(scatter)[:, None] if fit.objective.on_log else (
        thin[:, None] + scatter[:, None]
    )  # fmt: skip
    return spread.reshape(-1, curve.shape[1])


def extrapolation(fit: HasRuns, at: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the decades beyond the data (rows,), and the scale in which they are most."""
    distance, along = np.zeros(len(at)), np.full(len(at), "", dtype=object)
    for name in fit.law.scales:
        seen, asked = fit.scales[name], at[name].to_numpy()
        beyond = np.maximum(np.log10(asked / seen.max()), np.log10(seen.min() / asked))
        along[beyond > distance] = name
        distance = np.maximum(distance, beyond)
    return distance, along


def _distance_notes(decades: float, along: str) -> tuple[Note, ...]:
    if decades <= FAR:
        return ()
    return (
        Note(
            "far_extrapolation",
            "error" if decades > TOO_FAR else "warning",
            f"The prediction lies {decades:.1f} decades beyond the data in {along}. The intervals "
            "hold the law to be right there, which no interval can show; check it on the largest "
            "runs held out, and run something in between.",
        ),
    )
