"""Tables of text whose names (ids, recipes, items) stay as they are written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scalekit.files import dialect_of, first_lines, read_delimited, read_separated, split_line

if TYPE_CHECKING:
    import pandas as pd


def read_with_names(
    path: str | Path, names_of: Callable[[Sequence[str]], Collection[str]]
) -> pd.DataFrame:
    """Return a small table of text as `read_delimited` does, the columns of names as text.

    `names_of` picks these columns from the header: read as numbers, "007" would be 7, and an id of
    twenty digits another one. Raises InputError where the file is no table.
    """
    path = Path(path)
    first, rows = first_lines(path)
    if not first.strip():
        return read_delimited(path)  # which says what to do about an empty file
    separator, decimal = dialect_of(first, rows)
    header = split_line(first, separator)
    return read_separated(
        path, separator, decimal, len(header), dtype=dict.fromkeys(names_of(header), str)
    )
