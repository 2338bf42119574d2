"""Fitting a law to a table of runs: `fit(runs, law="chinchilla")`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.fitters.diagnostics import diagnose, sensitivity_table
from scalekit.fitters.fitted import Fit
from scalekit.fitters.intervals import choose_method, draw_parameters
from scalekit.fitters.law import Law
from scalekit.fitters.objectives import Objective
from scalekit.fitters.preparing import (
    Data,
    check_enough,
    prepare,
    settle_law,
    with_fixed,
    with_start,
)
from scalekit.fitters.search import describe_search, distinct_optima, optimise
from scalekit.results import check_level
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.tables import RunTable

__all__ = ["Data", "fit", "optimise"]

STARTS = 24
RESAMPLES = 1000


def fit(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    law: str | Law | None = None,
    *,
    along: str | None = None,
    objective: str = "huber_log",
    delta: float | None = None,
    overestimate_weight: float = 1.0,
    weights: str | np.ndarray | None = None,
    interval: str = "auto",
    resamples: int = RESAMPLES,
    confidence_level: float = 0.95,
    starts: int = STARTS,
    start: Mapping[str, float] | None = None,
    fixed: Mapping[str, float] | None = None,
    rng: RandomState = 0,
) -> Fit:
    """Fit a law to runs, with intervals, diagnostics and notes.

    `runs` is what `read_runs` returns, or a table with a column `loss` and one for each scale of
    the law. `law` is a name of the catalogue (`scalekit.laws()`), a formula or a `Law`; without
    one it is "chinchilla" where there are params and tokens, else "power_constant". A law of one
    scale is fitted `along` a column. `objective` is "huber_log", "log_squares", "squares" or
    "absolute_log"; `delta` is Huber's, None ties it to the noise (1.345 robust standard
    deviations). `overestimate_weight` above 1 makes the curve follow the best-tuned runs.
    `weights` is an array, the name of a column, or "noise" (standard errors of the loss, shrunk).

    `interval` is "auto", "pairs", "cluster", "wild", "delta" or "none"; `resamples` is their
    number; the same `rng` gives the same result. `starts` is the number of starts of the search;
    no start values are needed, but `start` may name some, about which it then begins. `fixed`
    holds parameters at given values: they are not fitted and have no interval of their own.

    Raises InputError for a table that cannot be used, FormulaError for a law that cannot be read,
    FitError where the law cannot be fitted to these runs.

    >>> import scalekit as sk
    >>> fitted = sk.fit({"params": [1e6, 1e7, 1e8, 1e9], "loss": [4.1, 3.3, 2.8, 2.5]},
    ...                 law="power", along="params")
    >>> round(float(fitted.params["alpha"]), 3)
    0.072
    """
    chosen = Objective(objective, delta, overestimate_weight)
    level = check_level(confidence_level)
    if resamples < 0 or starts < 1:
        raise InputError(
            f"resamples ({resamples}) must be 0 or more and starts ({starts}) 1 or more."
        )
    law, remarks = settle_law(runs, law, along)
    law = with_fixed(with_start(law, start), fixed)
    data = prepare(runs, law, weights)
    check_enough(law, data, chosen)
    problem, solutions = optimise(law, data, chosen, starts)
    search = describe_search(problem, solutions, data.weights)
    distinct = distinct_optima(problem, solutions)
    method = choose_method(
        interval, len(data.loss), int(data.clusters.max()) + 1, data.repeated, resamples
    )
    draws = draw_parameters(
        problem, data.weights, distinct, data.clusters, method, resamples, as_generator(rng)
    )
    found = Fit(
        law=law,
        theta=solutions.theta[0],
        objective=problem.objective,
        objective_value=float(solutions.value[0]),
        scales=data.scales,
        loss=data.loss,
        weights=data.weights,
        clusters=data.clusters,
        draws=draws.theta,
        interval_method=draws.method,
        confidence_level=level,
        search=replace(search, resample_agreement=draws.agreement),
        sensitivity=pd.DataFrame(),
        notes=(*data.notes, *remarks),
        provenance=replace(data.provenance, seed=seed_of(rng)),
    )
    found = replace(found, sensitivity=sensitivity_table(found))
    return replace(found, notes=(*found.notes, *diagnose(found, distinct, data.locate)))
