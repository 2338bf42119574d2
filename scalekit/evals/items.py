"""Items one by one: difficulty, discrimination, suspects, and the two-parameter logistic model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scalekit.errors import InputError
from scalekit.evals.reading import Source, as_evals

Array = NDArray[np.float64]
SUSPECT_BELOW = -2.0  # standard errors of a correlation of zero


def item_table(
    source: Source, benchmark: str | None = None, metric: str | None = None
) -> pd.DataFrame:
    """Return one row per benchmark, metric and item: how hard it is and how well it discriminates.

    `difficulty` is the mean score over recipes, `discrimination` the correlation over recipes with
    the score on the other items, `suspect` whether it is clearly negative (a wrong key?), and
    `reliability` (one value a benchmark) Cronbach's alpha. Needs three recipes.
    """
    tables = []
    for one in as_evals(source).select(benchmark=benchmark, metric=metric).benchmarks():
        means = np.array([block.item_means() for block in one.blocks.values()])
        if len(means) < 3 or means.shape[1] < 2:
            continue
        difficulty, discrimination = item_statistics(means)
        n = np.isfinite(means).sum(axis=0)
        table = pd.DataFrame(
            {
                "benchmark": one.name,
                "metric": one.metric,
                "item": one.items,
                "difficulty": difficulty,
                "discrimination": discrimination,
                "suspect": discrimination * np.sqrt(n) < SUSPECT_BELOW,
                "reliability": cronbach_alpha(means),
            }
        )
        tables.append(table)
    if not tables:
        raise InputError("Item statistics need three recipes or more that answered two items.")
    return pd.concat(tables, ignore_index=True)


def item_statistics(scores: ArrayLike) -> tuple[Array, Array]:
    """Return difficulty and rest-score discrimination (N,) of `scores` (recipes M, items N).

    Discrimination is NaN for an item that every recipe answers alike.
    """
    y = np.asarray(scores, dtype=np.float64)
    present = np.isfinite(y)
    filled = np.where(present, y, 0.0)
    n = present.sum(axis=0)
    difficulty = filled.sum(axis=0) / np.maximum(n, 1)
    rest_n = np.maximum(present.sum(axis=1, keepdims=True) - present, 1)
    rest = (filled.sum(axis=1, keepdims=True) - filled) / rest_n
    dx = np.where(present, y - difficulty, 0.0)
    dr = np.where(present, rest - (rest * present).sum(axis=0) / np.maximum(n, 1), 0.0)
    scale = np.sqrt((dx**2).sum(axis=0) * (dr**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return difficulty, np.where(scale > 1e-12, (dx * dr).sum(axis=0) / scale, np.nan)


def cronbach_alpha(scores: ArrayLike) -> float:
    """Return the share of true variance in the mean scores of recipes (KR-20 for 0/1 answers)."""
    y = np.asarray(scores, dtype=np.float64)
    y = y[:, np.isfinite(y).all(axis=0)]
    m, n = y.shape
    if m < 2 or n < 2:
        return float("nan")
    between = n * y.mean(axis=1).var(ddof=1)
    residual = y - y.mean(axis=0) - y.mean(axis=1, keepdims=True) + y.mean()
    within = (residual**2).sum() / ((m - 1) * (n - 1))
    return float(1 - within / between) if between > 0 else 0.0


class ItemResponse(NamedTuple):
    """Two-parameter logistic fit: P = sigmoid(discrimination (ability - difficulty)).

    Abilities (M,) with their standard errors, scaled to mean 0 and SD 1; items (N,).
    """

    ability: Array
    ability_se: Array
    discrimination: Array
    difficulty: Array
    iterations: int


def fit_item_response(
    answers: ArrayLike, max_iterations: int = 100, tolerance: float = 1e-3
) -> ItemResponse:
    """Fit the two-parameter logistic model to `answers` (recipes M, items N) of 0 and 1.

    Joint maximum a posteriori with weak priors (log discrimination ~ N(0, 0.5), intercept SD 2),
    by alternating Newton steps over all items and all recipes at once. It is the right estimator
    where items are many more than recipes' parameters; below some hundred items the marginal
    likelihood is better. NaN marks missing answers. Raises InputError for other values than 0/1.
    """
    y = np.asarray(answers, dtype=np.float64)
    present = np.isfinite(y)
    if y.ndim != 2 or min(y.shape) < 2:
        raise InputError(f"Expected answers (recipes, items), two of each; got shape {y.shape}.")
    if not np.isin(y[present], (0.0, 1.0)).all():
        raise InputError("The item response model needs answers of 0 and 1; round or binarise.")
    mask = None if present.all() else present.astype(np.float32)
    y32 = np.where(present, y, 0.0).astype(np.float32)
    n_items, n_recipes = present.sum(axis=1), present.sum(axis=0)
    intercept = _logit((y32.sum(axis=0) + 0.5) / (n_recipes + 1.0))
    ability = _logit((y32.sum(axis=1) + 0.5) / (n_items + 1.0))
    ability = (ability - ability.mean()) / max(ability.std(), 1e-9)
    log_slope, information = np.zeros(y.shape[1]), np.ones(y.shape[0])
    for iteration in range(1, max_iterations + 1):  # noqa: B007
        before = np.concatenate([ability, log_slope, intercept])
        for _ in range(2):
            intercept, log_slope = _item_step(y32, mask, ability, log_slope, intercept)
        ability, information = _ability_step(y32, mask, ability, log_slope, intercept)
        centre, spread = ability.mean(), max(ability.std(), 1e-9)
        intercept = intercept + np.exp(log_slope) * centre
        ability, log_slope = (ability - centre) / spread, log_slope + np.log(spread)
        if np.abs(np.concatenate([ability, log_slope, intercept]) - before).max() < tolerance:
            break
    slope = np.exp(log_slope)
    return ItemResponse(ability, 1 / np.sqrt(information), slope, -intercept / slope, iteration)


PRIOR_SD_LOG_SLOPE, PRIOR_SD_INTERCEPT = 0.5, 2.0


def _logit(p: Array) -> Array:
    return np.asarray(np.log(p / (1 - p)), dtype=np.float64)


def _residuals(
    y: NDArray[np.float32],
    mask: NDArray[np.float32] | None,
    ability: Array,
    log_slope: Array,
    intercept: Array,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return y - P and P (1 - P), in single precision: these passes are all the cost."""
    z = np.multiply.outer(ability.astype(np.float32), np.exp(log_slope).astype(np.float32))
    z += intercept.astype(np.float32)
    np.negative(z, out=z)
    np.clip(z, -30, 30, out=z)
    np.exp(z, out=z)
    z += 1
    p = np.reciprocal(z, out=z)
    residual, weight = y - p, p * (1 - p)
    return (residual, weight) if mask is None else (residual * mask, weight * mask)


