"""What `fit_many` is given, and where its curves are asked for: checked, and named where wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.fitters.candidates import Candidate, can_fit
from scalekit.fitters.study import Study

SHOWN = 3  # curves that a message names


def check_curves(study: Study, candidates: Sequence[Candidate]) -> None:
    """Raise InputError where there is nothing to tell curves apart, or one is too short."""
    if not study.by:
        raise InputError(
            "by is empty: name the columns that tell curves apart, as task and model. For one "
            "curve there is choose_law."
        )
    able = np.any([can_fit(c, study.members, study.size) for c in candidates], axis=0)
    short = np.flatnonzero(~able)
    if len(short):
        names = [_name(study.keys, k) for k in short[:SHOWN]]
        raise InputError(
            f"{len(short)} of {len(study)} curves have too few rows for any law "
            f"({'; '.join(names)}{'; ...' if len(short) > SHOWN else ''}): two are needed where "
            "three curves or more share, else one more than the law has parameters. Delete them, "
            "or add rows."
        )


def _name(keys: pd.DataFrame, row: int) -> str:
    return ", ".join(f"{name}={value}" for name, value in keys.iloc[row].items())


def asked_curves(
    at: pd.DataFrame | Mapping[str, Any], by: Sequence[str], scales: Sequence[str]
) -> pd.DataFrame:
    """Return the asked rows, their scales as positive numbers.

    Raises ColumnNotFoundError where a column is missing, InputError for no row and for a scale that
    is no positive number.
    """
    if not isinstance(at, pd.DataFrame):
        at = pd.DataFrame({name: pd.Series(np.atleast_1d(v)) for name, v in at.items()}
                          if all(np.ndim(v) == 0 for v in at.values()) else at)  # fmt: skip
    for name in [*by, *scales]:
        if name not in at:
            raise ColumnNotFoundError(
                f"To predict, the column '{name}' is needed. {did_you_mean(name, map(str, at))}"
            )
    if not len(at):
        raise InputError("There is no row to forecast.")
    numbers = {name: pd.to_numeric(at[name], errors="coerce").astype(float) for name in scales}
    for name, values in numbers.items():
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(bad):
            raise InputError(
                f"Cannot predict at {name} = {at[name].iloc[bad[0]]}: scales are positive numbers."
            )
    return at.assign(**numbers)


def places_of(asked: pd.DataFrame, keys: pd.DataFrame) -> np.ndarray:
    """Return the row of `keys` that each asked row (rows,) names; raises InputError for none."""
    known = {tuple(row): k for k, row in enumerate(keys.itertuples(index=False))}
    wanted = [tuple(row) for row in asked[list(keys)].itertuples(index=False)]
    missing = next((row for row in wanted if row not in known), None)
    if missing is not None:
        shown = ", ".join(f"{n}={v}" for n, v in zip(keys, missing, strict=True))
        raise InputError(f"There is no curve with {shown} among the {len(keys)} fitted.")
    return np.array([known[row] for row in wanted], dtype=int)
