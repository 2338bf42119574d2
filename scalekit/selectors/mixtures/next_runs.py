"""Which pilot mixture to run next: the one that promises the better choice afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.seeds import RandomState, as_generator
from scalekit.selectors.mixtures.limits import make_limits
from scalekit.selectors.mixtures.mixture_fit import MixtureFit
from scalekit.selectors.mixtures.objective import Aim
from scalekit.selectors.mixtures.optimum import sample_mixtures

CANDIDATES = 400
QUADRATURE = 15


def next_pilots(
    fit: MixtureFit, count: int = 1, *, rng: RandomState = 0, **limits: Any
) -> pd.DataFrame:
    """Return `count` mixtures whose runs promise the best choice afterwards, best first.

    The knowledge gradient (Frazier et al. 2009, Gaussian with correlated beliefs) on the law's
    draws: how much lower, on average, the loss of the mixture chosen after the run will be.
    Later mixtures are chosen as if the earlier ones had been run. Columns: a share for each
    source, `expected_gain` (loss) and `deviation` of the predicted loss over the draws.
    `limits` are those of `make_limits`. Raises InputError for a count below one.
    """
    if count < 1:
        raise InputError(f"count is {count}; ask for one mixture or more.")
    generator = as_generator(rng)
    allowed = make_limits(fit.sources, **limits)
    aim = Aim(fit, fit.settle_scales({}))
    best = aim.best(allowed, generator).shares
    drawn = aim.best(allowed, generator, draws=True).shares
    spread = sample_mixtures(allowed, CANDIDATES, generator)
    shares = np.vstack([best, drawn[:100], spread])
    beliefs = aim.losses(shares, draws=True)
    mean, centred = beliefs.mean(axis=0), beliefs - beliefs.mean(axis=0)
    covariance = centred.T @ centred / (len(beliefs) - 1)
    error = np.einsum("t,btr->br", fit.weights, fit.residuals)
    noise = float(np.nanvar(error)) + 1e-12
    rows = []
    for _ in range(count):
        gains = _knowledge_gradient(mean, covariance, noise)
        pick = int(gains.argmax())
        deviation = float(np.sqrt(max(covariance[pick, pick], 0.0)))
        row = dict(zip(fit.sources, shares[pick], strict=True))
        rows.append(row | {"expected_gain": float(gains[pick]), "deviation": deviation})
        column = covariance[:, pick]
        covariance = covariance - np.outer(column, column) / (covariance[pick, pick] + noise)
    return pd.DataFrame(rows)


def _knowledge_gradient(mean: np.ndarray, covariance: np.ndarray, noise: float) -> np.ndarray:
    """Return, for each candidate, the expected fall of the least mean after one observation."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE)
    weights = weights / weights.sum()
    scale = np.sqrt(np.maximum(np.diagonal(covariance), 0.0) + noise)
    moved = covariance / scale  # column k: how all means move for one deviation at candidate k
    after = np.zeros(len(mean))
    for node, weight in zip(nodes, weights, strict=True):
        after += weight * (mean[:, None] + node * moved).min(axis=0)
    return np.asarray(np.maximum(mean.min() - after, 0.0))
