"""The roles that columns of a run table play, and reading a column of text as numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.units import parse_quantity

SCALES = ("params", "tokens", "samples", "unique_tokens", "flops")
NUMBERS = (*SCALES, "loss", "step", "weight", "noise")
LABELS = ("run", "seed", "group")
ROLES = (*SCALES, "loss", "run", "step", "seed", "group", "weight", "noise")
MISSING = {"", "-", ".", "na", "n/a", "nan", "null", "none"}

# position of a row in a column -> how to name that row to the user
Locate = Callable[[int], str]

_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")


@dataclass(frozen=True)
class Reading:
    """How one role was read: from which column, times which unit factor, with what remark.

    An empty `column` means that the role was computed; the remark then says how. A loss may be
    `complement` less its column: an error rate from an accuracy.

    >>> print(Reading("params", "mparams", 1e6, "embeddings: unknown"))
    params <- mparams, times 1e+06 (embeddings: unknown)
    """

    role: str
    column: str
    factor: float = 1.0
    remark: str = ""
    complement: float = 0.0

    def __str__(self) -> str:
        if not self.column:
            return f"{self.role} = {self.remark}"
        factor = f", times {self.factor:g}" if self.factor != 1 else ""
        remark = f" ({self.remark})" if self.remark else ""
        less = f"{self.complement:g} - " if self.complement else ""
        return f"{self.role} <- {less}{self.column}{factor}{remark}"


def as_numbers(
    column: pd.Series,
    role: str,
    source: str = "the table",
    locate: Locate | None = None,
    factor: float = 1.0,
    decimal_comma: bool = False,
) -> np.ndarray:
    """Return `column` as float64 times `factor`; missing values become NaN.

    Text is read too. In a scale "7B" means 7e9 whatever `factor` is, since such a value carries
    its own unit. Commas in groups of three separate thousands; with `decimal_comma` (files that
    separate columns by semicolons), and always in a loss, a single comma is the decimal point.
    Raises InputError, naming the row and the value, for text that is no number.

    >>> as_numbers(pd.Series(["7B", "1,400", "160e6"]), "params").tolist()
    [7000000000.0, 1400.0, 160000000.0]
    """
    kind = pd.api.types
    if (
        kind.is_bool_dtype(column)
        or kind.is_complex_dtype(column)
        or kind.is_datetime64_any_dtype(column)
        or kind.is_timedelta64_dtype(column)
    ):
        raise InputError(
            f"{source}: column '{column.name}' ({role}) holds {column.dtype} values, not numbers. "
            f"Name another column for {role}."
        )
    if kind.is_numeric_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
        return values if factor == 1 else values * factor
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan) * factor
    unread = np.flatnonzero(np.isnan(numbers) & column.notna().to_numpy())
    known: dict[str, float] = {}
    for position in unread:
        text = str(column.iloc[position]).strip()
        if text not in known:
            try:
                known[text] = _read_text(text, role, factor, decimal_comma)
            except InputError:
                row = (locate or _by_position)(int(position))
                raise InputError(_not_a_number(source, row, column.name, role, text)) from None
        numbers[position] = known[text]
    return numbers


def _read_text(text: str, role: str, factor: float, decimal_comma: bool) -> float:
    if text.lower() in MISSING:
        return np.nan
    is_scale = role in SCALES or role not in NUMBERS
    if text.count(",") == 1 and "." not in text and (decimal_comma or not is_scale):
        text = text.replace(",", ".")
    elif _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    try:
        return float(text) * factor
    except ValueError:
        if is_scale:
            return parse_quantity(text)
        raise InputError(text) from None


def _not_a_number(source: str, row: str, column: object, role: str, text: str) -> str:
    name = f"column '{column}'" + ("" if column == role else f" ({role})")
    return (
        f"{source}, {row}: {name} holds {text!r}, which is not a number. Correct it, leave it "
        f"empty (the row is then left out and counted), or name another column for {role}."
    )


def _by_position(position: int) -> str:
    return f"data row {position + 1}"
