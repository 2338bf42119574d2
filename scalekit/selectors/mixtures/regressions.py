"""Mixing laws without a formula: quadratic ridge, Gaussian process, boosted trees, and boosters.

A booster is one of them on what the additive law leaves over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalekit.errors import InputError, require
from scalekit.selectors.mixtures.pilots import Pilots
from scalekit.selectors.mixtures.training import Scales, TrainedSum

Predictor = Callable[[np.ndarray], np.ndarray]
# features (rows, columns), target, weights, hyperparameters or None -> predictor, hyperparameters
Method = Callable[[np.ndarray, np.ndarray, np.ndarray, Any], tuple[Predictor, Any]]
PENALTIES = np.logspace(-6, 3, 28)


@dataclass(frozen=True)
class TrainedRegression:
    """A regression fitted to pilots: `predictors[member][target]` reads features.

    With `base`, it predicts what that law leaves over, and sees the law's amounts as features.
    `weights` (members, pilots) are those that each member was fitted with.
    """

    method: Method
    pilots: Pilots
    predictors: tuple[tuple[Predictor, ...], ...]
    settings: tuple[Any, ...]
    weights: np.ndarray
    base: TrainedSum | None = None

    def predict(self, shares: np.ndarray, scales: Scales) -> np.ndarray:
        """Return losses (members, targets, rows); see `Trained`."""
        below = 0.0 if self.base is None else self.base.predict(shares, scales)
        found = [
            [predict(self._features(shares, member, k)) for k, predict in enumerate(row)]
            for member, row in enumerate(self.predictors)
        ]
        return np.array(found) + below

    def refit(self, weights: np.ndarray) -> TrainedRegression:
        """Return one member for each row of `weights`; see `Trained`."""
        base = None if self.base is None else self.base.refit(weights)
        return _fit_all(replace(self, base=base), weights)

    def draw(
        self, count: int, deviation: np.ndarray, rng: np.random.Generator
    ) -> TrainedRegression:
        """Return refits to resampled pilots (whole mixtures); `deviation` is not used."""
        clusters = self.pilots.clusters
        number = clusters.max() + 1
        drawn = rng.multinomial(number, np.full(number, 1 / number), size=count)
        return self.refit(drawn[:, clusters].astype(float))

    def _features(self, shares: np.ndarray, member: int, target: int) -> np.ndarray:
        if self.base is None:
            return shares
        return np.hstack([shares, _amounts(self.base, shares, member, target)])


def train_regression(
    pilots: Pilots, method: Method, base: TrainedSum | None = None
) -> TrainedRegression:
    """Return `method` fitted to all targets, on top of `base` if there is one.

    Raises InputError where the pilots have several scales, which a regression does not read.
    """
    if pilots.scales:
        raise InputError(
            "Regressions read shares only; for runs of several scales take one of the laws "
            "additive, loglinear, bimix, joint."
        )
    weights = np.ones((1, len(pilots)))
    return _fit_all(
        TrainedRegression(method, pilots, (), (None,) * len(pilots.targets), weights, base), weights
    )


def _fit_all(state: TrainedRegression, weights: np.ndarray) -> TrainedRegression:
    pilots = state.pilots
    below = 0.0 if state.base is None else state.base.predict(pilots.shares, pilots.scales)
    left = pilots.losses - np.broadcast_to(below, (len(weights), *pilots.losses.shape))
    members, settings = [], list(state.settings)
    for member, weight in enumerate(weights):
        row = []
        for k, values in enumerate(left[member]):
            rows = (weight > 0) & np.isfinite(values)
            features = state._features(pilots.shares, member, k)[rows]
            predict, settings[k] = state.method(features, values[rows], weight[rows], settings[k])
            row.append(predict)
        members.append(tuple(row))
    return replace(state, predictors=tuple(members), settings=tuple(settings), weights=weights)


def _amounts(base: TrainedSum, shares: np.ndarray, member: int, target: int) -> np.ndarray:
    """Return the additive law's terms `C_i h_i**gamma_i`: how much each source contributes."""
    count = shares.shape[1]
    theta = base.theta[min(member, len(base.theta) - 1), target, 2:]
    logs = np.log(np.maximum(shares, 1e-300))
    return np.asarray(np.exp(theta[:count] + theta[count : 2 * count] * logs))


