"""Every system of a comparison under one law: its fit, and its runs ready for resampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import FitError
from scalekit.fitters.curve import noise_of_logs
from scalekit.fitters.fitted import Fit
from scalekit.fitters.fitting import fit
from scalekit.fitters.law import Law
from scalekit.fitters.paired import System
from scalekit.fitters.problem import Problem, Solution
from scalekit.fitters.selection import selected_weights


def fit_systems(
    parts: Mapping[str, pd.DataFrame], law: Law, along: str, select: str, keys: list[str],
    options: Mapping[str, Any],
) -> tuple[dict[str, Fit], list[System]]:  # fmt: skip
    """Return the fit of every system to its selected runs, and the systems for resampling."""
    found = {name: _fit_one(name, part, law, along, select, keys, options)
             for name, part in parts.items()}  # fmt: skip
    return {name: pair[0] for name, pair in found.items()}, [pair[1] for pair in found.values()]


def _fit_one(
    name: str, part: pd.DataFrame, law: Law, along: str, select: str, keys: list[str],
    options: Mapping[str, Any],
) -> tuple[Fit, System]:  # fmt: skip
    """Return the fit to the selected runs of one system, and the system ready for resampling."""
    x, loss = part[along].to_numpy(float), part["loss"].to_numpy(float)
    curves = "run" in part and part.groupby("run")[along].agg(np.ptp).gt(0).any()
    named = [name] if curves else []  # steps of one run belong together, and to this system only
    groups = ["run"] if curves else keys
    cells = part.groupby(groups, sort=False, dropna=False).ngroup().to_numpy()
    once = selected_weights(select, x, loss, cells, np.ones((1, len(part))))[0] > 0
    try:
        fitted = fit(part[once], law, interval="none", **options)
    except FitError as error:
        raise FitError(f"System '{name}': {error}") from error
    scales = {scale: part[scale].to_numpy(float) for scale in law.scales}
    problem = Problem.of(law.model, scales, loss, fitted.objective)
    starts = fitted.theta[None]
    if fitted.law.irreducible is not None and not fitted.law.between:
        starts = np.concatenate([starts, _other_start(fitted)])
    solution = Solution(starts, np.full(len(starts), np.inf), np.ones(len(starts), bool))
    labels: Sequence[tuple[object, ...]] = [
        (*named, *row) for row in part[groups].map(_label).to_numpy()
    ]
    if select == "frontier":  # every run is drawn on its own
        labels = [(*label, k) for label, k in zip(labels, _order(labels), strict=True)]
    return fitted, System(problem, solution, np.ones(len(part)), x, tuple(labels), cells,
                          noise_of_logs(fitted))  # fmt: skip


def _label(value: object) -> str:
    """Return a value as text by which configurations match: 6ND is exact to a few digits only."""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _order(labels: Sequence[object]) -> list[int]:
    """Return how often each label occurred before, so that repeats become different keys."""
    seen: dict[object, int] = {}
    found = []
    for label in labels:
        found.append(seen.get(label, 0))
        seen[label] = found[-1] + 1
    return found


def _other_start(fitted: Fit) -> np.ndarray:
    """Return a second start with the constant halved: resamples may prefer the other valley.

    In the solver's coordinates throughout: a parameter at zero has no logarithm to come back to.
    """
    k = fitted.law.names.index(fitted.law.irreducible or "")
    theta = np.array(fitted.theta[None], dtype=float)
    theta[0, k] = theta[0, k] - np.log(2) if fitted.law.parameters[k].log else 0.5 * theta[0, k]
    return theta
