"""Examples in NumPy files, memory-mapped; pickles in them are never loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from scalekit.errors import InputError
from scalekit.selectors.scores.sources import ArraySource


def array_source(path: Path, labels: Any, ids: Any) -> ArraySource:
    """Return a .npy file (memory-mapped) with labels, or an .npz with inputs, labels, ids."""
    if path.suffix not in (".npy", ".npz"):
        raise InputError(
            f"labels=... (--labels) go with a .npy file of inputs, but the data are {path}. Name "
            "the column of labels with label=... (--label)."
        )
    stored = load_arrays(path)
    if path.suffix == ".npz":
        if not {"inputs", "labels"} <= set(stored.files):
            raise InputError(
                f"{path} holds {', '.join(map(repr, stored.files))}; expected 'inputs' and "
                "'labels', and 'ids' where examples have names. Save it again: np.savez(path, "
                "inputs=..., labels=..., ids=...)."
            )
        ids = member(stored, "ids", path) if "ids" in stored.files else ids
        return ArraySource(member(stored, "inputs", path), member(stored, "labels", path), ids)
    if labels is None:
        raise InputError(f"{path} holds inputs only. Give labels=... (--labels labels.npy).")
    if isinstance(labels, (str, Path)):
        labels = load_arrays(Path(labels))
    return ArraySource(stored, labels, ids)


def load_arrays(path: Path) -> Any:
    """Return a .npy file, memory-mapped, or a .npz; one that holds pickled objects is refused."""
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(cannot_load(path, error)) from error


def member(stored: Any, name: str, path: Path) -> np.ndarray:
    """Return the array `name` of a .npz file."""
    try:
        found: np.ndarray = stored[name]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(cannot_load(path, error)) from error
    return found


def cannot_load(path: Path, error: Exception) -> str:
    """Return what to say of a NumPy file that cannot be read."""
    return (
        f"{path} cannot be read as NumPy arrays: {error}. Arrays of objects are pickles, which can "
        "run anything when they are loaded, so they were not. Save plain numbers with np.save."
    )
