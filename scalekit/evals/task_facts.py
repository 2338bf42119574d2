"""What is known of each task: direction, chance level, and what its counts do not allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.evals.blocks import rows_of
from scalekit.evals.conventions import is_proportion, known_chance, known_direction
from scalekit.notes import Note


def task_facts(
    frame: pd.DataFrame,
    chance: Mapping[str, float] | float | None,
    direction: Mapping[str, int] | None,
    told: list[Note],
) -> pd.DataFrame:
    """Return one row a benchmark and metric: its direction and chance level, given or known."""
    tasks = frame[["benchmark", "metric"]].drop_duplicates().reset_index(drop=True)
    for given, column in ((direction, "metric"), (chance, "benchmark")):
        for name in given if isinstance(given, Mapping) else ():
            options = sorted(set(tasks["metric"]) | set(tasks["benchmark"]))
            if name not in options:
                raise ColumnNotFoundError(f"No {column} '{name}'. {did_you_mean(name, options)}")
    tasks["direction"] = [_direction(row, direction) for row in rows_of(tasks)]
    unknown = sorted(tasks.loc[tasks["direction"] == 0, "metric"].unique())
    if unknown:
        told.append(
            Note(
                "direction-assumed",
                "warning",
                f"Not known whether higher is better for "
                f"{', '.join(unknown)}: taken as higher. Say lower_is_better=[...] "
                "(--lower-is-better NAME) if it is lower.",
            )
        )
    tasks["direction"] = tasks["direction"].replace(0, 1)
    tasks["chance"] = [_chance(row, chance) for row in rows_of(tasks)]
    return tasks


def _direction(row: Any, given: Mapping[str, int] | None) -> int:
    benchmark, metric = str(row.benchmark), str(row.metric)
    for name in (metric, benchmark):
        if given and name in given:
            return int(given[name])
    return known_direction(metric) or 0


def _chance(row: Any, given: Mapping[str, float] | float | None) -> float:
    benchmark, metric = str(row.benchmark), str(row.metric)
    may_be_share = is_proportion(metric) or known_direction(metric) is None or metric == "score"
    value = given.get(benchmark) if isinstance(given, Mapping) else given
    value = value if may_be_share else None
    if value is None:
        value = known_chance(benchmark) if is_proportion(metric) else None
    if value is None:
        return float("nan")
    if not np.isfinite(value) or not (0 <= value < 1 or not is_proportion(metric)):
        raise InputError(
            f"The chance level of '{benchmark}' must be a fraction in [0, 1); got {value:g}."
        )
    return float(value)


def count_notes(tasks: pd.DataFrame, frame: pd.DataFrame) -> list[Note]:
    """Return what the numbers of seeds, items and values do not allow."""
    notes = []
    gaps = tasks[tasks["missing"] > 0]
    if len(gaps):
        listed = ", ".join(
            f"{r.benchmark} ({r.metric}): {r.missing}" for r in rows_of(gaps.head(5))
        )
        notes.append(
            Note(
                "missing-cells",
                "warning",
                f"{int(gaps['missing'].sum())} answers are "
                f"missing from the full cross of runs and items: {listed}.",
            )
        )
    if (tasks["seeds"] == 1).all():
        notes.append(
            Note(
                "one-seed",
                "warning",
                "Every recipe has one seed: the noise between "
                "training runs cannot be seen in this log.",
            )
        )
    if (tasks["items"] == 1).any():
        names = ", ".join(sorted(tasks.loc[tasks["items"] == 1, "benchmark"].unique())[:5])
        notes.append(
            Note(
                "one-item",
                "warning",
                f"Only one score per run, no item answers, for "
                f"{names}: differences cannot be paired by item.",
            )
        )
    for key, part in frame.groupby(["benchmark", "metric"], observed=True):
        if len(part) > 1 and part["value"].min() == part["value"].max():
            what = "every answer is correct" if part["value"].iloc[0] == 1 else "never varies"
            notes.append(
                Note(
                    "constant-metric",
                    "warning",
                    f"{key[0]} ({key[1]}): {what} (value "
                    f"{part['value'].iloc[0]:g}); it cannot tell recipes apart.",
                )
            )
    return notes
