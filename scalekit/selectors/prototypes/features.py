"""Features as these tools read them: in chunks, so that a memory-mapped file stays on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16_384  # rows at a time


def open_features(features: Any) -> np.ndarray:
    """Return features (n, d); a path of a .npy file is mapped, not read.

    Raises InputError where they are not a table of numbers.
    """
    if isinstance(features, (str, Path)):
        if Path(features).suffix != ".npy":
            raise InputError(
                f"{features}: features are read from .npy files, or given as an array."
            )
        features = np.load(features, mmap_mode="r")
    array = features if isinstance(features, np.ndarray) else np.asarray(features)
    if array.ndim != 2 or not len(array) or array.dtype.kind not in "fiu":
        raise InputError(
            f"features must be numbers of shape (examples, dimensions); got {array.dtype} of shape "
            f"{array.shape}."
        )
    return array


def check_ids(ids: np.ndarray, rows: int) -> None:
    """Raise InputError where there is not one id of its own for every row."""
    if len(ids) != rows:
        raise InputError(f"There are {len(ids)} ids for {rows} rows of features.")
    names, counts = np.unique(ids, return_counts=True)
    if len(names) < rows:
        raise InputError(f"The id '{names[counts > 1][0]}' occurs more than once.")


def chunks(
    features: np.ndarray, metric: str, device: str = "cpu", rows: np.ndarray | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of the rows and their features as float32 tensors, of unit length for cosine.

    Raises InputError that names the first row with NaN or infinity, or of length 0 for cosine.
    """
    import torch

    count = len(features) if rows is None else len(rows)
    for start in range(0, count, CHUNK):
        at = slice(start, min(start + CHUNK, count))
        block = features[at] if rows is None else features[rows[at]]
        part = torch.from_numpy(np.array(block, dtype=np.float32)).to(device)
        size = torch.linalg.vector_norm(part, dim=1)
        bad = (
            ~torch.isfinite(size) if metric == "euclidean" else ~(torch.isfinite(size) & (size > 0))
        )
        if bool(bad.any()):
            first = int(torch.nonzero(bad)[0, 0])
            row = start + first if rows is None else int(rows[start + first])
            what = (
                "has length 0, which has no direction"
                if float(size[first]) == 0
                else ("holds NaN or infinity")
            )
            raise InputError(f"features: row {row} {what}. Leave it out, or repair it.")
        yield at, part if metric == "euclidean" else part / size[:, None]
