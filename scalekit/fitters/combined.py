"""A combination of forms: candidates fitted to a study, weighted and calibrated by roll-outs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.fitters.candidates import Candidate, Fitted
from scalekit.fitters.law import Law
from scalekit.fitters.model import Parameter
from scalekit.fitters.predictive import Calibration, calibrate, combined, components
from scalekit.fitters.rolling import Forecasts, fit_all, forecast, roll, set_origins
from scalekit.fitters.stacking import block_scores, stack, win_probabilities
from scalekit.fitters.study import Study
from scalekit.notes import Note

FEW_BLOCKS = 5
SHORTEST_HORIZON = 1.4
WEIGHTY = 0.1  # weight from which a form has a say in whether the forms agree


@dataclass(frozen=True)
class Combination:
    """What forecasts: fits at the full data, weights (candidates,), calibration; and its past.

    `origins` has shape (origins, curves) and `past` holds the forecasts made from them; `horizon`
    is the factor in size over which they were judged. `probabilities` says how often each
    candidate is the best when the roll-outs are drawn again.
    """

    fits: tuple[Fitted, ...]
    weights: np.ndarray
    probabilities: np.ndarray
    calibration: Calibration
    largest: np.ndarray
    reference: Mapping[str, float]
    origins: np.ndarray
    past: Forecasts
    horizon: float

    @property
    def names(self) -> list[str]:
        """The names of the candidates."""
        return [fit.candidate.name for fit in self.fits]

    def ahead(
        self, curve: np.ndarray, scales: Mapping[str, np.ndarray], size: np.ndarray
    ) -> Forecasts:
        """Return the candidates' forecasts at `scales` (rows,) of the given curves."""
        units = {name: scales[name] / unit for name, unit in self.reference.items()}
        found = forecast(self.fits, units, curve, size, self.largest)
        unknown = np.full(len(curve), np.nan)
        centre, doubt, noise, distance = found
        return Forecasts(
            curve, np.zeros_like(curve), curve, distance, unknown, centre, doubt, noise
        )

    def intervals(self, ahead: Forecasts, confidence_level: float) -> pd.DataFrame:
        """Return predicted, ci_lower, ci_upper (mean curve), obs_lower, obs_upper (one run)."""
        centre, parts = self._centre_and_parts(ahead)
        reach = self.calibration.multiple(confidence_level)
        single = reach * self.calibration.width(parts)
        mean = reach * self.calibration.width(parts * [0.0, 1.0, 1.0, 1.0])
        return pd.DataFrame(
            {
                "predicted": np.exp(centre),
                "ci_lower": np.exp(centre - mean),
                "ci_upper": np.exp(centre + mean),
                "obs_lower": np.exp(centre - single),
                "obs_upper": np.exp(centre + single),
            }
        )

    def _centre_and_parts(self, ahead: Forecasts) -> tuple[np.ndarray, np.ndarray]:
        judged = float(self.past.distance.max())
        return combined(ahead, self.weights, judged), components(ahead, self.weights, judged)

    def scores(self) -> pd.DataFrame:
        """Return each candidate's weight, probability and errors on the roll-outs, best first."""
        errors = block_scores(self.past)
        table = pd.DataFrame(
            {
                "candidate": self.names,
                "weight": self.weights,
                "probability": self.probabilities,
                "error": errors.mean(axis=0),
                "worst_error": errors.max(axis=0),
            }
        )
        return table.sort_values("error", ignore_index=True)

    def combined_error(self) -> float:
        """Return the mean over blocks of the combination's root mean squared log error."""
        error = (self.past.errors @ self.weights) ** 2
        blocks = np.unique(self.past.block, return_inverse=True)[1]
        return float(np.sqrt(np.bincount(blocks, self.past.block_weights * error)).mean())

    def notes(self, ahead: Forecasts | None = None, along: str = "size") -> Iterator[Note]:
        """Yield what a reader of the intervals must know; of these forecasts, where given.

        `along` is the scale along which the origins lie.
        """
        blocks = self.calibration.blocks
        if ahead is None and blocks < FEW_BLOCKS:
            yield Note(
                "few_roll_outs",
                "warning",
                f"The weights and intervals rest on {blocks} roll-out(s). They are widened for it "
                "(Student's quantile), but nothing shows that they hold: add smaller runs, or "
                "forecast curves of the same kind together (in Python: fit_many).",
            )
        if ahead is None:
            return
        reached, asked = float(self.past.distance.max()), float(ahead.distance.max())
        if asked > 1.05 * reached:
            yield Note(
                "beyond_roll_outs",
                "error" if asked > 3 * reached else "warning",
                f"The forecast reaches {np.exp(asked):.3g} times the largest {along} of the runs; "
                f"the roll-outs went {np.exp(reached):.3g} times only. Out there the weights give "
                "way to the median of the forms, and the interval is drawn on linearly in log "
                "distance, which no roll-out has tested; a break is not seen.",
            )
        heavy = self.weights >= WEIGHTY
        ends = ahead.centre[:, heavy]
        middle, parts = self._centre_and_parts(ahead)
        gap = np.abs(ends - middle[:, None]).max(axis=1)
        width = self.calibration.multiple(0.95) * self.calibration.width(parts)
        if (gap > width).any():
            far = int(np.argmax(gap - width))
            worst = np.flatnonzero(heavy)[int(np.abs(ends[far] - middle[far]).argmax())]
            yield Note(
                "depends_on_form",
                "warning",
                f"The forms disagree: {self.names[worst]} says "
                f"{np.exp(ahead.centre[far, worst]):.4g} where the combination says "
                f"{np.exp(middle[far]):.4g}, outside its 95% interval. A "
                "decision that hangs on this needs a run in between.",
            )


