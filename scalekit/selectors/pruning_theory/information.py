"""How much one kept example tells: the entropy of the students that fit all of them."""

from __future__ import annotations

import numpy as np
from scipy.optimize import root
from scipy.special import log_ndtr

from scalekit.errors import FitError
from scalekit.selectors.pruning_theory.fields import Fields, kept_fields

NODES = 60  # Gauss-Hermite nodes of the students' common field
STEPS = 25  # from few examples to many
HALF_LOG_TAU = 0.5 * np.log(2 * np.pi)


def information_gain(kept_per_dimension: float, keep: float = 1.0, side: str = "hard") -> float:
    """Return the nats by which one more kept example shrinks the log volume of fitting students.

    The volume of perceptrons that classify all kept examples as the teacher does (Gardner 1988,
    replica symmetric; here the teacher is the probe, angle 0): with overlap R of student and
    teacher and q of two students,
    `S = ln(1-q)/2 + (q-R^2)/(2(1-q)) + alpha E ln Phi((R|z| + sqrt(q-R^2) t)/sqrt(1-q))`
    at its stationary point, and the gain is `-dS/d alpha`. The first example tells ln 2; random
    ones tell about 1/alpha each in the end, hard ones do not wear out so (Sorscher et al. 2022,
    section 2). Raises FitError where the stationary point is not found.

    >>> round(information_gain(1e-4), 3), information_gain(4.0, keep=0.2) > information_gain(4.0)
    (0.693, True)
    """
    fields = kept_fields(keep, 0.0, side)
    at, told = np.log([0.4e-6, 0.6e-3]), 0.0
    for alpha in np.geomspace(1e-3, max(kept_per_dimension, 1.1e-3), STEPS):
        alpha = min(alpha, kept_per_dimension)
        found = root(_conditions, at, (alpha, fields), tol=1e-10)
        if not np.isfinite(found.x).all() or np.abs(found.fun).max() > 1e-6:
            raise FitError(
                f"No stationary entropy was found at {alpha:g} kept examples a dimension, keep="
                f"{keep:g}, side='{side}'."
            )
        at, told = found.x, _saddle(found.x, alpha, fields)[1]
    return -told


def _conditions(at: np.ndarray, alpha: float, fields: Fields) -> np.ndarray:
    return _saddle(at, alpha, fields)[0]


def _saddle(at: np.ndarray, alpha: float, fields: Fields) -> tuple[np.ndarray, float]:
    """Return the two stationarity conditions at the logs of s and n, and E ln Phi.

    With `s = R^2/(1-q)` and `n = (q-R^2)/(1-q)` the entropy is
    `-ln(1+s+n)/2 + n/2 + alpha E ln Phi(sqrt(s)|z| + sqrt(n) t)`.
    """
    signal, noise = np.exp(at)
    nodes, share = np.polynomial.hermite_e.hermegauss(NODES)
    both = fields.weights[:, None] * (share / share.sum())
    field = np.sqrt(signal) * fields.along[:, None] + np.sqrt(noise) * nodes
    logs = log_ndtr(field)
    pull = np.exp(-0.5 * field**2 - HALF_LOG_TAU - logs)
    along = alpha * np.sum(both * pull * fields.along[:, None])
    bend = alpha * np.sum(both * pull * (pull + field))
    size = 1 + signal + noise
    conditions = [np.log(along * size) - 0.5 * at[0], np.log(bend * size / (signal + noise))]
    return np.array(conditions), float(np.sum(both * logs))
