"""From a table of runs and the name of a law to arrays: what `fit` does before it searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.columns import Locate
from scalekit.errors import FitError, InputError, did_you_mean
from scalekit.fitters.law import Law
from scalekit.fitters.laws import as_law
from scalekit.fitters.objectives import Objective
from scalekit.fitters.pooling import left_out_notes, pooling_notes
from scalekit.fitters.starts import centred_on
from scalekit.moderation import SEED_DF, noise_precision
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.rows import IN_MEMORY, locate_by, with_runs
from scalekit.tables import RunTable, check_runs

SMALL_LAWS = (("power", 2), ("power_constant", 3))  # and their free parameters


@dataclass(frozen=True)
class Data:
    """The rows of a fit as arrays: scales, loss, weights, and which rows belong together.

    `locate` names a row to the user: its number in the file, and its run.
    """

    scales: Mapping[str, np.ndarray]
    loss: np.ndarray
    weights: np.ndarray
    clusters: np.ndarray
    repeated: bool
    locate: Locate
    notes: tuple[Note, ...]
    provenance: Provenance


def settle_law(
    runs: RunTable | pd.DataFrame | Mapping[str, Any], law: str | Law | None, along: str | None
) -> tuple[Law, list[Note]]:
    """Return the law to fit, of one scale `along` a column, and what to tell about the choice."""
    frame = runs.frame if isinstance(runs, RunTable) else runs
    columns = [str(name) for name in frame]
    if law is None:
        law = "chinchilla" if {"params", "tokens"} <= set(columns) else "power_constant"
    settled = as_law(law, columns)
    if settled.scales != ("x",) or "x" in columns:
        if along is not None and along not in settled.scales:
            raise InputError(
                f"along='{along}' does not go with the law '{settled.name}', which depends on "
                f"{', '.join(settled.scales)}. Leave --along (in Python along=) out."
            )
        return settled, []
    present = [s for s in ("flops", "tokens", "samples", "params", "step") if s in columns]
    if along is not None:
        if along not in columns:
            raise InputError(f"along='{along}' is no column. {did_you_mean(along, columns)}")
        return settled.along(along), []
    if not present:
        raise InputError(
            f"The law '{settled.name}' depends on one scale; say which column with --along COLUMN "
            f"(in Python along='COLUMN'). There are: {', '.join(columns)}."
        )
    notes = []
    if len(present) > 1:
        notes.append(
            Note(
                "along_chosen",
                "info",
                f"The law '{settled.name}' is fitted along {present[0]}; other scales are there "
                f"({', '.join(present[1:])}). Choose with --along {present[1]} (in Python "
                f"along='{present[1]}').",
            )
        )
    return settled.along(present[0]), notes


def with_start(law: Law, start: Mapping[str, float] | None) -> Law:
    """Return the law with its starting ranges about the values of `start`."""
    _require_names(law, "start", start)
    return replace(law, parameters=tuple(centred_on(law.parameters, start))) if start else law


def with_fixed(law: Law, fixed: Mapping[str, float] | None) -> Law:
    """Return the law with the parameters of `fixed` held at its values: both bounds are there."""
    _require_names(law, "fixed", fixed)
    if not fixed:
        return law
    parameters = []
    for parameter in law.parameters:
        value = float(fixed.get(parameter.name, np.nan))
        if parameter.name in fixed:
            if not np.isfinite(value) or (parameter.log and value <= 0):
                raise InputError(
                    f"fixed holds {parameter.name} = {value:g}, but it must be a finite"
                    f"{' positive' if parameter.log else ''} number."
                )
            parameter = replace(parameter, lower=value, upper=value)
        parameters.append(parameter)
    held = replace(law, parameters=tuple(parameters))
    if not held.n_free:
        raise InputError(
            f"All parameters of the law '{law.name}' are held fixed, so there is nothing to fit. "
            "Leave one free, or use law.predict(values, ...)."
        )
    return held


def _require_names(law: Law, argument: str, given: Mapping[str, float] | None) -> None:
    for name in given or ():
        if name not in law.names:
            raise InputError(
                f"{argument} names '{name}', which is no parameter of the law '{law.name}'. "
                f"{did_you_mean(name, law.names)}"
            )


def prepare(
    runs: RunTable | pd.DataFrame | Mapping[str, Any], law: Law, weights: str | np.ndarray | None
) -> Data:
    """Return the rows of `runs` that can be used, as arrays."""
    if isinstance(runs, RunTable):
        frame, source, notes = runs.frame, runs.provenance.source, runs.notes
    else:
        frame, source, notes = pd.DataFrame(runs), IN_MEMORY, ()
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
        with_runs(locate_by(kept.index, source), kept),
        (*unique.values(), *pooling_notes(kept, runs), *left_out_notes(kept, law.scales), *told),
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
    values = pd.to_numeric(frame[weights], errors="coerce").to_numpy(float)
    if not (np.isfinite(values) & (values >= 0)).all() or values.sum() == 0:
        raise InputError(
            f"The weights in column '{weights}' must be finite numbers, not negative and not all "
            "zero."
        )
    if weights != "noise":
        return values * len(values) / values.sum(), []
    df = frame["noise_df"].to_numpy(float) if "noise_df" in frame else SEED_DF
    return noise_precision(values / np.abs(frame["loss"].to_numpy(float)), df), [noise_note(frame)]


def noise_note(frame: pd.DataFrame) -> Note:
    """Return what to tell where rows are weighted by their standard errors."""
    return Note(
        "noise_weights",
        "info",
        "Rows are weighted by their standard errors, each variance shrunk towards that of all rows "
        + ("by its column 'noise_df'." if "noise_df" in frame else "as if from three seeds."),
    )


def check_enough(law: Law, data: Data, objective: Objective) -> None:
    """Raise FitError where these rows cannot determine the law under this objective."""
    rows, needed = len(data.loss), law.n_free
    source = data.provenance.source
    distinct = len(np.unique(np.stack(list(data.scales.values())), axis=1).T)
    if distinct == 1:
        at = ", ".join(f"{name} = {scale[0]:g}" for name, scale in data.scales.items())
        raise FitError(
            f"{source} has {rows} usable row(s), all at the same scale ({at}). A law needs runs "
            "of different scales."
        )
    if distinct < needed:
        fewer = [f"'{name}' ({n})" for name, n in SMALL_LAWS if n <= distinct]
        raise FitError(
            f"The law '{law.name}' has {needed} free parameters, but {source} has only {distinct} "
            f"different scales in {rows} row(s). Add runs, or take a law with fewer parameters, "
            f"such as {' or '.join(fewer)}."
        )
    if objective.on_log and (data.loss <= 0).any():
        row = int(np.flatnonzero(data.loss <= 0)[0])
        raise FitError(
            f"The objective '{objective.name}' takes the logarithm of the loss, but {source}, "
            f"{data.locate(row)}, has the loss {data.loss[row]:g}. Use --objective squares (in "
            "Python objective='squares'), or give a positive loss."
        )
