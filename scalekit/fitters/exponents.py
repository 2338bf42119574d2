"""The interval of an exponent, as frontiers, isoFLOP minima and envelopes keep it."""

from __future__ import annotations

import pandas as pd

from scalekit.errors import InputError
from scalekit.results import Interval


def exponent_interval(
    exponents: pd.DataFrame, name: str, confidence_level: float, method: str
) -> Interval:
    """Return the interval in row `name` ("params" or "tokens") of a table of exponents.

    Raises InputError for another name.
    """
    if name not in exponents.index:
        raise InputError(f"There is no exponent of '{name}'; there are: params, tokens.")
    low, high = exponents.loc[name, ["ci_lower", "ci_upper"]].to_numpy(float)
    return Interval(float(low), float(high), confidence_level, method)
