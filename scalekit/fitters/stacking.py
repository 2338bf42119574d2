"""Combining forms: weights that would have forecast best from past origins."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from scalekit.fitters.rolling import Forecasts

ROUNDS = 20
PRIOR_BLOCKS = 5.0  # blocks that the pull towards equal weights counts as
FLOOR = 1e-4  # of log loss: below it one forecast is as good as another
RECENCY = 0.8  # weight of an origin against the one after it
RESAMPLES = 1000


def stack(found: Forecasts) -> np.ndarray:
    """Return weights of the candidates, not negative and of sum one.

    They minimise the mean over blocks of the root mean squared log error of the weighted mean of
    log forecasts (Breiman 1996, stacked regressions; here by reweighted non-negative least
    squares). A pull towards weights inverse to the mean squared error (Bates & Granger 1969)
    counts as five blocks: with few blocks these are hard to beat, with many it vanishes.
    """
    rows, blocks = found.block_weights, np.unique(found.block, return_inverse=True)[1]
    importance = _importance(found)
    error = found.errors
    simple = (importance @ (block_scores(found) + FLOOR)) ** -2
    share = simple = simple / simple.sum()
    pull = PRIOR_BLOCKS / len(importance)
    for _ in range(ROUNDS):
        rms = np.sqrt(np.bincount(blocks, rows * (error @ share) ** 2)) + FLOOR
        weighted = np.sqrt(rows * importance[blocks] / rms[blocks])[:, None] * error
        size = np.sqrt(np.mean((weighted**2).sum(axis=0)))
        design = np.concatenate(
            [weighted, np.sqrt(pull) * size * np.eye(len(share)), [np.full(len(share), 1e4 * size)]]
        )
        target = np.concatenate(
            [np.zeros(len(weighted)), np.sqrt(pull) * size * simple, [1e4 * size]]
        )
        new = nnls(design, target)[0]
        new = new / new.sum() if new.sum() > 0 else simple
        moved, share = np.abs(new - share).max(), new
        if moved < 1e-4:
            break
    return share


def _importance(found: Forecasts) -> np.ndarray:
    """Return the weight of each block, of sum one: later origins are more like the next one."""
    _, first = np.unique(found.block, return_index=True)
    weights = RECENCY ** found.origin[first]
    return np.asarray(weights / weights.sum())


def block_scores(found: Forecasts) -> np.ndarray:
    """Return each candidate's root mean squared log error in each block, (blocks, candidates)."""
    blocks = np.unique(found.block, return_inverse=True)[1]
    squares = [np.bincount(blocks, found.block_weights * e**2) for e in found.errors.T]
    return np.sqrt(np.stack(squares, axis=1))


def win_probabilities(found: Forecasts, rng: np.random.Generator) -> np.ndarray:
    """Return how often each candidate forecasts best when the blocks are drawn again.

    One block more, in which all are as likely, keeps a handful from being taken for certainty
    (Laplace's rule).
    """
    scores = block_scores(found)
    drawn = rng.multinomial(len(scores), np.full(len(scores), 1 / len(scores)), size=RESAMPLES)
    best = (drawn @ scores).argmin(axis=1)
    share = np.bincount(best, minlength=scores.shape[1]) / len(best)
    return np.asarray((len(scores) * share + 1 / len(share)) / (len(scores) + 1))