def combine(
    study: Study,
    candidates: Sequence[Candidate],
    horizon: float,
    rng: np.random.Generator,
    fewest_rows: int = 4,
) -> Combination:
    """Return the combination of `candidates` for `study`, judged over a factor of `horizon`.

    Where the runs do not reach so far, over the longest factor that they do (by square roots).
    """
    origins, horizon = furthest_origins(study, horizon, fewest_rows)
    past = roll(study, candidates, origins, horizon)
    weights = stack(past)
    return Combination(
        fits=tuple(fit_all(study, candidates, study.largest)),
        weights=weights,
        probabilities=win_probabilities(past, rng),
        calibration=calibrate(_with_noise(past, study.noise, rng), weights),
        largest=study.largest,
        reference=study.reference,
        origins=origins,
        past=past,
        horizon=horizon,
    )


def _with_noise(past: Forecasts, noise: np.ndarray, rng: np.random.Generator) -> Forecasts:
    """Return roll-outs whose observed rows scatter as single evaluations do."""
    if not noise.any():
        return past
    scatter = noise[past.curve] * rng.standard_normal(len(past))
    return replace(past, observed=past.observed + scatter)


def furthest_origins(study: Study, horizon: float, fewest_rows: int) -> tuple[np.ndarray, float]:
    """Return origins for `horizon`, or for the nearest shorter one that the runs allow, and it."""
    try:
        return set_origins(study, horizon, fewest_rows), horizon
    except InputError:
        if not horizon > SHORTEST_HORIZON:
            raise
        return furthest_origins(study, max(horizon**0.7, SHORTEST_HORIZON), fewest_rows)


def law_values(law: Law) -> dict[str, Any]:
    """Return a law as plain values, from which `law_from` makes it again."""
    return {
        "law": law.name,
        "formula": law.formula,
        "source": law.source,
        "scales": list(law.scales),
        "parameters": [vars(parameter) for parameter in law.parameters],
        "between": law.between,
    }


def law_from(values: Mapping[str, Any]) -> Law:
    """Return the law that `law_values` wrote; JSON has null for an infinite bound."""
    parameters = []
    for entry in values["parameters"]:
        lower = -np.inf if entry["lower"] is None else entry["lower"]
        upper = np.inf if entry["upper"] is None else entry["upper"]
        parameters.append(
            Parameter(**{**entry, "start": tuple(entry["start"]), "lower": lower, "upper": upper})
        )
    return Law(
        values["law"],
        values["formula"],
        values["source"],
        scales=tuple(values["scales"]),
        parameters=tuple(parameters),
        between=tuple(values["between"]) if values["between"] else None,
    )


def combination_values(found: Combination) -> dict[str, Any]:
    """Return the part of a combination that JSON keeps."""
    return {
        "candidates": [
            {
                **law_values(fit.law),
                "trimmed": fit.candidate.trimmed,
                "shared": fit.candidate.shared,
                "tilt": fit.candidate.tilt,
            }
            for fit in found.fits
        ],
        "reference": dict(found.reference),
        "horizon": found.horizon,
        "blocks": found.calibration.blocks,
    }


def combination_arrays(found: Combination) -> dict[str, np.ndarray]:
    """Return the part of a combination that is arrays."""
    arrays = {
        "weights": found.weights,
        "probabilities": found.probabilities,
        "largest": found.largest,
        "origins": found.origins,
        "factors": found.calibration.factors,
        "scores": found.calibration.scores,
        "score_weights": found.calibration.weights,
        **{f"past_{name}": entry for name, entry in vars(found.past).items()},
    }
    for k, fit in enumerate(found.fits):
        arrays |= {
            f"fit{k}_theta": fit.theta,
            f"fit{k}_covariance": fit.covariance,
            f"fit{k}_noise": fit.noise,
        }
    return arrays


def combination_from(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Combination:
    """Return the combination that the two functions above wrote."""
    fits = []
    for k, entry in enumerate(values["candidates"]):
        law = law_from(entry)
        candidate = Candidate(law, entry["trimmed"], entry["shared"], entry["tilt"])
        kept = [arrays[f"fit{k}_{name}"] for name in ("theta", "covariance", "noise")]
        fits.append(Fitted(candidate, law, *kept))
    calibration = Calibration(
        arrays["factors"], arrays["scores"], arrays["score_weights"], values["blocks"]
    )
    past = Forecasts(**{name[5:]: arrays[name] for name in arrays if name.startswith("past_")})
    return Combination(
        tuple(fits),
        arrays["weights"],
        arrays["probabilities"],
        calibration,
        arrays["largest"],
        values["reference"],
        arrays["origins"],
        past,
        values["horizon"],
    )
