"""Fitting a law to a table of runs: `fit(runs, law="chinchilla")`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import FitError, InputError, did_you_mean
from scalekit.fitters.diagnostics import diagnose, sensitivity_table
from scalekit.fitters.fitted import Fit, Search, check_level, robust_deviation
from scalekit.fitters.intervals import SAME, choose_method, draw_parameters
from scalekit.fitters.laws import Law, as_law
from scalekit.fitters.objectives import Objective
from scalekit.fitters.solver import Problem, Solution, local_model, solve
from scalekit.fitters.starts import MOST_ROWS, centred_on, propose_starts
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.tables import RunTable, check_runs

STARTS = 24
RESAMPLES = 1000
SMALLEST_AUTO_DELTA = 1e-4  # of log loss; noise-free data would make it 0
EFFICIENT_DELTA = 1.345  # noise deviations: 95% efficiency under a normal distribution (Huber)


@dataclass(frozen=True)
class Data:
    """The rows of a fit as arrays: scales, loss, weights, and which rows belong together."""

    scales: Mapping[str, np.ndarray]
    loss: np.ndarray
    weights: np.ndarray
    clusters: np.ndarray
    repeated: bool
    notes: tuple[Note, ...]
    provenance: Provenance


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
    no start values are needed, but `start` may name some, about which it then begins.

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
    law, remarks = _settle_law(runs, law, along)
    law = _with_start(law, start)
    data = _prepare(runs, law, weights)
    _check_enough(law, data, chosen)
    problem, solutions = optimise(law, data, chosen, starts)
    search = _describe_search(problem, solutions, data.weights)
    distinct = _distinct(problem, solutions)
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
    return replace(found, notes=(*found.notes, *diagnose(found, distinct)))


def _settle_law(
    runs: RunTable | pd.DataFrame | Mapping[str, Any], law: str | Law | None, along: str | None
) -> tuple[Law, list[Note]]:
    frame = runs.frame if isinstance(runs, RunTable) else runs
    columns = [str(name) for name in frame]
    if law is None:
        law = "chinchilla" if {"params", "tokens"} <= set(columns) else "power_constant"
    settled = as_law(law, columns)
    if settled.scales != ("x",) or "x" in columns:
        if along is not None and along not in settled.scales:
            raise InputError(
                f"along='{along}' does not go with the law '{settled.name}', which depends on "
                f"{', '.join(settled.scales)}. Leave `along` out."
            )
        return settled, []
    present = [s for s in ("flops", "tokens", "samples", "params", "step") if s in columns]
    if along is not None:
        if along not in columns:
            raise InputError(f"along='{along}' is no column. {did_you_mean(along, columns)}")
        return settled.along(along), []
    if not present:
        raise InputError(
            f"The law '{settled.name}' depends on one scale; say which column with along=. "
            f"There are: {', '.join(columns)}."
        )
    notes = []
    if len(present) > 1:
        notes.append(
            Note(
                "along_chosen",
                "info",
                f"The law '{settled.name}' is fitted along {present[0]}; other scales are there "
                f"({', '.join(present[1:])}). Say along= to choose.",
            )
        )
    return settled.along(present[0]), notes


def _with_start(law: Law, start: Mapping[str, float] | None) -> Law:
    for name in start or ():
        if name not in law.names:
            raise InputError(
                f"start names '{name}', which is no parameter of the law '{law.name}'. "
                f"{did_you_mean(name, law.names)}"
            )
    return replace(law, parameters=tuple(centred_on(law.parameters, start))) if start else law


def _prepare(
    runs: RunTable | pd.DataFrame | Mapping[str, Any], law: Law, weights: str | np.ndarray | None
) -> Data:
    """Return the rows of `runs` that can be used, as arrays."""
    if isinstance(runs, RunTable):
        frame, source, notes = runs.frame, runs.provenance.source, runs.notes
    else:
        frame, source, notes = pd.DataFrame(runs), "the table", ()
    if isinstance(weights, np.ndarray):
        if len(weights) != len(frame):
            raise InputError(
                f"weights has {len(weights)} entries, but there are {len(frame)} rows."
            )
        frame, weights = frame.assign(weight=weights), "weight"
    table = check_runs(frame, scales=list(law.scales), source=source, notes=notes)
    provenance = table.provenance
    if isinstance(runs, RunTable):  # what the reader left out counts as well
        counts = dict(runs.provenance.rows_left_out)
        for reason, count in provenance.rows_left_out.items():
            counts[reason] = counts.get(reason, 0) + count
        provenance = replace(runs.provenance, rows_left_out=counts)
    kept = table.frame
    clusters, repeated = _clusters(kept, law.scales)
    weighting, told = _weighting(kept, weights)
    unique = {note.code: note for note in table.notes}
    return Data(
        {name: kept[name].to_numpy(float) for name in law.scales},
        kept["loss"].to_numpy(float),
        weighting,
        clusters,
        repeated,
        (*unique.values(), *told),
        provenance,
    )


def _clusters(frame: pd.DataFrame, scales: tuple[str, ...]) -> tuple[np.ndarray, bool]:
    """Return a number for each row: steps of one run, or runs of one configuration, share it."""
    keys = ["run"] if "run" in frame and frame["run"].duplicated().any() else list(scales)
    numbers = frame.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    return numbers, bool(numbers.max(initial=0) + 1 < len(frame))


def _weighting(frame: pd.DataFrame, weights: str | None) -> tuple[np.ndarray, list[Note]]:
    """Return weights with mean one, and what to tell about them."""
    if weights is None and "weight" in frame:
        weights = "weight"
    if weights is None:
        return np.ones(len(frame)), []
    if weights not in frame:
        raise InputError(
            f"weights='{weights}' is no column. {did_you_mean(weights, map(str, frame))}"
        )
    values = frame[weights].to_numpy(float)
    if not (np.isfinite(values) & (values >= 0)).all() or values.sum() == 0:
        raise InputError(
            f"The weights in column '{weights}' must be finite, not negative and not all zero."
        )
    if weights != "noise":
        return values * len(values) / values.sum(), []
    # a standard error from a few seeds is itself noisy: half of each variance is the typical one
    relative = values / np.abs(frame["loss"].to_numpy(float))
    precision = 1 / (0.5 * relative**2 + 0.5 * np.median(relative**2))
    told = Note(
        "noise_weights",
        "info",
        "Rows are weighted by their standard errors, each variance shrunk half way to the median.",
    )
    return precision * len(values) / precision.sum(), [told]


def _check_enough(law: Law, data: Data, objective: Objective) -> None:
    rows, needed = len(data.loss), len(law.parameters)
    source = data.provenance.source
    distinct = len(np.unique(np.stack(list(data.scales.values())), axis=1).T)
    if distinct == 1:
        at = ", ".join(f"{name} = {scale[0]:g}" for name, scale in data.scales.items())
        raise FitError(
            f"{source} has {rows} usable row(s), all at the same scale ({at}). A law needs runs "
            "of different scales."
        )
    if distinct < needed:
        raise FitError(
            f"The law '{law.name}' has {needed} parameters, but {source} has only {distinct} "
            f"different scales in {rows} row(s). Add runs, or take a law with fewer parameters, "
            "such as 'power' (2) or 'power_constant' (3)."
        )
    if objective.on_log and (data.loss <= 0).any():
        row = int(np.flatnonzero(data.loss <= 0)[0])
        raise FitError(
            f"The objective '{objective.name}' takes the logarithm of the loss, but usable row "
            f"{row} of {source} has the loss {data.loss[row]:g}. Use objective='squares', or "
            "give a positive loss."
        )


def optimise(law: Law, data: Data, objective: Objective, starts: int) -> tuple[Problem, Solution]:
    """Return the problem and all optima found from `starts` starts, the best first.

    Where delta is to be tied to the noise, a first round with a small delta measures it. Starts
    are tried on a sample of the rows where there are many; the best are finished on all rows.
    """
    rough = objective
    if objective.needs_delta or objective.name == "absolute_log":
        rough = Objective("huber_log", 1e-3, objective.overestimate_weight)
    problem = Problem.of(law.model, data.scales, data.loss, rough)
    proposed = propose_starts(problem, data.weights, starts)
    solutions = _solve_from(problem, proposed, data.weights)
    if objective.needs_delta:
        noise = robust_deviation(problem.residual(solutions.theta[:1])[0])
        objective = objective.with_delta(max(EFFICIENT_DELTA * noise, SMALLEST_AUTO_DELTA))
    if objective != rough:
        problem = replace(problem, objective=objective)
        solutions = _solve_from(problem, solutions.theta, data.weights)
    if not np.isfinite(solutions.value[0]):
        raise FitError(
            f"The law '{law.name}' has no finite value at any start on these runs. Check the "
            "formula's domain (logarithms and powers need positive arguments) and the units."
        )
    return problem, solutions


def _solve_from(problem: Problem, starts: np.ndarray, weights: np.ndarray) -> Solution:
    """Return the optima from `starts`, best first; on many rows only distinct ones are finished."""
    rows = len(problem.target)
    if rows > 10 * MOST_ROWS:
        keep = np.linspace(0, rows - 1, 5 * MOST_ROWS).astype(int)
        part = replace(
            problem,
            scales={name: scale[keep] for name, scale in problem.scales.items()},
            target=problem.target[keep],
        )
        rough = solve(part, starts, weights[keep])
        order = np.argsort(rough.value, kind="stable")
        best = Solution(rough.theta[order], rough.value[order], rough.converged[order])
        starts = _distinct(part, best).theta[:3]
    found = solve(problem, starts, weights)
    order = np.argsort(found.value, kind="stable")
    return Solution(found.theta[order], found.value[order], found.converged[order])


def _describe_search(problem: Problem, solutions: Solution, weights: np.ndarray) -> Search:
    best = solutions.value[0]
    agreeing = solutions.value <= best + SAME * abs(best)
    _, _, hessian = local_model(problem, solutions.theta[0], weights)
    held = (solutions.theta[0] <= problem.lower) | (solutions.theta[0] >= problem.upper)
    free = np.flatnonzero(~held)
    inner = hessian[np.ix_(free, free)]
    size = np.sqrt(np.abs(np.diagonal(inner)))
    size = np.where(size > 0, size, 1.0)
    condition = float(np.linalg.cond(inner / np.outer(size, size))) if len(free) else 1.0
    return Search(
        len(solutions.value), int(agreeing.sum()), bool(solutions.converged[0]), condition
    )


def _distinct(problem: Problem, solutions: Solution) -> Solution:
    """Return the optima that predict differently, best first (at most five)."""
    finite = np.flatnonzero(np.isfinite(solutions.value))
    if len(problem.target) > MOST_ROWS:
        return Solution(
            solutions.theta[finite[:3]],
            solutions.value[finite[:3]],
            solutions.converged[finite[:3]],
        )
    residuals = problem.residual(solutions.theta[finite])
    kept: list[int] = []
    for place, index in enumerate(finite):
        gaps = [np.max(np.abs(residuals[place] - residuals[int(np.searchsorted(finite, k))]))
                for k in kept]  # fmt: skip
        if all(gap > 1e-6 * np.std(residuals[0]) for gap in gaps):
            kept.append(int(index))
        if len(kept) == 5:
            break
    return Solution(solutions.theta[kept], solutions.value[kept], solutions.converged[kept])
