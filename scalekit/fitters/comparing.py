"""Comparing recipes at scale: `compare(runs, by="recipe", along="flops")`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import FitError, InputError, did_you_mean
from scalekit.fitters.comparison import Comparison
from scalekit.fitters.drift import Drift, Forecasts, forecast_error, forecast_larger, measure_drift
from scalekit.fitters.fitted import Fit, check_level
from scalekit.fitters.fitting import RESAMPLES, fit
from scalekit.fitters.laws import Law, as_law
from scalekit.fitters.model import to_internal
from scalekit.fitters.paired import System, choose_resampling, joint_draws
from scalekit.fitters.selection import check_selection, guess_selection, selected_weights
from scalekit.fitters.solver import Problem, Solution
from scalekit.notes import Note
from scalekit.results import Provenance, hash_frame
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.tables import RunTable, check_runs

SIZES = ("params", "tokens", "samples")
ENOUGH_TO_CHOOSE = 8  # scales of every system, from which on another law is tried
BETTER = 0.8  # ratio of forecast errors below which it is taken
UNEQUAL = 1.5  # ratio of mean grid sizes above which the better tuned system has an advantage


def compare(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    by: str = "group",
    law: str | Law | None = None,
    along: str | None = None,
    *,
    select: str = "auto",
    at: float | Sequence[float] | None = None,
    pair_by: Sequence[str] | None = None,
    drift: bool = True,
    objective: str = "huber_log",
    delta: float | None = None,
    resamples: int = RESAMPLES,
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Comparison:
    """Compare two or more systems (recipes, data sets) along a scale, with paired draws.

    `runs` has a column `by` that names the system of each run, a column `loss` (positive; lower
    is better; for an accuracy give 1 - accuracy) and the scales. `law` (default
    "power_constant", or "shifted_power" where that forecasts the larger runs much better) is
    fitted to each system `along` a scale (default flops, else the first of tokens, samples,
    params that is there). A law of params and tokens is compared along flops at
    each budget's best sizes.

    `select` says which runs the curve follows: "all"; "best", the best run at each combination of
    scales (a grid of hyper-parameters); "frontier", the runs that no run of less compute beats
    (grids of sizes). "auto" takes "frontier" where runs of several sizes share the same compute.
    The selection is made anew inside every resample. `at` lists the scales to decide at (default:
    ten times the largest run). Runs of two systems with equal scales (and equal `pair_by`
    columns, such as a seed) are resampled together. With `drift` the draws also hold what the
    law got wrong when it forecast the larger runs from the smaller (see `fitters.drift`).

    Raises InputError for a table that cannot be used, FitError where a law cannot be fitted.

    >>> import scalekit as sk
    >>> x = [1e18, 3e18, 1e19, 3e19, 1e20, 3e20]
    >>> duel = sk.compare({"recipe": ["a"] * 6 + ["b"] * 6, "flops": x * 2,
    ...                    "loss": [3 * (c / 1e18) ** -0.05 for c in x]
    ...                           + [3.3 * (c / 1e18) ** -0.09 for c in x]},
    ...                   by="recipe", law="power", rng=0)
    >>> f"{duel.crossover().median:.2g}"
    '1.1e+19'
    """
    check_selection(select)
    level = check_level(confidence_level)
    frame, source, provenance, notes = _frame_of(runs)
    if isinstance(runs, RunTable) and by not in frame:
        by = next((r.role for r in runs.readings if r.column == by), by)
    names = _systems(frame, by, source)
    settled, along = _settle(frame, law, along)
    frame = _with_along(frame, along, source)
    scales = list(dict.fromkeys([along, *settled.scales]))
    table = check_runs(frame, scales=scales, source=source)
    frame = table.frame
    missing = [name for name in names if not (frame[by].astype(str) == name).any()]
    if missing:
        raise InputError(f"{source}: no usable run of '{missing[0]}' is left. See its rows.")
    _refuse_negative(frame, source)
    parts = {name: frame[frame[by].astype(str) == name].reset_index(drop=True) for name in names}
    chosen, told = _choose(select, settled, along, parts)
    keys = [n for n in (*scales, *SIZES, *(pair_by or ())) if n in frame]
    options = {"objective": objective, "delta": delta, "confidence_level": level}
    fits, systems = _fit_all(parts, settled, along, chosen, keys, options)
    forecasts = forecast_larger(list(fits.values()), along) if drift or law is None else []
    if law is None:
        other = _shifted(parts, fits, forecasts, along, chosen, keys, options)
        if other is not None:
            fits, systems, forecasts, why = other
            told = [*told, why]
    method = choose_resampling(systems, chosen)
    generator = as_generator(rng)
    draws, shared = joint_draws(systems, chosen, method, resamples, generator)
    good = np.all([np.isfinite(draw).all(axis=1) for draw in draws], axis=0)
    words = _describe(method, chosen, int(good.sum()), shared)
    seed = seed_of(rng)
    fits = {
        name: replace(found, draws=draw[good], interval_method=words,
                      provenance=replace(found.provenance, seed=seed))
        for (name, found), draw in zip(fits.items(), draws, strict=True)
    }  # fmt: skip
    measured = measure_drift(forecasts) if drift else Drift(0.0, 0.0)
    drifts = measured.draw(len(fits), int(good.sum()), generator)
    left_out = dict(provenance.rows_left_out)
    for reason, count in table.provenance.rows_left_out.items():
        left_out[reason] = left_out.get(reason, 0) + count
    duel = Comparison(
        by=by,
        along=along,
        select=chosen,
        fits=fits,
        drifts=drifts,
        asked=np.zeros(0),
        confidence_level=level,
        interval_method=words,
        runs=frame[[by, *scales, "loss"]].rename(columns={by: "system"}),
        notes=(*notes, *table.notes, *told, *_tuning_notes(chosen, systems, names),
               *_fit_notes(fits)),
        provenance=replace(provenance, rows_left_out=left_out, seed=seed),
    )  # fmt: skip
    asked = [10 * duel.reach] if at is None else np.atleast_1d(np.asarray(at, dtype=float))
    return duel.decide(asked)


def _frame_of(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
) -> tuple[pd.DataFrame, str, Provenance, tuple[Note, ...]]:
    if isinstance(runs, RunTable):
        return runs.frame, runs.provenance.source, runs.provenance, runs.notes
    frame = pd.DataFrame(runs)
    found = Provenance("the table", hash_frame(frame.astype(str)), len(frame))
    return frame, "the table", found, ()


def _systems(frame: pd.DataFrame, by: str, source: str) -> list[str]:
    if by not in frame:
        raise InputError(
            f"{source} has no column '{by}' to tell the systems apart. "
            f"{did_you_mean(by, map(str, frame.columns))} Say which with by=."
        )
    names = list(dict.fromkeys(frame[by].dropna().astype(str)))
    if len(names) < 2:
        raise InputError(
            f"{source}: column '{by}' names only {', '.join(names) or 'nothing'}; "
            "a comparison needs two systems or more."
        )
    if len(names) > 50:
        raise InputError(
            f"{source}: column '{by}' has {len(names)} different values; that looks like a number, "
            "not like the name of a system. Say another with by=."
        )
    return names


def _settle(frame: pd.DataFrame, law: str | Law | None, along: str | None) -> tuple[Law, str]:
    columns = [str(name) for name in frame]
    settled = as_law("power_constant" if law is None else law, columns)
    if along is None:
        have = [n for n in ("flops", "tokens", "samples", "params", "step") if n in columns]
        if {"params", "tokens"} <= set(columns):
            have.insert(0, "flops")
        several = len(settled.scales) > 1
        along = "flops" if several else next(iter(have), None)
        if settled.scales != ("x",) and not several:
            along = settled.scales[0]
    if along is None:
        raise InputError(
            f"No column is a scale to compare along; say which with along=. There are: "
            f"{', '.join(columns)}."
        )
    if along not in columns and not (along == "flops" and {"params", "tokens"} <= set(columns)):
        raise InputError(f"along='{along}' is no column. {did_you_mean(along, columns)}")
    return settled.along(along), along


def _with_along(frame: pd.DataFrame, along: str, source: str) -> pd.DataFrame:
    if along in frame:
        return frame
    filled = check_runs(frame, scales=["params", "tokens"], source=source).frame
    return filled.assign(flops=6 * filled["params"] * filled["tokens"])


def _refuse_negative(frame: pd.DataFrame, source: str) -> None:
    if (frame["loss"] <= 0).any():
        row = frame.index[(frame["loss"] <= 0).to_numpy()][0]
        raise InputError(
            f"{source}, row {row!r}: the loss is {frame['loss'].loc[row]:g}. Recipes are compared "
            "by ratios of loss, which must be positive; for an accuracy give 1 - accuracy."
        )


def _choose(
    select: str, law: Law, along: str, parts: Mapping[str, pd.DataFrame]
) -> tuple[str, list[Note]]:
    if select != "auto":
        return select, []
    if len(law.scales) > 1 or along != "flops":
        return "all", []
    guesses = []
    for part in parts.values():
        others = [part[n].to_numpy(float) for n in SIZES if n in part]
        others = [o for o in others if (np.isfinite(o) & (o > 0)).all()]
        guesses.append(guess_selection(part[along].to_numpy(float), others))
    if "frontier" not in guesses:
        return "all", []
    words = (
        "Runs of several sizes share the same compute, so each curve follows the frontier (runs "
        "that no run of less compute beats), chosen anew in every resample. select='all' uses "
        "every run."
    )
    return "frontier", [Note("frontier_selected", "info", words)]


def _fit_all(
    parts: Mapping[str, pd.DataFrame], law: Law, along: str, select: str, keys: list[str],
    options: Mapping[str, Any],
) -> tuple[dict[str, Fit], list[System]]:  # fmt: skip
    found = {name: _fit_one(name, part, law, along, select, keys, options)
             for name, part in parts.items()}  # fmt: skip
    return {name: pair[0] for name, pair in found.items()}, [pair[1] for pair in found.values()]


def _shifted(
    parts: Mapping[str, pd.DataFrame], fits: Mapping[str, Fit], forecasts: Forecasts, along: str,
    select: str, keys: list[str], options: Mapping[str, Any],
) -> tuple[dict[str, Fit], list[System], Forecasts, Note] | None:  # fmt: skip
    """Return fits of 'shifted_power' where it forecasts the larger runs much better, else None.

    Metrics that start at a plateau (an accuracy near chance) bend where a power law does not.
    """
    law = as_law("shifted_power").along(along)
    if min(len(np.unique(fitted.scales[along])) for fitted in fits.values()) < ENOUGH_TO_CHOOSE:
        return None
    plain = forecast_error(forecasts)
    other, systems = _fit_all(parts, law, along, select, keys, options)
    more = forecast_larger(list(other.values()), along)
    shifted = forecast_error(more)
    if not shifted < BETTER * plain:
        return None
    words = (
        "The law 'shifted_power' is used, since it forecasts the larger runs from the smaller "
        f"{plain / shifted:.1f} times better than 'power_constant'. Say law= to choose."
    )
    return other, systems, more, Note("law_chosen", "info", words)


def _fit_one(
    name: str, part: pd.DataFrame, law: Law, along: str, select: str, keys: list[str],
    options: Mapping[str, Any],
) -> tuple[Fit, System]:  # fmt: skip
    """Return the fit to the selected runs of one system, and the system ready for resampling."""
    x, loss = part[along].to_numpy(float), part["loss"].to_numpy(float)
    curves = "run" in part and part["run"].duplicated().any()
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
        (*named, *row) for row in part[groups].astype(str).to_numpy()
    ]
    if select != "all":  # every run is drawn on its own
        labels = [(*label, k) for label, k in zip(labels, _order(labels), strict=True)]
    return fitted, System(problem, solution, np.ones(len(part)), x, tuple(labels), cells)


def _order(labels: Sequence[object]) -> list[int]:
    """Return how often each label occurred before, so that repeats become different keys."""
    seen: dict[object, int] = {}
    found = []
    for label in labels:
        found.append(seen.get(label, 0))
        seen[label] = found[-1] + 1
    return found


def _other_start(fitted: Fit) -> np.ndarray:
    """Return a second start with the constant halved: resamples may prefer the other valley."""
    natural = np.array(fitted.params, dtype=float)
    natural[fitted.law.names.index(fitted.law.irreducible or "")] *= 0.5
    return to_internal(natural[None], fitted.law.parameters)


def _describe(method: str, select: str, resamples: int, shared: float) -> str:
    words = {"wild": "joint wild bootstrap (Webb weights)", "pairs": "joint bootstrap of runs"}
    text = f"{words[method]}, {resamples} resamples"
    if select != "all":
        text += f", {select} selected anew in each"
    return text + f", {shared:.0%} of configurations shared"


def _tuning_notes(select: str, systems: Sequence[System], names: Sequence[str]) -> list[Note]:
    if select != "best":
        return []
    sizes = [len(s.along) / (s.cells.max() + 1) for s in systems]
    if max(sizes) <= UNEQUAL * min(sizes):
        return []
    shown = ", ".join(f"{name} {size:.1f}" for name, size in zip(names, sizes, strict=True))
    return [
        Note(
            "unequal_tuning",
            "warning",
            f"Runs per configuration differ ({shown}): the best of more tries is lower by luck "
            "alone. Compare at equal tuning budgets, or drop runs at random until they are equal.",
        )
    ]


def _fit_notes(fits: Mapping[str, Fit]) -> list[Note]:
    """Return what the single fits have to say that matters for a comparison, with the system."""
    return [
        Note(note.code, note.severity, f"{name}: {note.message}")
        for name, fitted in fits.items()
        for note in fitted.notes
        if note.severity != "info"
    ]
