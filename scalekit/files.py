"""Writing files so that an interrupted run loses nothing: write beside, then rename."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scalekit.errors import OutputError


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
