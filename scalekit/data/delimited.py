"""Reading CSV and TSV: any separator, small files whole, large files block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalekit.errors import InputError
from scalekit.files import dialect_of, first_lines, read_separated, split_line

HEAD_ROWS = 200
BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Delimited:
    """A text file of separated values: its separator, decimal point and header."""

    path: Path
    separator: str
    decimal: str
    names: tuple[str, ...]

    def head(self) -> pd.DataFrame:
        """Return the first rows, to see what the columns hold."""
        return self._read(nrows=HEAD_ROWS)

    def whole(self) -> pd.DataFrame:
        """Return all rows and columns."""
        return self._read()

    def blocks(self, columns: Sequence[str], numbers: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield the rows in blocks, only `columns`, in memory that does not grow with the file.

        A block of plain numbers becomes float64 in the columns `numbers`, int64 in the others;
        all else stays text.
        """
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        reader = arrow_csv.open_csv(
            self.path,
            read_options=arrow_csv.ReadOptions(
                column_names=list(self.names),
                skip_rows=1,
                block_size=BLOCK_BYTES,
                use_threads=False,
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=self.separator),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=True,
            ),
        )
        try:
            for batch in reader:
                columns_read = {
                    name: _plain_numbers(
                        batch.column(name), pa.float64() if name in numbers else pa.int64()
                    )
                    for name in columns
                }
                yield pd.DataFrame(columns_read, copy=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{self.path.name} cannot be read as a table: {error}.") from error

    def _read(self, **options: Any) -> pd.DataFrame:
        return read_separated(
            self.path, self.separator, self.decimal, len(self.names), names=list(self.names),
            **options,
        )  # fmt: skip


def sniff(path: Path) -> Delimited:
    """Return the separator and header of the text file at `path`.

    The separator is the most frequent of comma, semicolon and tab in the first line; with
    semicolons, numbers may have decimal commas. Raises InputError for a header with repeated
    names or of numbers only.
    """
    first, rows = first_lines(path)
    separator, decimal = dialect_of(first, rows)
    names = split_line(first, separator)
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise InputError(
            f"{path.name} has more than one column named {', '.join(map(repr, repeated))}. "
            "Rename all but one in its first line."
        )
    if all(_is_number(name) for name in names):
        raise InputError(
            f"{path.name} has no header: its first line is {first.strip()[:60]!r}. "
            "Put the names of the columns there."
        )
    named = tuple(name or f"column_{i + 1}" for i, name in enumerate(names))
    return Delimited(path, separator, decimal, named)


def _plain_numbers(array: Any, kind: Any) -> pd.Series:
    """Return an Arrow array of text as numbers of `kind` where all of it is, else as text."""
    import pyarrow as pa

    try:
        return array.cast(kind).to_pandas()
    except pa.ArrowInvalid:
        return array.to_pandas()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
