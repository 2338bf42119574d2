"""From rows as a log wrote them to a checked table: types, units, duplicates, directions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.evals.table import DEFAULTS, KEYS, Evals, describe_tasks
from scalekit.evals.task_facts import count_notes, task_facts
from scalekit.evals.unit_checks import one_unit
from scalekit.notes import Note
from scalekit.results import Provenance, hash_frame

SETTLED = ("recipe", "seed", "benchmark", "metric", "item")


def assemble(
    rows: pd.DataFrame,
    source: str,
    chance: Mapping[str, float] | float | None = None,
    direction: Mapping[str, int] | None = None,
    unit: str | None = None,
    notes: tuple[Note, ...] = (),
) -> Evals:
    """Return the checked table of `rows`, whose columns already have their role's name.

    Raises InputError for what cannot be read in one way: values that are no numbers, two values
    for one answer, percent and fractions together, a metric that is better both ways.
    """
    digest = hash_frame(rows.astype({c: str for c in rows.columns if rows[c].dtype == object}))
    frame, told, left_out = rows.copy(), list(notes), {}
    for column, default in DEFAULTS.items():
        if column not in frame:
            frame[column] = default
    frame = _one_scale_each(_numbers(_labels(frame, source), source), told)
    frame, left_out["NaN value"] = _without_nan(frame, source, told)
    frame, left_out["repeated row"] = _without_repeats(frame, source, told)
    frame = one_unit(frame, unit, told)
    frame = _one_cluster_each(frame, source, told)
    tasks = describe_tasks(frame, task_facts(frame, chance, direction, told))
    told += count_notes(tasks, frame)
    provenance = Provenance(
        source=source,
        input_hash=digest,
        n_rows=len(rows),
        rows_left_out={reason: n for reason, n in left_out.items() if n},
    )
    optional = [c for c in ("cluster", "family", "stderr", "scale") if c in frame]
    columns = [*KEYS, *optional, "value"]
    return Evals(frame[columns].reset_index(drop=True), tasks, tuple(told), provenance)


def _labels(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    for column in SETTLED:
        missing = frame[column].isna()
        if missing.any():
            row = int(np.flatnonzero(missing)[0]) + 1
            raise InputError(
                f"{source}: column '{column}' is empty in {int(missing.sum())} rows (first: row "
                f"{row}). Fill it, or leave those rows out; in text, names such as None and NA "
                "count as empty."
            )
        if column != "seed":
            frame[column] = frame[column].astype(str)
    seed = pd.to_numeric(frame["seed"], errors="coerce")
    frame["seed"] = frame["seed"].astype(str) if seed.isna().any() else seed
    return frame


def _numbers(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    for column in ("value", "step", "stderr", "scale"):
        if column not in frame:
            continue
        as_read = frame[column]
        if column == "stderr":  # lm-eval writes the text "N/A" where it computed none
            as_read = as_read.replace({"N/A": np.nan, "n/a": np.nan, "": np.nan})
        if as_read.dtype == object:
            as_read = as_read.map(
                lambda value: float(value) if isinstance(value, (bool, np.bool_)) else value
            )
        numbers = pd.to_numeric(as_read, errors="coerce").astype(np.float64)
        bad = numbers.isna() & as_read.notna()
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{source}, row {row + 1}, column '{column}': expected a number, found "
                f"'{as_read.iloc[row]}' ({int(bad.sum())} such rows). "
                "Write correct answers as 1 and wrong ones as 0."
            )
        if np.isinf(numbers).any():
            row = int(np.flatnonzero(np.isinf(numbers))[0])
            raise InputError(
                f"{source}, row {row + 1}, column '{column}': the value is infinite. "
                "Leave the row out, or use a bounded metric."
            )
        frame[column] = numbers
    return frame


def _one_scale_each(frame: pd.DataFrame, told: list[Note]) -> pd.DataFrame:
    """Name recipes by their scale too where they were run at several; keep the name as `family`."""
    if "scale" not in frame or frame["scale"].isna().all():
        return frame.drop(columns="scale", errors="ignore")
    if frame.groupby("recipe", observed=True)["scale"].nunique().max() == 1:
        return frame
    at = " @ " + frame["scale"].map("{:.4g}".format)
    told.append(
        Note(
            "recipes-at-scales",
            "info",
            "Recipes were run at several scales; each scale "
            f"of one is a recipe here, such as '{(frame['recipe'] + at).iloc[0]}'.",
        )
    )
    return frame.assign(family=frame["recipe"], recipe=frame["recipe"] + at)


def _without_nan(frame: pd.DataFrame, source: str, told: list[Note]) -> tuple[pd.DataFrame, int]:
    missing = frame["value"].isna().to_numpy()
    n = int(missing.sum())
    if n == len(frame):
        raise InputError(f"{source}: no row has a value. Check which column holds the score.")
    if n:
        where = ", ".join(sorted(frame.loc[missing, "benchmark"].unique())[:5])
        told.append(
            Note("nan-values", "warning", f"{n} of {len(frame)} rows have no value and are left "
                 f"out (benchmarks: {where}). If they are failed answers, write 0 for them.")
        )  # fmt: skip
    return frame[~missing], n


def _without_repeats(
    frame: pd.DataFrame, source: str, told: list[Note]
) -> tuple[pd.DataFrame, int]:
    again = frame.duplicated(KEYS, keep="first").to_numpy()
    if not again.any():
        return frame, 0
    alike = frame.duplicated([*KEYS, "value"], keep="first").to_numpy()
    conflicts = again & ~alike
    if conflicts.any():
        first = frame[conflicts].iloc[0]
        both = frame[(frame[KEYS] == first[KEYS]).all(axis=1)]["value"].tolist()[:2]
        named = ", ".join(f"{key}={first[key]}" for key in KEYS)
        raise InputError(
            f"{source}: {int(conflicts.sum())} answers have two values; the first: {named} has "
            f"{both[0]:g} and {both[1]:g}. {_how_to_tell_apart(frame)}"
        )
    n = int(again.sum())
    told.append(
        Note("repeated-rows", "warning", f"{n} rows repeat an earlier row exactly and are left "
             f"out. {_how_to_tell_apart(frame)}")
    )  # fmt: skip
    return frame[~again], n


def _how_to_tell_apart(frame: pd.DataFrame) -> str:
    """Return which column to name so that answers to the same question are told apart."""
    if (frame["item"] == frame["item"].iloc[0]).all():
        return (
            "No column was read as the item: name it, --columns item=COLUMN (in Python "
            "item='COLUMN')."
        )
    return (
        "If they are repeated samples, name the column that numbers them, --columns sample=COLUMN; "
        "if they are two runs, the column of the seed, --columns seed=COLUMN (in Python "
        "sample='COLUMN', seed='COLUMN')."
    )


def _one_cluster_each(frame: pd.DataFrame, source: str, told: list[Note]) -> pd.DataFrame:
    if "cluster" not in frame:
        return frame
    if frame["cluster"].isna().all():
        return frame.drop(columns="cluster")
    if frame["cluster"].isna().any():
        raise InputError(
            f"{source}: column 'cluster' is empty in {int(frame['cluster'].isna().sum())} rows. "
            "Give every item a cluster; an item that stands alone is a cluster of its own."
        )
    per_item = frame.groupby(["benchmark", "item"], observed=True)["cluster"].nunique()
    if (per_item > 1).any():
        benchmark, item = per_item[per_item > 1].index[0]
        raise InputError(
            f"{source}: item '{item}' of '{benchmark}' is in {per_item.max()} clusters. "
            "An item belongs to one cluster, the same in every run."
        )
    sizes = frame.groupby(["benchmark", "cluster"], observed=True)["item"].nunique()
    if (sizes == 1).all():
        told.append(
            Note(
                "clusters-of-one",
                "info",
                "Every cluster has one item: the clustered "
                "standard error is then the plain one, and clusters are ignored.",
            )
        )
        return frame.drop(columns="cluster")
    return frame
