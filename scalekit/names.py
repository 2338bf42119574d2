"""Tables of text whose names (ids, recipes, items) stay as they are written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pandas as pd

from scalekit.files import dialect_of, first_lines, read_delimited, read_separated, split_line


def read_with_names(
    path: str | Path, names_of: Callable[[Sequence[str]], Collection[str]]
) -> pd.DataFrame:
    """Return a small table of text as `read_delimited` does, the columns of names as written.

    `names_of` picks these columns from the header. They are text, since "007" is not 7 and an id of
    twenty-one digits no number here, unless they are whole numbers that read the same. Raises
    InputError where the file is no table.
    """
    path = Path(path)
    first, rows = first_lines(path)
    if not first.strip():
        return read_delimited(path)  # which says what to do about an empty file
    separator, decimal = dialect_of(first, rows)
    header = split_line(first, separator)
    named = names_of(header)
    table = read_separated(path, separator, decimal, len(header), dtype=dict.fromkeys(named, str))
    for column in named:
        numbers = pd.to_numeric(table[column], errors="coerce")
        if numbers.dtype.kind in "iu" and (numbers.astype(str) == table[column]).all():
            table[column] = numbers
    return table