def _item_step(
    y: NDArray[np.float32],
    mask: NDArray[np.float32] | None,
    ability: Array,
    log_slope: Array,
    intercept: Array,
) -> tuple[Array, Array]:
    """Return intercepts and log slopes after one damped Newton step of every item."""
    residual, weight = _residuals(y, mask, ability, log_slope, intercept)
    slope, t = np.exp(log_slope), ability.astype(np.float32)
    g_d = residual.sum(axis=0, dtype=np.float64)
    g_d -= (intercept - intercept.mean()) / PRIOR_SD_INTERCEPT**2
    g_a = (t @ residual).astype(np.float64) * slope - log_slope / PRIOR_SD_LOG_SLOPE**2
    h_dd = weight.sum(axis=0, dtype=np.float64) + 1 / PRIOR_SD_INTERCEPT**2
    h_da = (t @ weight).astype(np.float64) * slope
    h_aa = ((t * t) @ weight).astype(np.float64) * slope**2 + 1 / PRIOR_SD_LOG_SLOPE**2
    determinant = h_dd * h_aa - h_da**2
    step_d = np.clip((h_aa * g_d - h_da * g_a) / determinant, -1, 1)
    step_a = np.clip((h_dd * g_a - h_da * g_d) / determinant, -0.5, 0.5)
    return intercept + step_d, log_slope + step_a


def _ability_step(
    y: NDArray[np.float32],
    mask: NDArray[np.float32] | None,
    ability: Array,
    log_slope: Array,
    intercept: Array,
) -> tuple[Array, Array]:
    """Return abilities after one damped Newton step, and their information (prior N(0, 1))."""
    residual, weight = _residuals(y, mask, ability, log_slope, intercept)
    slope = np.exp(log_slope).astype(np.float32)
    gradient = (residual @ slope).astype(np.float64) - ability
    information = (weight @ (slope * slope)).astype(np.float64) + 1
    return ability + np.clip(gradient / information, -0.5, 0.5), information
