"""projektor's two stages as published, beside our own: Kang et al., NeurIPS 2023.

Stage 1 is an ordinary least-squares fit in the mixture and its transport distance, one for each
pilot size; stage 2 draws a straight line in log N through two of them. Two forms of stage 1 are
named apart: "projektor" is the paper's equation, "projektor_notebook" the seven features that
the official notebook fits. Both project accuracy, not error, and know no uncertainty; we add it
from the residuals.
"""

from __future__ import annotations

import numpy as np

from scalekit.errors import InputError

FORMS = ("projektor", "projektor_notebook")


def stage_one_features(mixtures: np.ndarray, distance: np.ndarray, form: str) -> np.ndarray:
    """Return the columns of stage 1 for mixtures (k, m) and distances (k,), intercept first.

    "projektor": sum_i (b2_i p_i^2 + b1_i p_i + b0) OT + sum_i (c2_i p_i^2 + c1_i p_i + c0). Its
    columns are collinear (shares sum to one), so it is solved with the least norm.
    "projektor_notebook": OT, p_i, p_i OT and p_i^2 OT for all sources but the last.

    >>> stage_one_features(np.array([[0.2, 0.3, 0.5]]), np.array([2.0]), "projektor_notebook")
    array([[1.  , 2.  , 0.2 , 0.3 , 0.4 , 0.6 , 0.08, 0.18]])
    """
    ones, d = np.ones((len(mixtures), 1)), np.asarray(distance, dtype=float)[:, None]
    if form == "projektor":
        p = mixtures
        return np.column_stack([ones, d, p, p**2, p * d, p**2 * d])
    if form == "projektor_notebook":
        p = mixtures[:, :-1]
        return np.column_stack([ones, d, p, p * d, p**2 * d])
    raise InputError(f"Unknown form '{form}'. Use 'projektor' or 'projektor_notebook'.")


def least_squares(columns: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return (coefficients of least norm, a root of their covariance, degrees of freedom)."""
    u, s, vt = np.linalg.svd(columns, full_matrices=False)
    keep = s > 1e-10 * s[0]
    scaled = vt[keep].T / s[keep]
    coefficients = scaled @ (u[:, keep].T @ y)
    free = max(len(y) - int(keep.sum()), 1)
    residual = y - columns @ coefficients
    root: np.ndarray = scaled * np.sqrt(residual @ residual / free)
    return coefficients, root, free


def log_weights(samples: float | np.ndarray, n0: float, n1: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (w0, w1) with L(N) = w0 L(n0) + w1 L(n1) of the line in log N."""
    if not 0 < n0 < n1:
        raise InputError(f"The projection needs two sizes, n0 < n1; got {n0:g} and {n1:g}.")
    span = np.log(n1 / n0)
    ratio = np.asarray(samples, dtype=float)
    return -np.log(ratio / n1) / span, np.log(ratio / n0) / span


def project_log_samples(
    samples: float | np.ndarray, n0: float, n1: float, at_n0: np.ndarray, at_n1: np.ndarray
) -> np.ndarray:
    """Return the published projection: a straight line in log N through two predictions.

    L(N) = [log(N / n0) L(n1) - log(N / n1) L(n0)] / log(n1 / n0), arXiv 2307.02460.

    >>> round(float(project_log_samples(1000, 10, 100, np.array(1.0), np.array(2.0))), 9)
    3.0
    """
    w0, w1 = log_weights(samples, n0, n1)
    result: np.ndarray = w0 * at_n0 + w1 * at_n1
    return result


def noise_amplification(samples: float, n0: float, n1: float) -> float:
    """Return by how much the line in log N through n0 and n1 multiplies the pilots' noise.

    >>> round(noise_amplification(10_000, 1_000, 1_500), 1)
    7.4
    """
    return float(np.hypot(*log_weights(samples, n0, n1)))
