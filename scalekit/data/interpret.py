"""From the columns of a table, as they stand there, to a checked table of runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import pandas as pd

from scalekit.columns import NUMBERS, ROLES, SCALES, Locate, Reading, as_numbers
from scalekit.notes import Note
from scalekit.units import format_quantity

# a largest value below this is more likely a count of millions (or GFLOPs) than of ones
SMALLEST_PLAUSIBLE = {"params": 1e4, "tokens": 1e5, "flops": 1e9}
DISAGREEMENT = 2.0
# C = 6 N D, solved for each
FORMULAS = {
    "params": "flops / (6 x tokens)",
    "tokens": "flops / (6 x params)",
    "flops": "6 x params x tokens",
}


def to_roles(
    block: pd.DataFrame,
    readings: Sequence[Reading],
    source: str,
    locate: Locate,
    decimal_comma: bool = False,
) -> dict[Hashable, pd.Series]:
    """Return the columns of `block` by canonical name: numbers as float64 in single units.

    Labels and other columns are kept as they are; a column that plays no role but has the name of
    one becomes "<name>_column".
    """
    by_name = {str(label): block[label] for label in block}
    columns: dict[Hashable, pd.Series] = {}
    for reading in readings:
        column = by_name[reading.column]
        if reading.role in NUMBERS:
            numbers = as_numbers(
                column, reading.role, source, locate, reading.factor, decimal_comma
            )
            if reading.complement:
                numbers = reading.complement - numbers
            column = pd.Series(numbers, index=block.index)
        columns[reading.role] = column
    read = {reading.column for reading in readings if not reading.complement}
    for label in block:
        if str(label) not in read:
            columns[f"{label}_column" if label in ROLES else label] = block[label]
    return columns


def drop_empty_scales(
    frame: pd.DataFrame, readings: Sequence[Reading]
) -> tuple[pd.DataFrame, list[Reading], list[Note]]:
    """Leave out the scales whose column is empty in every row, and say so."""
    empty = [name for name in SCALES if name in frame and frame[name].isna().all()]
    notes = [
        Note("empty_column", "info", f"{reading} is left out: the column is empty.")
        for reading in readings
        if reading.role in empty
    ]
    if not empty:
        return frame, list(readings), []
    return frame.drop(columns=empty), [r for r in readings if r.role not in empty], notes


def fill_scales(
    frame: pd.DataFrame, readings: Sequence[Reading]
) -> tuple[pd.DataFrame, list[Reading], list[Note]]:
    """Fill in the one of params, tokens and flops that is missing by C = 6 N D, and say so.

    A column that is not there is added; empty fields of one that is are filled row by row. Where
    there are samples (images, pairs) and no tokens, 6ND does not hold and nothing is computed.
    """
    have = [name for name in FORMULAS if name in frame]
    if len(have) < 2 or ("samples" in frame and "tokens" not in frame):
        return frame, list(readings), []
    filled, readings, notes = frame.copy(deep=False), list(readings), []
    for name, formula in FORMULAS.items():
        if name not in have:
            filled[name] = _from_the_others(frame, name)
            why = f"{formula}, since there is no column for {name}"
            readings.append(Reading(name, "", remark=why))
            notes.append(Note("derived", "info", f"{name} is computed as {formula} (C = 6ND)."))
        elif len(have) == 3 and frame[name].isna().any():
            filled[name] = frame[name].fillna(_from_the_others(frame, name))
            count = int(frame[name].isna().sum() - filled[name].isna().sum())
            if count:
                message = f"{count} empty fields of {name} are computed as {formula} (C = 6ND)."
                notes.append(Note("filled", "info", message))
    return filled, readings, notes


def _from_the_others(frame: pd.DataFrame, name: str) -> pd.Series:
    if name == "flops":
        return 6 * frame["params"] * frame["tokens"]
    other = "tokens" if name == "params" else "params"
    return frame["flops"] / (6 * frame[other])


def scale_notes(frame: pd.DataFrame) -> Iterator[Note]:
    """Yield notes on scales: none there, implausibly small, or at odds with C = 6 N D."""
    if not any(name in frame for name in (*SCALES, "step")):
        yield Note(
            "no_scale",
            "warning",
            "No column is read as a scale. A law needs one: name it with --columns params=COLUMN "
            "(or tokens, samples, flops; in Python read_runs(..., params='COLUMN')).",
        )
    for name, smallest in SMALLEST_PLAUSIBLE.items():
        if name in frame and 0 < frame[name].max() < smallest:
            unit = "GFLOP" if name == "flops" else "M"
            yield Note(
                f"small_{name}",
                "warning",
                f"{name} is at most {format_quantity(frame[name].max())}: is the column in other "
                f"units? Then name the unit behind the column, such as --columns "
                f"{name}=COLUMN:{unit} (in Python {name}='COLUMN:{unit}').",
            )
    if all(name in frame for name in ("params", "tokens", "flops")):
        ratio = frame["flops"] / _from_the_others(frame, "flops")
        ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
        off = int(((ratio > DISAGREEMENT) | (ratio < 1 / DISAGREEMENT)).sum())
        if off:
            yield Note(
                "flops_disagree",
                "warning",
                f"flops differ from 6 x params x tokens by more than {DISAGREEMENT:g} times in "
                f"{off} of {len(ratio)} rows (ratio {ratio.min():.3g} to {ratio.max():.3g}, median "
                f"{ratio.median():.3g}). Check the units, whether params count the embeddings, "
                "and whether flops count attention.",
            )
