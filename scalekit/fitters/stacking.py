"""Combining forms: weights that would have forecast best from past origins."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from scalekit.fitters.rolling import Forecasts

ROUNDS = 20
PRIOR_BLOCKS = 2.0  # blocks that the pull towards equal weights counts as
FLOOR = 1e-4  # of log loss: below it one forecast is as good as another
RESAMPLES = 200


def stack(found: Forecasts, weights: np.ndarray | None = None) -> np.ndarray:
    """Return weights of the candidates, not negative and of sum one.

    They minimise the mean over blocks of the root mean squared log error of the weighted mean
    (Breiman 1996, stacked regressions; here by reweighted non-negative least squares), with a
    pull towards equal weights that counts as two blocks.
    """
    rows = found.block_weights if weights is None else weights
    blocks = np.unique(found.block, return_inverse=True)[1]
    centre = found.centre - found.observed[:, None]
    count = centre.shape[1]
    share = np.full(count, 1 / count)
    blocks_held = len(np.unique(blocks[rows > 0]))
    for _ in range(ROUNDS):
        error = centre @ share
        rms = np.sqrt(np.maximum(np.bincount(blocks, rows * error**2), 0)) + FLOOR
        root = np.sqrt(rows / rms[blocks])
        typical = np.sqrt(PRIOR_BLOCKS / max(blocks_held, 1) * np.mean(np.sum((root[:, None] * centre) ** 2, axis=0)))
        design = np.concatenate([root[:, None] * centre, typical * np.eye(count), 1e4 * typical * np.ones((1, count))])
        target = np.concatenate([np.zeros(len(root)), np.full(count, typical / count), [1e4 * typical]])
        new = nnls(design, target)[0]
        new = new / new.sum() if new.sum() > 0 else np.full(count, 1 / count)
        if np.abs(new - share).max() < 1e-4:
            break
        share = new
    return share


def block_scores(found: Forecasts) -> np.ndarray:
    """Return each candidate's root mean squared log error in each block, (blocks, candidates)."""
    blocks = np.unique(found.block, return_inverse=True)[1]
    squares = [np.bincount(blocks, found.block_weights * e**2) for e in found.errors.T]
    return np.sqrt(np.stack(squares, axis=1))


def win_probabilities(found: Forecasts, rng: np.random.Generator) -> np.ndarray:
    """Return how often each candidate forecasts best when the blocks are drawn again."""
    scores = block_scores(found)
    drawn = rng.multinomial(len(scores), np.full(len(scores), 1 / len(scores)), size=RESAMPLES * 5)
    best = (drawn @ scores).argmin(axis=1)
    return np.bincount(best, minlength=scores.shape[1]) / len(best)
