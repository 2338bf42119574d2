"""Rows that never rise: what the single evaluations behind them must have been.

Best so far: such a log hides the noise of single evaluations, and lies below their mean, since
the best of many is a lucky one. Where evaluations scatter normally about a smooth curve, a row
that is a new best says that the evaluations since the row before reached down to it; a row that
repeats the old best says that none did. This is an exact likelihood of curve and noise (records
with a trend: Ballerini & Resnick 1985).

Monotone: evaluations that were made to fall by isotonic regression lie right in the mean, but
hide the noise. How far they still stray from a smooth curve gives it away: that distance follows
Chernoff's law, `(4 sigma^2 slope)^(1/3) Z` with Var Z = .26355 (Brunk 1970; Groeneboom & Wellner
2001, table 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr

MOST_DEGREES = 6
ROWS_A_DEGREE = 5
MOST_PLACES = 32  # where more evaluations lie between two rows, some stand for the others
SMALLEST_NOISE = 1e-5
FLATTEST = 1e-3  # slope of log loss in log size below which a curve counts as this steep
CHERNOFF_VARIANCE = 0.26355964
SAME = 1e-9  # log losses nearer than this are equal
HALF_LOG_TAU = 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Evaluations:
    """What lies behind rows that never rise.

    `log_loss` (rows,) is the expected mean log loss of the evaluations up to each row, at the
    row's size; `noise` the deviation of the log loss of a single evaluation.
    """

    log_loss: np.ndarray
    noise: float


def behind_best_so_far(size: np.ndarray, best: np.ndarray, every: float) -> Evaluations:
    """Return the evaluations behind `best` (rows,), the log of the best loss so far.

    `size` (rows,) increases; `every` is how far apart evaluations are in it. The curve is a
    polynomial in log size, its degree chosen by Akaike's criterion.

    >>> size = np.arange(1.0, 200)
    >>> seen = np.log(2 * size**-0.2) + 0.01 * np.random.default_rng(0).standard_normal(199)
    >>> found = behind_best_so_far(size, np.minimum.accumulate(seen), every=1.0)
    >>> round(found.noise, 3)
    0.01
    """
    places = _Places.between(size, best, every)
    fits = [_fit(places, degree) for degree in range(1, _highest(len(size)) + 1)]
    criteria = [cost + degree for degree, (cost, _) in enumerate(fits, start=1)]
    degree = int(np.argmin(criteria)) + 1
    return places.expectation(fits[degree - 1][1], degree)


def behind_monotone(size: np.ndarray, log_loss: np.ndarray, every: float) -> Evaluations:
    """Return the evaluations behind rows `log_loss` (rows,) that isotonic regression made fall.

    The rows stay as they are; the noise is found. Arguments as in `behind_best_so_far`; the
    polynomial's degree is chosen by Schwarz's criterion, twice, since neighbours err together.

    >>> from scipy.optimize import isotonic_regression
    >>> size = np.arange(1.0, 200)
    >>> seen = np.log(2 * size**-0.2) + 0.01 * np.random.default_rng(0).standard_normal(199)
    >>> rows = isotonic_regression(seen, increasing=False).x
    >>> round(behind_monotone(size, rows, every=1.0).noise, 3)
    0.011
    """
    rows, logs = len(size), np.log(size)
    at = 2 * (logs - logs[0]) / (logs[-1] - logs[0]) - 1
    found = []
    for degree in range(1, _highest(rows) + 1):
        curve = np.polynomial.Legendre.fit(at, log_loss, degree, domain=[-1, 1])
        residual = log_loss - curve(at)
        size_of = max(float(np.mean(residual**2)), SMALLEST_NOISE**2)
        found.append((rows * np.log(size_of) + 2 * np.log(rows) * degree, degree, curve))
    _, degree, curve = min(found, key=lambda entry: entry[0])
    residual = (log_loss - curve(at)) * np.sqrt(rows / (rows - degree - 1))
    slope = np.maximum(-curve.deriv()(at) * 2 / (logs[-1] - logs[0]), FLATTEST) * every / size
    strayed = np.mean(residual**2 / (CHERNOFF_VARIANCE * (4 * slope) ** (2 / 3)))
    # where the curve falls faster than the noise is large, nothing is hidden
    noise = max(float(strayed) ** 0.75, float(np.sqrt(np.mean(residual**2))), SMALLEST_NOISE)
    return Evaluations(log_loss, noise)


def missing_rises(size: np.ndarray, log_loss: np.ndarray) -> float:
    """Return how many rises are missing from rows that never rise, were they single evaluations.

    Those that the scatter about each row's neighbours would make between rows that fall as these
    do, and rows that repeat the one before. Steep smooth curves miss none. 0 where rows rise.
    """
    falls, logs = -np.diff(log_loss), np.log(size)
    if len(size) < 3 or (falls < -SAME).any() or (np.diff(logs) <= 0).any():
        return 0.0
    share = (logs[2:] - logs[1:-1]) / (logs[2:] - logs[:-2])
    off = log_loss[1:-1] - share * log_loss[:-2] - (1 - share) * log_loss[2:]
    off = off / np.sqrt(1 + share**2 + (1 - share) ** 2)
    noise = max(1.4826 * float(np.median(np.abs(off))), SMALLEST_NOISE)
    smooth = np.convolve(np.pad(falls, 1, mode="edge"), np.ones(3) / 3, "valid")
    return float(ndtr(-smooth / (np.sqrt(2) * noise)).sum() + np.sum(falls <= SAME))


def _highest(rows: int) -> int:
    return max(min(MOST_DEGREES, rows // ROWS_A_DEGREE), 1)


@dataclass(frozen=True)
class _Places:
    """Evaluations between rows: `row` they lead up to, `place` in log size, `count` they stand for.

    `best` and `repeats` belong to rows; `first` is the index of each row's first evaluation.
    """

    ends: np.ndarray
    best: np.ndarray
    repeats: np.ndarray
    row: np.ndarray
    place: np.ndarray
    count: np.ndarray
    first: np.ndarray

    @classmethod
    def between(cls, size: np.ndarray, best: np.ndarray, every: float) -> _Places:
        before = np.concatenate([[size[0] - every], size[:-1]])
        many = np.maximum(np.round((size - before) / every), 1.0)
        shown = np.minimum(many, MOST_PLACES).astype(int)
        row = np.repeat(np.arange(len(size)), shown)
        first = np.concatenate([[0], np.cumsum(shown)[:-1]])
        share = (np.arange(len(row)) - first[row] + 1) / shown[row]
        at = before[row] + (size - before)[row] * share
        at[0] = size[0]
        repeats = np.concatenate([[False], np.diff(best) >= -SAME])
        return cls(np.log(size), best, repeats, row, np.log(at), (many / shown)[row], first)

    def basis(self, at: np.ndarray, degree: int) -> np.ndarray:
        low, high = self.ends[0], self.ends[-1]
        return np.polynomial.legendre.legvander(2 * (at - low) / (high - low) - 1, degree)

    def standardised(self, params: np.ndarray, degree: int) -> tuple[np.ndarray, ...]:
        """Return standardised bests, log survival and hazard of each evaluation, hazard of rows."""
        noise = np.exp(params[-1])
        z = (self.best[self.row] - self.basis(self.place, degree) @ params[:-1]) / noise
        survival = log_ndtr(-z)
        hazard = np.exp(-0.5 * z**2 - HALF_LOG_TAU - survival)
        total = np.add.reduceat(self.count * hazard, self.first)
        return z, survival, hazard, np.maximum(total, 1e-300)

    def cost(self, params: np.ndarray, degree: int) -> tuple[float, np.ndarray]:
        """Return the negative log likelihood of the rows, and its gradient."""
        z, survival, hazard, total = self.standardised(params, degree)
        rows = np.add.reduceat(self.count * survival, self.first)
        rows = rows + np.where(self.repeats, 0.0, np.log(total) - params[-1])
        new = ~self.repeats[self.row]
        slope = self.count * (-hazard + new * hazard * (hazard - z) / total[self.row])
        along = self.basis(self.place, degree)
        gradient = np.append(slope @ along / np.exp(params[-1]), slope @ z + np.sum(~self.repeats))
        return -float(rows.sum()), gradient

    def expectation(self, params: np.ndarray, degree: int) -> Evaluations:
        noise = float(np.exp(params[-1]))
        z, _, hazard, total = self.standardised(params, degree)
        # that this evaluation is the new best; otherwise it lies above it
        chance = np.where(self.repeats[self.row], 0.0, hazard / total[self.row])
        residual = self.count * (chance * z + (1 - chance) * hazard)
        count = np.add.reduceat(self.count, self.first)
        mean = np.add.reduceat(residual, self.first) / count
        return Evaluations(self.basis(self.ends, degree) @ params[:-1] + noise * mean, noise)


def _fit(places: _Places, degree: int) -> tuple[float, np.ndarray]:
    along = places.basis(places.ends, degree)
    line = np.linalg.lstsq(along, places.best, rcond=None)[0]
    rough = max(float(np.std(places.best - along @ line)), SMALLEST_NOISE)
    lowest = np.log(SMALLEST_NOISE)
    found = []
    for times in (1.0, 3.0):
        start = np.append(line, np.log(times * rough))
        start[0] += times * rough
        bounds = [(None, None)] * len(line) + [(lowest, None)]
        fit = minimize(places.cost, start, (degree,), "L-BFGS-B", jac=True, bounds=bounds)
        found.append((float(fit.fun), fit.x))
    return min(found, key=lambda entry: entry[0])
