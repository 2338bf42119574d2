"""Predictive intervals: what a forecast from here has been worth so far.

The width of a forecast is composed of four parts, added in quadrature: the run noise, the doubt
from the parameters, the spread between forms, and a part that grows with the log distance. How
much of each is taken from roll-outs, by maximum likelihood; the quantiles are those of the
roll-out errors in units of this width, pooled over origins and curves, as in conformal prediction.

Weights are known for the distance over which roll-outs judged them. Beyond it they give way to the
median of all forms: which form is best a little further says less and less of what is best far out
(LOG.md, "Far beyond the roll-outs").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, stdtrit

from scalekit.fitters.rolling import Forecasts

PRIOR_BLOCKS = 3.0  # blocks that the start values of the four factors count as
PRIOR_WIDTH = 1.0  # of the log of a factor
TYPICAL_DRIFT = 0.03  # of log loss for each e-fold of distance: the start value of the last part
MANY_BLOCKS = 30  # from here on the quantiles are empirical; below, Student's
FREEDOM = 4.0  # of the likelihood: errors of forecasts have heavy tails
SMALLEST = 1e-5
GIVING_WAY = 1.4  # how fast weights give way to the median beyond the distance they were judged at
NORMAL = 1.4826  # deviations in a median absolute deviation


@dataclass(frozen=True)
class Calibration:
    """How wide a forecast must be.

    `factors` are those of the four parts; `scores` the absolute roll-out errors in units of the
    width, sorted, with their weights; `blocks` the number of fits that they come from.
    """

    factors: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    blocks: int

    def width(self, parts: np.ndarray) -> np.ndarray:
        """Return the deviation of log loss for `parts` (rows, 4)."""
        return np.sqrt((parts**2) @ self.factors**2 + SMALLEST**2)

    def multiple(self, confidence_level: float) -> float:
        """Return how many widths an interval of this level reaches to either side.

        With many blocks the conformal quantile of the roll-out scores; with few, Student's,
        scaled to the scores' root mean square; its degrees of freedom are the blocks and
        those that the prior counts as.
        """
        total = float(self.weights.sum())
        if self.blocks < MANY_BLOCKS:
            size = np.sqrt(max(float(self.weights @ self.scores**2) / total, 0.25))
            return float(size * stdtrit(self.blocks + PRIOR_BLOCKS - 1, 0.5 + confidence_level / 2))
        wanted = min(confidence_level * (1 + 1 / self.blocks), 1.0)
        share = (np.cumsum(self.weights) - 0.5 * self.weights) / total
        return float(np.interp(wanted, share, self.scores))


def trust(found: Forecasts, judged: float) -> np.ndarray:
    """Return how far weights count at each row: fully up to the log distance `judged`.

    Beyond it, a third at twice that distance and a ninth at three times, without a kink. Giving
    way faster makes forecasts rise with size where the forms disagree widely (LOG.md).
    """
    beyond = np.maximum(found.distance / judged - 1, 0)
    return np.asarray(1 / (1 + (GIVING_WAY * beyond) ** 2))


def combined(found: Forecasts, weights: np.ndarray, judged: float = np.inf) -> np.ndarray:
    """Return the combined log forecast (rows,): weighted mean, giving way to the median."""
    share = trust(found, judged)
    return np.asarray(
        share * (found.centre @ weights) + (1 - share) * np.median(found.centre, axis=1)
    )


def components(found: Forecasts, weights: np.ndarray, judged: float = np.inf) -> np.ndarray:
    """Return the four parts of the width of the combined forecast, (rows, 4)."""
    share = trust(found, judged)
    away = np.abs(found.centre - combined(found, weights, judged)[:, None])
    spread = share * (away**2 @ weights) + (1 - share) * (NORMAL * np.median(away, axis=1)) ** 2
    doubt = share * (found.doubt**2 @ weights) + (1 - share) * np.median(found.doubt, axis=1) ** 2
    return np.stack(
        [found.noise @ weights, np.sqrt(doubt), np.sqrt(spread), found.distance], axis=1
    )


def calibrate(found: Forecasts, weights: np.ndarray) -> Calibration:
    """Return the calibration of the combined forecast on roll-outs `found`."""
    parts, error = components(found, weights), combined(found, weights) - found.observed
    each, blocks = found.block_weights, len(np.unique(found.block))
    start = np.log([1.0, 1.0, 1.0, TYPICAL_DRIFT])

    def cost(logs: np.ndarray) -> float:
        width = np.sqrt((parts**2) @ np.exp(2 * logs) + SMALLEST**2)
        doubt = np.sum((logs - start) ** 2) / (2 * PRIOR_WIDTH**2) * PRIOR_BLOCKS / 4
        return float(-(each @ _log_student(error / width) - each @ np.log(width)) + doubt)

    found_logs = minimize(cost, start, method="L-BFGS-B", bounds=[(s - 5, s + 3) for s in start]).x
    factors = np.exp(found_logs)
    calibration = Calibration(factors, np.zeros(0), np.zeros(0), blocks)
    scores = np.abs(error) / calibration.width(parts)
    order = np.argsort(scores)
    return Calibration(factors, scores[order], each[order], blocks)


def _log_student(ratio: np.ndarray) -> np.ndarray:
    constant = gammaln((FREEDOM + 1) / 2) - gammaln(FREEDOM / 2) - 0.5 * np.log(FREEDOM * np.pi)
    return np.asarray(constant - (FREEDOM + 1) / 2 * np.log1p(ratio**2 / FREEDOM))


LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def coverage(scores: np.ndarray, calibration: Calibration, weights: np.ndarray) -> np.ndarray:
    """Return the share of `scores` (error over width) inside each of `LEVELS`."""
    inside = np.stack([np.abs(scores) <= calibration.multiple(level) for level in LEVELS])
    return np.asarray(inside @ weights / weights.sum())


def interval_score(
    lower: np.ndarray, upper: np.ndarray, observed: np.ndarray, confidence_level: float
) -> np.ndarray:
    """Return the interval score of each row: width plus a fine for each miss; smaller is better.

    Source: Gneiting & Raftery 2007, eq. 43.
    """
    fine = 2 / (1 - confidence_level)
    below, above = np.maximum(lower - observed, 0), np.maximum(observed - upper, 0)
    return np.asarray((upper - lower) + fine * (below + above))
