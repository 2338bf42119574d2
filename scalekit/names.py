"""Tables of text whose names (ids, recipes, items) stay as they are written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pandas as pd

from scalekit.files import read_delimited


def read_with_names(
    path: str | Path, names_of: Callable[[Sequence[str]], Collection[str]]
) -> pd.DataFrame:
    """Return a small table of text as `read_delimited` does, the columns of names as written.

    `names_of` picks these columns from the header. They are text, since "007" is not 7 and an id of
    twenty-one digits no number here, unless they are whole numbers that read the same. Raises
    InputError where the file is no table.
    """
    table = read_delimited(path, names_of)
    for column in names_of([str(name) for name in table]):
        numbers = pd.to_numeric(table[column], errors="coerce")
        if numbers.dtype.kind in "iu" and (numbers.astype(str) == table[column]).all():
            table[column] = numbers
    return table
