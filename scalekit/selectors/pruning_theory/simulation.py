"""The theory's experiment: draw examples, prune them, train the max-margin perceptron."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.seeds import RandomState, as_generator
from scalekit.selectors.pruning_theory.fields import SIDES


def simulate(
    examples_per_dimension: float,
    keep: float = 1.0,
    angle: float = 0.0,
    side: str = "hard",
    *,
    dimensions: int = 100,
    repeats: int = 20,
    rng: RandomState = 0,
) -> pd.DataFrame:
    """Train hard-margin perceptrons on pruned random examples; return error and standard error.

    Arguments as in `perceptron`; each of `repeats` draws a teacher's data set anew in so many
    `dimensions`. The error follows exactly from the angle between student and teacher. One row
    with examples_per_dimension, keep, angle, side, dimensions, repeats, error, standard_error.
    Raises InputError where fewer than two examples are kept.

    >>> found = simulate(2.0, keep=0.5, dimensions=40, repeats=4, rng=0)
    >>> bool(0.2 < found["error"][0] < 0.4)
    True
    """
    count = round(examples_per_dimension * dimensions)
    kept = round(keep * count)
    if kept < 2 or repeats < 2 or side not in SIDES:
        raise InputError(
            f"simulate needs two kept examples, two repeats and a side of {', '.join(SIDES)}; got "
            f"{kept} of {count} examples, {repeats} repeats, side='{side}'."
        )
    generator, errors = as_generator(rng), []
    for _ in range(repeats):
        x = generator.standard_normal((count, dimensions))
        margin = np.abs(np.cos(angle) * x[:, 0] + np.sin(angle) * x[:, 1])
        order = {"hard": margin, "easy": -margin, "random": generator.random(count)}[side]
        chosen = x[np.argsort(order, kind="stable")[:kept]]
        student = _max_margin(chosen * np.sign(chosen[:, :1]))
        cosine = student[0] / np.linalg.norm(student)
        errors.append(float(np.arccos(np.clip(cosine, -1, 1)) / np.pi))
    return pd.DataFrame([{
        "examples_per_dimension": examples_per_dimension, "keep": keep, "angle": angle,
        "side": side, "dimensions": dimensions, "repeats": repeats, "error": np.mean(errors),
        "standard_error": np.std(errors, ddof=1) / np.sqrt(repeats),
    }])  # fmt: skip


def _max_margin(signed: np.ndarray) -> np.ndarray:
    """Return the shortest w with signed @ w >= 1, as a non-negative least-squares problem.

    Source: Lawson & Hanson 1974, chapter 23 (least-distance programming).
    """
    from scipy.optimize import nnls

    stacked = np.vstack([signed.T, np.ones(len(signed))])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    residual = stacked @ nnls(stacked, target, maxiter=50 * len(signed))[0] - target
    return np.asarray(-residual[:-1] / residual[-1])
