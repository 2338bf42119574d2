"""Writing files so that an interrupted run loses nothing, and reading small tables of text."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError, OutputError

if TYPE_CHECKING:
    import pandas as pd


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


def read_delimited(path: str | Path) -> pd.DataFrame:
    """Return a small table of text, its columns separated by comma, semicolon or tab.

    The separator is the most frequent of the three in the first line; between semicolons, numbers
    may have decimal commas. Raises InputError where the file is no such table.
    """
    import pandas as pd

    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            first, rows = file.readline(), file.read(2**14)
        separator = max(",;\t", key=first.count)
        commas = separator == ";" and re.search(r"\d,\d", rows) and not re.search(r"\d\.\d", rows)
        return pd.read_csv(
            path, sep=separator, decimal="," if commas else ".", encoding="utf-8-sig",
            skipinitialspace=True,
        )  # fmt: skip
    except (ValueError, OSError, pd.errors.ParserError) as error:  # ValueError: not UTF-8, empty
        raise InputError(f"{path} cannot be read as a table: {error}.") from error
