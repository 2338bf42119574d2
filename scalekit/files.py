"""Writing files so that an interrupted run loses nothing, and reading small tables of text."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError, OutputError

if TYPE_CHECKING:
    import pandas as pd

SNIFFED_BYTES = 16 * 2**10


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Call `write` on a temporary file in the folder of `path`, then rename it to `path`.

    The temporary name keeps the suffix of `path`, since many writers choose the format by it.
    Raises OutputError, with the reason, where the folder is missing or cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"Cannot write {target}: it is a directory. Give a file name.")
    if not target.parent.is_dir():
        raise OutputError(
            f"Cannot write {target}: there is no directory {target.parent}. "
            "Make it first, or choose another path."
        )
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot write {target}: {error.strerror or error}. Choose another path, or make room."
        ) from error
    return target


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` to `path` atomically, as UTF-8."""
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def to_json(value: object) -> str:
    """Return `value` as strict JSON text; NaN and infinities become null."""
    return json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return `value` with arrays, NumPy scalars and tuples turned into plain JSON types."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return str(value)


def read_delimited(
    path: str | Path, as_text: Callable[[Sequence[str]], Collection[str]] | None = None
) -> pd.DataFrame:
    """Return a small table of text, its columns separated by comma, semicolon or tab.

    The separator is the most frequent of the three in the first line; between semicolons, numbers
    may have decimal commas. `as_text` picks from the header the columns that stay as written.
    Raises InputError where the file is no such table.
    """
    path = Path(path)
    first, rows = first_lines(path)
    if not first.strip():
        raise InputError(f"{path} is empty. Give a file with a header and one row a line.")
    separator, decimal = dialect_of(first, rows)
    header = split_line(first, separator)
    kinds = dict.fromkeys(as_text(header), str) if as_text else None
    return read_separated(path, separator, decimal, len(header), dtype=kinds)


def uncompressed(path: Path) -> Path:
    """Return the path without the .gz of a compressed file."""
    return path.with_suffix("") if path.suffix == ".gz" else path


def first_lines(path: Path) -> tuple[str, str]:
    """Return the first line of a text file that is not blank, and a piece of what follows it."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            first = file.readline().decode("utf-8-sig", errors="replace")
            while first and not first.strip():
                first = file.readline().decode("utf-8-sig", errors="replace")
            return first, file.read(SNIFFED_BYTES).decode("utf-8", errors="replace")
    except (EOFError, OSError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error


def dialect_of(first: str, rows: str) -> tuple[str, str]:
    """Return separator and decimal point of a table of text, by its header and some rows."""
    separator = max(",;\t", key=first.count)
    commas = separator == ";" and re.search(r"\d,\d", rows) and not re.search(r"\d\.\d", rows)
    return separator, "," if commas else "."


def split_line(line: str, separator: str) -> list[str]:
    """Return the values of one line of a table of text.

    >>> split_line('run, "a, b"', ",")
    ['run', 'a, b']
    """
    row = next(csv.reader(io.StringIO(line), delimiter=separator, skipinitialspace=True))
    return [value.strip() for value in row]


def read_separated(
    path: Path, separator: str, decimal: str, width: int, **options: Any
) -> pd.DataFrame:
    """Return a table of text whose dialect is known, with a header of `width` columns.

    `options` are those of pandas.read_csv. Raises InputError where rows do not fit the header or
    the text is not UTF-8.
    """
    import pandas as pd

    try:
        with warnings.catch_warnings():
            # pandas cuts rows that are longer than the header, with a warning only
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path, sep=separator, decimal=decimal, header=0, index_col=False,
                encoding="utf-8-sig", skipinitialspace=True, low_memory=False, **options,
            )  # fmt: skip
    except (EOFError, OSError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name} is not UTF-8 text ({error.reason} at byte {error.start}). "
            "Save it again as CSV in UTF-8."
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        if isinstance(error, pd.errors.ParserWarning):
            reason = "they have more values than it has names"
        raise InputError(
            f"{path.name} has rows that do not fit its header of {width} columns separated by "
            f"{separator!r}: {reason}. Quote values that hold the separator."
        ) from error
