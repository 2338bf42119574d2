"""Ids that must differ, and hashes that tell whether data are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.selectors.scores.columns import host

WHOLE_HASH = 2**28  # bytes up to which data are hashed whole; above, 64 blocks of 1 MiB


def unique_ids(ids: Any, n: int) -> np.ndarray:
    """Return ids as an array of n different values, or say which are not unique."""
    values = host(ids)
    if values.shape != (n,):
        raise InputError(f"There are {n} examples, but ids have the shape {values.shape}.")
    check_kind(values)
    twice = pd.Series(values).duplicated()
    if twice.any():
        raise not_unique(values[twice.to_numpy()][:5].tolist(), int(twice.sum()))
    return values


def check_kind(values: np.ndarray) -> None:
    """Raise InputError unless ids are all texts or all numbers: others do not survive a file."""
    missing = pd.isna(values)
    if missing.any():
        rows = np.flatnonzero(missing)
        raise InputError(
            f"{len(rows)} examples have no id, such as those at rows {rows[:5].tolist()}. Give "
            "each its own, or leave ids out to number the rows."
        )
    odd = [v for v in values.tolist() if not isinstance(v, str)] if values.dtype.kind == "O" else []
    if odd or values.dtype.kind not in "OUiuf":
        example = odd[0] if odd else values.reshape(-1)[0]
        raise InputError(
            f"Ids must be whole numbers, or all of them texts; found {example!r}. Make each a text."
        )


def not_unique(values: list[Any], count: int = 1) -> InputError:
    """Return the error that names ids which occur more than once."""
    return InputError(
        f"Ids are not unique: {count} occur again, such as {values}. Give each example its own "
        "id, or leave ids out to number the rows."
    )


def hash_array(values: np.ndarray) -> str:
    """Return a hash of an array: of all of it, or of blocks of a large one."""
    digest = hashlib.sha256(f"{values.shape}{values.dtype}".encode())
    if values.dtype.kind in "OU":
        digest.update("\x1f".join(map(str, values.tolist())).encode())
    elif values.nbytes <= WHOLE_HASH:
        digest.update(np.ascontiguousarray(values).tobytes())
    else:
        step = max(1, values.nbytes // len(values))
        rows = max(1, 2**20 // step)
        for first in np.linspace(0, len(values) - rows, 64).astype(int):
            digest.update(np.ascontiguousarray(values[first : first + rows]).tobytes())
    return digest.hexdigest()


def hash_item(item: Any) -> str:
    """Return a hash of one item of a data set."""
    if isinstance(item, Mapping):
        return "".join(f"{key}{hash_item(item[key])}" for key in sorted(item))
    if isinstance(item, (tuple, list)):
        return "".join(map(hash_item, item))
    return item if isinstance(item, str) else hash_array(host(item))
