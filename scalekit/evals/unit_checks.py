"""Percent or fractions: one unit for each metric, and doubts about it told."""

from __future__ import annotations

import pandas as pd

from scalekit.errors import InputError
from scalekit.evals.conventions import is_proportion
from scalekit.notes import Note


def one_unit(frame: pd.DataFrame, unit: str | None, told: list[Note]) -> pd.DataFrame:
    """Return the rows with proportions in fractions of one; raise InputError for mixed units."""
    if unit not in (None, "percent", "fraction"):
        raise InputError(f"unit must be 'percent', 'fraction' or None; got {unit!r}.")
    for metric in frame["metric"].unique():
        rows = (frame["metric"] == metric).to_numpy()
        if unit == "fraction":
            continue
        top = frame[rows].groupby(["benchmark", "recipe", "seed"], observed=True)["value"].max()
        if not (is_proportion(metric) or unit == "percent"):
            _suspect_units(frame[rows], metric, told)
            continue
        percent, fraction = top[top > 1], top[(top <= 1) & (top > 0)]
        if len(percent) and len(fraction) and unit is None:
            raise InputError(
                f"Metric '{metric}' is in percent for {', '.join(map(str, percent.index[0]))} "
                f"(largest value {percent.iloc[0]:g}) and in fractions for "
                f"{', '.join(map(str, fraction.index[0]))} (largest value {fraction.iloc[0]:g}). "
                "Bring both to one unit, or say unit='percent' or unit='fraction' for all."
            )
        if len(percent) or unit == "percent":
            scaled = [c for c in ("value", "stderr") if c in frame]
            frame.loc[rows, scaled] = frame.loc[rows, scaled] / 100
            told.append(
                Note(
                    "percent",
                    "info",
                    f"Metric '{metric}' was in percent; it is now in fractions of 1.",
                )
            )
    return frame


def _suspect_units(rows: pd.DataFrame, metric: str, told: list[Note]) -> None:
    """Note a metric that lies in [0, 1] for some recipes and reaches towards 100 for others."""
    ends = rows.groupby(["benchmark", "recipe"], observed=True)["value"].agg(["min", "max"])
    small = ends[(ends["min"] >= 0) & (ends["max"] <= 1) & (ends["max"] > 0)]
    large = ends[(ends["min"] >= 0) & (ends["max"] > 5) & (ends["max"] <= 100)]
    shared = set(small.index.get_level_values(0)) & set(large.index.get_level_values(0))
    for benchmark in sorted(shared):
        told.append(
            Note(
                "units-suspect",
                "warning",
                f"{benchmark} ({metric}): {small.loc[benchmark].index[0]} lies between 0 and 1, "
                f"{large.loc[benchmark].index[0]} reaches {large.loc[benchmark]['max'].max():g}. "
                "If both are shares, bring them to one unit.",
            )
        )
