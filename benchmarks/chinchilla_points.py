"""The 240 Chinchilla points, the published objective and the published 4,500-start protocol.

Source of the protocol: Hoffmann et al. 2022 (arXiv:2203.15556, appendix D.3) as run by Besiroglu
et al. 2024 (arXiv:2404.10102); written here from its description.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from measure import public_table
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]
DELTA = 1e-3
NAMES = ("A", "B", "E", "alpha", "beta")
GRID = (
    (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),  # log A
    (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),  # log B
    (-1.0, -0.5, 0.0, 0.5, 1.0),  # log E
    (0.0, 0.5, 1.0, 1.5, 2.0),  # alpha
    (0.0, 0.5, 1.0, 1.5, 2.0),  # beta
)


@dataclass(frozen=True)
class Points:
    """Logarithms of parameters, tokens and loss, one entry a run."""

    log_params: Array
    log_tokens: Array
    log_loss: Array

    def frame(self) -> pd.DataFrame:
        """Return params, tokens and loss as a table."""
        columns = {"params": self.log_params, "tokens": self.log_tokens, "loss": self.log_loss}
        return pd.DataFrame({name: np.exp(values) for name, values in columns.items()})


def read_points() -> Points:
    """Return the 245 reconstructed points less the five highest losses, as Besiroglu et al. do."""
    table = pd.read_csv(public_table("chinchilla_epoch", "points_NDCL.csv"))
    kept = table[table["outlier_excluded_by_epoch"] == 0]
    return Points(*(np.log(kept[name].to_numpy(float)) for name in ("N", "D", "loss")))


def objective(theta: Array, points: Points, weights: Array | None = None) -> float:
    """Return the summed Huber loss on log-loss residuals at theta = (log A, log B, log E, ...).

    The log-sum-exp is written out: scipy's costs five times as much on 240 points, and the
    protocol is timed with this function.
    """
    by_params = theta[0] - theta[3] * points.log_params
    by_tokens = theta[1] - theta[4] * points.log_tokens
    largest = np.maximum(np.maximum(by_params, by_tokens), theta[2])
    total = np.exp(by_params - largest) + np.exp(by_tokens - largest) + np.exp(theta[2] - largest)
    size = np.abs(points.log_loss - largest - np.log(total))
    each = np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA))
    return float(each.sum() if weights is None else weights @ each)


def natural(theta: Array) -> Array:
    """Return (A, B, E, alpha, beta) of (log A, log B, log E, alpha, beta)."""
    return np.concatenate([np.exp(theta[:3]), theta[3:]])


def published_protocol(points: Points, every: int = 1) -> tuple[Array, int, int]:
    """Run L-BFGS-B with numerical gradients from the grid, or from each `every`-th of its starts.

    Returns the best theta, the starts run, and how many of them came within 0.1% of its objective.
    """
    starts = np.array(list(product(*GRID)))[::every]
    ends = [minimize(objective, start, args=(points,), method="L-BFGS-B") for start in starts]
    values = np.array([end.fun for end in ends])
    near = int((values <= 1.001 * values.min()).sum())
    return ends[int(values.argmin())].x, len(starts), near
