"""Mixing laws without a formula: quadratic ridge, Gaussian process, boosted trees, and boosters.

A booster is one of them on what the additive law leaves over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalekit.errors import InputError, require
from scalekit.selectors.mixtures.pilots import Pilots
from scalekit.selectors.mixtures.training import Scales, TrainedSum

Blocks = Sequence[np.ndarray]  # shares (rows, sources), and a law's amounts where there is one
Predictor = Callable[[Blocks], np.ndarray]
# blocks, target, weights, hyperparameters or None -> predictor, hyperparameters
Method = Callable[[Blocks, np.ndarray, np.ndarray, Any], tuple[Predictor, Any]]
PENALTIES = np.logspace(-6, 3, 28)
LARGEST_LOG = 12.0  # of lengths, heights and noise of a Gaussian process


@dataclass(frozen=True)
class TrainedRegression:
    """A regression fitted to pilots: `predictors[member][target]` reads blocks of features.

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

    def _features(self, shares: np.ndarray, member: int, target: int) -> list[np.ndarray]:
        if self.base is None:
            return [shares]
        return [shares, _amounts(self.base, shares, member, target)]


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
            features = [block[rows] for block in state._features(pilots.shares, member, k)]
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
    features: Blocks, target: np.ndarray, weights: np.ndarray, penalty: float | None
) -> tuple[Predictor, float]:
    """Fit features and their products by ridge, with the penalty of least generalised CV error."""
    pairs = np.triu_indices(sum(block.shape[1] for block in features))

    def expand(blocks: Blocks) -> np.ndarray:
        whole = np.hstack(blocks)
        return np.hstack([whole, whole[:, pairs[0]] * whole[:, pairs[1]]])

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
    features: Blocks, target: np.ndarray, weights: np.ndarray, setting: np.ndarray | None
) -> tuple[Predictor, np.ndarray]:
    """Fit a Gaussian process: a sum of Matérn 5/2 kernels, one on the roots of each block.

    A length and a height for each block, and the noise, maximise the likelihood; refits keep them.
    """
    from scipy.optimize import minimize
    from scipy.spatial.distance import cdist

    roots = [np.sqrt(np.maximum(block, 0)) for block in features]
    units = [max(float(root.std()), 1e-12) * np.sqrt(root.shape[1]) for root in roots]
    count = len(roots)
    centre = np.average(target, weights=weights)
    scale = max(target.std(), 1e-12)
    right = (target - centre) / scale
    noise = np.diag(1 / weights)

    def distances(new: Blocks) -> list[np.ndarray]:
        parts = zip(new, roots, units, strict=True)
        return [cdist(np.sqrt(np.maximum(block, 0)), root) / unit for block, root, unit in parts]

    def kernel(parameters: np.ndarray, apart: Sequence[np.ndarray]) -> np.ndarray:
        lengths, heights = np.exp(parameters[:count]), np.exp(parameters[count:-1])
        parts = zip(apart, lengths, heights, strict=True)
        return np.asarray(sum(height * _matern(d / length) for d, length, height in parts))

    between = distances(features)

    def covariance(parameters: np.ndarray) -> np.ndarray:
        return kernel(parameters, between) + (np.exp(parameters[-1]) + 1e-8) * noise

    def badness(parameters: np.ndarray) -> float:
        lower = np.linalg.cholesky(covariance(np.clip(parameters, -LARGEST_LOG, LARGEST_LOG)))
        inner = np.linalg.solve(lower, right)
        return float(0.5 * inner @ inner + np.log(np.diagonal(lower)).sum())

    if setting is None:
        found = minimize(
            badness,
            np.r_[np.ones(count), np.zeros(count), -2.0],
            method="Nelder-Mead",
            options={"maxfev": 150, "xatol": 0.05, "fatol": 0.05},
        )
        setting = np.clip(found.x, -LARGEST_LOG, LARGEST_LOG)
    solved = np.linalg.solve(covariance(setting), right)
    fixed = setting

    def predict(new: Blocks) -> np.ndarray:
        return np.asarray(centre + scale * kernel(fixed, distances(new)) @ solved)

    return predict, setting


def _matern(distance: np.ndarray) -> np.ndarray:
    a = np.sqrt(5) * distance
    return np.asarray((1 + a + a * a / 3) * np.exp(-a))


def boosted_trees(
    features: Blocks, target: np.ndarray, weights: np.ndarray, setting: object
) -> tuple[Predictor, object]:
    """Fit LightGBM with RegMix's settings: 1000 trees at a rate of 0.01."""
    lightgbm = require("lightgbm", "lightgbm", "The law 'lightgbm'")
    model = lightgbm.LGBMRegressor(
        n_estimators=1000, learning_rate=0.01, verbosity=-1, random_state=0, n_jobs=1,
        min_child_samples=min(20, max(2, len(target) // 8)),
    )  # fmt: skip
    model.fit(np.hstack(features), target, sample_weight=weights)
    return lambda new: np.asarray(model.predict(np.hstack(new))), setting


METHODS: dict[str, Method] = {
    "quadratic": quadratic_ridge,
    "gp": gaussian_process,
    "lightgbm": boosted_trees,
}
