"""Features as these tools read them: in chunks, so that a memory-mapped file stays on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.names import read_with_names
from scalekit.selectors.transport.samples import LABEL_COLUMNS, read_features

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16_384  # rows at a time
ID_COLUMNS = ("id", "ids", "example_id")


def id_columns(header: Sequence[str]) -> list[str]:
    """Return the columns of a table that hold ids."""
    return [column for column in header if column in ID_COLUMNS]


def open_embedding(features: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return features (n, d), and their ids (n,) where the source names them.

    A .npy file is mapped, not read. A table (a frame, or a .parquet, .csv or .tsv file) may have
    a column of ids and of labels; the others are the dimensions, or a single one holds vectors.
    A .npz file holds `features` and perhaps `ids`. Raises InputError where there are no numbers.
    """
    name = str(features) if isinstance(features, (str, Path)) else "features"
    if isinstance(features, (str, Path)):
        suffix = Path(features).suffix if Path(features).is_file() else ""
        if suffix == ".npy":
            features = np.load(features, mmap_mode="r")
        elif suffix in (".csv", ".tsv"):
            features = read_with_names(features, id_columns)
        else:
            features = read_features(features)
    ids: np.ndarray | None = None
    if isinstance(features, pd.DataFrame):
        features, ids = _split_ids(features, name)
    elif isinstance(features, Mapping):
        if "features" not in features:
            raise InputError(
                f"{name} holds no array 'features'. {did_you_mean('features', map(str, features))}"
            )
        ids = next((np.asarray(features[key]) for key in ("ids", "id") if key in features), None)
        features = features["features"]
    array = features if isinstance(features, np.ndarray) else np.asarray(features)
    if array.ndim != 2 or not len(array) or array.dtype.kind not in "fiu":
        raise InputError(
            f"{name} must be numbers of shape (examples, dimensions); got {array.dtype} of shape "
            f"{array.shape}."
        )
    if ids is not None:
        check_ids(ids, len(array))
    return array, ids


def open_features(features: Any) -> np.ndarray:
    """Return features (n, d) of an array, a table or a file, as `open_embedding` reads them."""
    return open_embedding(features)[0]


def features_of(features: Any, ids: np.ndarray) -> np.ndarray:
    """Return features with one row for each of `ids`: matched by id where they are named.

    Without ids of their own the rows must be as many as `ids`, and in their order. Raises
    InputError that names an id without features.
    """
    array, names = open_embedding(features)
    if names is None:
        if len(array) != len(ids):
            raise InputError(f"features has {len(array)} rows, the scores {len(ids)}.")
        return array
    place = pd.Index(names.astype(str)).get_indexer(pd.Index(np.asarray(ids).astype(str)))
    absent = np.flatnonzero(place < 0)
    if len(absent):
        raise InputError(
            f"features: the id '{ids[absent[0]]}' of the scores has no row "
            f"({len(absent)} of {len(ids)} ids). Give features of every scored example."
        )
    return array if np.array_equal(place, np.arange(len(array))) else array[place]


def _split_ids(table: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    known = next((column for column in ID_COLUMNS if column in table), None)
    values = table.drop(columns=[column for column in (known, *LABEL_COLUMNS) if column in table])
    ids = None if known is None else table[known].to_numpy()
    if values.shape[1] == 1 and values.iloc[:, 0].map(np.ndim).eq(1).all():  # one vector a row
        sizes = values.iloc[:, 0].map(len)
        if (sizes != sizes.iloc[0]).any():
            row = int(np.flatnonzero(sizes != sizes.iloc[0])[0])
            raise InputError(
                f"{name}: row {row} of column '{values.columns[0]}' has {sizes.iloc[row]} numbers, "
                f"row 0 has {sizes.iloc[0]}."
            )
        return np.stack(values.iloc[:, 0].tolist()), ids
    text = [str(c) for c in values if not pd.api.types.is_numeric_dtype(values[c])]
    if text:
        raise InputError(
            f"{name}: column '{text[0]}' is not numeric. Features are numbers; ids stand in a "
            f"column called one of {', '.join(ID_COLUMNS)}."
        )
    return values.to_numpy(dtype=np.float32), ids


def check_ids(ids: np.ndarray, rows: int) -> None:
    """Raise InputError where there is not one id of its own for every row."""
    if len(ids) != rows:
        raise InputError(f"There are {len(ids)} ids for {rows} rows of features.")
    names, counts = np.unique(ids, return_counts=True)
    if len(names) < rows:
        raise InputError(f"The id '{names[counts > 1][0]}' occurs more than once.")


def name_rows(rows: int, ids: Any, own: np.ndarray | None) -> np.ndarray:
    """Return the ids of the rows: those given, else those of the source, else 0, 1, 2, ..."""
    names = np.asarray(ids) if ids is not None else np.arange(rows) if own is None else own
    check_ids(names, rows)
    return names


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