def quadratic_ridge(
    features: np.ndarray, target: np.ndarray, weights: np.ndarray, penalty: float | None
) -> tuple[Predictor, float]:
    """Fit shares and their products by ridge, with the penalty of least generalised CV error."""
    pairs = np.triu_indices(features.shape[1])

    def expand(shares: np.ndarray) -> np.ndarray:
        return np.hstack([shares, shares[:, pairs[0]] * shares[:, pairs[1]]])

    design = expand(features)
    mean, spread = design.mean(axis=0), np.maximum(design.std(axis=0), 1e-9)
    centre = np.average(target, weights=weights)
    root = np.sqrt(weights)[:, None]
    left, size, right = np.linalg.svd(root * (design - mean) / spread, full_matrices=False)
    turned = left.T @ (root[:, 0] * (target - centre))
    if penalty is None:
        rest = (weights * (target - centre) ** 2).sum() - (turned**2).sum()
        shrink = PENALTIES[:, None] / (size**2 + PENALTIES[:, None])
        errors = ((shrink * turned) ** 2).sum(axis=1) + max(rest, 0.0)
        free = len(target) - 1 - (1 - shrink).sum(axis=1)
        penalty = float(PENALTIES[np.argmin(errors / np.maximum(free, 0.5) ** 2)])
    slope = right.T @ (size / (size**2 + penalty) * turned)
    return lambda new: centre + (expand(new) - mean) / spread @ slope, penalty


def gaussian_process(
    features: np.ndarray, target: np.ndarray, weights: np.ndarray, setting: np.ndarray | None
) -> tuple[Predictor, np.ndarray]:
    """Fit a Gaussian process: Matérn 5/2 on square roots of shares and on amounts.

    Length, height and noise maximise the likelihood; refits keep them.
    """
    from scipy.optimize import minimize
    from scipy.spatial.distance import cdist

    count = features.shape[1]
    spread = features.std(axis=0)
    # columns behind the shares are a law's amounts, all in one unit; without any, shares only
    unit = np.maximum(np.sqrt((spread**2).mean()), 1e-12)

    def place(new: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(new, 0)) / np.sqrt(unit) / np.sqrt(count)

    inputs = place(features)
    distances = cdist(inputs, inputs)
    typical = np.median(distances[distances > 0]) if (distances > 0).any() else 1.0
    centre = np.average(target, weights=weights)
    scale = max(target.std(), 1e-12)
    right = (target - centre) / scale
    noise = np.diag(1 / weights)

    def covariance(parameters: np.ndarray) -> np.ndarray:
        kernel = np.exp(parameters[1]) * _matern(distances / typical / np.exp(parameters[0]))
        return np.asarray(kernel + (np.exp(parameters[2]) + 1e-8) * noise)

    def badness(parameters: np.ndarray) -> float:
        lower = np.linalg.cholesky(covariance(np.clip(parameters, -12, 12)))
        inner = np.linalg.solve(lower, right)
        return float(0.5 * inner @ inner + np.log(np.diagonal(lower)).sum())

    if setting is None:
        found = minimize(
            badness,
            np.array([1.5, 0.0, -3.0]),
            method="Nelder-Mead",
            options={"maxfev": 80, "xatol": 0.05, "fatol": 0.05},
        )
        setting = np.clip(found.x, -12, 12)
    solved = np.linalg.solve(covariance(setting), right)
    length, height = typical * np.exp(setting[0]), np.exp(setting[1])

    def predict(new: np.ndarray) -> np.ndarray:
        kernel = height * _matern(cdist(place(new), inputs) / length)
        return np.asarray(centre + scale * kernel @ solved)

    return predict, setting


def _matern(distance: np.ndarray) -> np.ndarray:
    a = np.sqrt(5) * distance
    return np.asarray((1 + a + a * a / 3) * np.exp(-a))


def boosted_trees(
    features: np.ndarray, target: np.ndarray, weights: np.ndarray, setting: object
) -> tuple[Predictor, object]:
    """Fit LightGBM with RegMix's settings: 1000 trees at a rate of 0.01."""
    lightgbm = require("lightgbm", "lightgbm", "The law 'lightgbm'")
    model = lightgbm.LGBMRegressor(
        n_estimators=1000, learning_rate=0.01, verbosity=-1, random_state=0, n_jobs=1,
        min_child_samples=min(20, max(2, len(target) // 8)),
    )  # fmt: skip
    model.fit(features, target, sample_weight=weights)
    return lambda new: np.asarray(model.predict(new)), setting


METHODS: dict[str, Method] = {
    "quadratic": quadratic_ridge,
    "gp": gaussian_process,
    "lightgbm": boosted_trees,
}
