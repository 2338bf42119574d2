"""A combination of forms: candidates fitted to a study, weighted and calibrated by roll-outs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.fitters.candidates import Candidate, Fitted
from scalekit.fitters.predictive import Calibration, calibrate, combined, components
from scalekit.fitters.rolling import Forecasts, fit_all, forecast, judgeable, roll, set_origins
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
    def judged(self) -> float:
        """The log distance that roll-outs reached: each curve's furthest, the median of them."""
        reached = pd.Series(self.past.distance).groupby(self.past.curve).max()
        return float(reached.median())

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
        return (
            combined(ahead, self.weights, self.judged),
            components(ahead, self.weights, self.judged),
        )

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
                f"The weights and intervals rest on {count_of(blocks)}. They are widened for it "
                "(Student's quantile), but nothing shows that they hold: add smaller runs, or "
                "forecast curves of the same kind together (in Python: fit_many).",
            )
        if ahead is None:
            return
        reached, asked = self.judged, float(ahead.distance.max())
        if asked > 1.05 * reached:
            given = "the weights give way to the median of the forms, and "
            yield Note(
                "beyond_roll_outs",
                "error" if asked > 3 * reached else "warning",
                f"The forecast reaches {np.exp(asked):.3g} times the largest {along} of the runs; "
                f"the roll-outs went {np.exp(reached):.3g} times only. Out there "
                f"{given if len(self.fits) > 1 else ''}the interval is drawn on linearly in log "
                "distance, which no roll-out has tested; a break is not seen.",
            )
        heavy = self.weights >= min(WEIGHTY, self.weights.max())
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
) -> tuple[Combination, list[Note]]:
    """Return the combination of `candidates` for `study`, judged over a factor of `horizon`.

    Where the runs do not reach so far, over the longest factor that they do (by square roots).
    Notes tell of candidates that no roll-out could judge: these are left out.
    """
    origins, horizon = furthest_origins(study, horizon, fewest_rows)
    candidates, left_out = judgeable(study, candidates, origins)
    past = roll(study, candidates, origins, horizon)
    weights = stack(past)
    found = Combination(
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
    return found, left_out


def count_of(blocks: int) -> str:
    """Return a number of roll-outs in words."""
    return f"{blocks} roll-out" + ("s" if blocks != 1 else "")


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
