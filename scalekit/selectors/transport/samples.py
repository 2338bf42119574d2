"""A sample of a data set: features, perhaps labels and weights, checked and named."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.files import read_delimited

LABEL_COLUMNS = ("label", "labels", "y", "target")
IDENTIFIERS = ("id", "idx", "index", "row", "uid", "uuid")
LARGEST_FEATURE = 1e150
FEATURE_FILES = ".npy .npz .parquet .csv .tsv"


@dataclass(frozen=True)
class Sample:
    """Points of one data set: `features` (n, d) float64, `labels` (n,) or None, `weights` (n,).

    The weights sum to one; without any, every point has the same.
    """

    features: np.ndarray
    labels: np.ndarray | None = None
    weights: np.ndarray | None = None
    name: str = "sample"
    columns: tuple[str, ...] | None = None  # the names of the features, where a table gave them

    def __len__(self) -> int:
        return len(self.features)

    @property
    def dim(self) -> int:
        """The number of features d."""
        return int(self.features.shape[1])

    @property
    def mass(self) -> np.ndarray:
        """The weights (n,), uniform where none were given."""
        return np.full(len(self), 1 / len(self)) if self.weights is None else self.weights

    @property
    def known_labels(self) -> np.ndarray:
        """The labels (n,); raises InputError where there are none."""
        if self.labels is None:
            raise InputError(f"'{self.name}' has no labels. Give (features, labels).")
        return self.labels

    @property
    def classes(self) -> np.ndarray:
        """The sorted labels that occur; raises InputError where there are none."""
        return np.unique(self.known_labels)

    def content_hash(self) -> str:
        """Return a short hash of the features, labels and weights."""
        digest = hashlib.sha256(np.ascontiguousarray(self.features).tobytes())
        for part in (self.labels, self.weights):
            digest.update(b"" if part is None else part.astype(str).tobytes())
        return digest.hexdigest()[:16]


def as_sample(value: Any, name: str = "sample", weights: np.ndarray | None = None) -> Sample:
    """Return `value` as a checked Sample.

    `value` is an array or tensor (n, d), a pair (features, labels), a mapping or table with a
    label column, a Sample, or the path of a .npy, .npz, .parquet, .csv or .tsv file.
    Raises InputError on other shapes, fewer than two points, values that are not finite, and
    weights that are negative or sum to zero; the message names the sample, row and column.

    >>> len(as_sample([[0.0, 1.0], [1.0, 0.0]], name="web"))
    2
    """
    labels, columns = None, None
    if isinstance(value, Sample):  # made by hand, perhaps, and so not checked yet
        weights = value.weights if weights is None else weights
        name, columns, value = value.name, value.columns, (value.features, value.labels)
    if isinstance(value, (str, Path)):
        value = read_features(value)
    if hasattr(value, "to_pandas"):  # polars, Arrow
        value = value.to_pandas()
    if isinstance(value, tuple) and len(value) == 2:
        value, labels = value
    elif isinstance(value, pd.DataFrame):
        value, labels, columns = _split_frame(value, name)
    elif isinstance(value, Mapping):
        value, labels = _split_mapping(value, name)
    features = _checked_features(_to_numpy(value, name), name)
    return Sample(
        features,
        _checked_labels(labels, features, name),
        _checked_weights(weights, features, name),
        name,
        columns,
    )


def as_named_samples(sources: Any, target: Sample) -> dict[str, Sample]:
    """Return the checked samples of a mapping from names to samples, as wide as `target`.

    Raises InputError for anything but a mapping of two or more sources.
    """
    if not isinstance(sources, Mapping):
        raise InputError(
            "Sources are a mapping from names to samples, such as {'web': ..., 'code': ...}; "
            f"got {type(sources).__name__}."
        )
    if len(sources) < 2:
        raise InputError(f"A mixture needs at least two sources; got {len(sources)}.")
    samples = {
        str(name): replace(as_sample(value, str(name)), name=str(name))
        for name, value in sources.items()
    }
    for sample in samples.values():
        check_same_features(sample, target)
    return samples


def read_features(path: str | Path, kind: str = "feature") -> Any:
    """Return what a feature file holds: an array (.npy), a mapping (.npz) or a table.

    A .npz file holds `features` and, if there are any, `labels`. Raises InputError where the
    file is missing, of an unknown kind or cannot be read; `kind` says there what was looked for.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"There is no {kind} file {source}. Expected one of {FEATURE_FILES}.")
    suffix = source.suffix.lower()
    try:
        if suffix in (".npy", ".npz"):
            with source.open("rb") as file:
                stored = np.load(file, allow_pickle=False)
                return stored if isinstance(stored, np.ndarray) else dict(stored)
        if suffix == ".parquet":
            return pd.read_parquet(source)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"Cannot read {kind}s from {source}: {error}") from error
    if suffix in (".csv", ".tsv"):
        return _named(read_delimited(source), source.name)
    raise InputError(f"Cannot read {kind}s from '{source.name}'. Use one of {FEATURE_FILES}.")


def _named(table: pd.DataFrame, file: str) -> pd.DataFrame:
    """Return a table of text; raise InputError where its first line does not name its columns."""
    names = table.columns.to_series()
    numbers = list(names[pd.to_numeric(names, errors="coerce").notna()])
    if numbers not in ([str(first + i) for i in range(len(numbers))] for first in (0, 1)):
        raise InputError(
            f"{file} has no header: its first line holds {', '.join(table.columns[:4])}. "
            "Put the names of the columns there, or the first point would be lost."
        )
    return table


def _to_numpy(value: Any, name: str) -> np.ndarray:
    if hasattr(value, "detach"):  # a torch tensor, perhaps on a GPU or with a gradient
        value = value.detach().cpu().numpy()
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"'{name}' is no array; its rows differ in length: {error}") from error


def _split_frame(frame: pd.DataFrame, name: str) -> tuple[Any, Any, tuple[str, ...]]:
    label = next((column for column in LABEL_COLUMNS if column in frame.columns), None)
    numbers = frame.drop(columns=[] if label is None else [label])
    for column in map(str, numbers):
        if column.startswith("Unnamed:"):
            raise InputError(
                f"'{name}': column '{column}' has no name; it looks like a row index written with "
                "the table. Write it with index=False, or drop the column."
            )
        if column.lower() in IDENTIFIERS:
            raise InputError(
                f"'{name}': column '{column}' looks like an identifier, and all columns but labels "
                "are features. Drop it, or rename it if it is a feature."
            )
    text = [str(column) for column in numbers if not pd.api.types.is_numeric_dtype(numbers[column])]
    if text:
        raise InputError(
            f"'{name}': column '{text[0]}' is not numeric. Features are numbers; a label column "
            f"is called one of {', '.join(LABEL_COLUMNS)}. Drop other columns first."
        )
    labels = None if label is None else frame[label].to_numpy()
    return numbers.to_numpy(dtype=float), labels, tuple(map(str, numbers.columns))


def _split_mapping(value: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    if "features" not in value:
        raise InputError(
            f"'{name}' holds no array 'features'. {did_you_mean('features', map(str, value))}"
        )
    label = next((column for column in LABEL_COLUMNS if column in value), None)
    return value["features"], None if label is None else value[label]


def _checked_features(raw: np.ndarray, name: str) -> np.ndarray:
    if np.iscomplexobj(raw):
        raise InputError(f"'{name}': features must be real numbers; got {raw.dtype}.")
    try:
        features = np.ascontiguousarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"'{name}': features must be numbers (n, d): {error}.") from error
    if features.ndim != 2 or features.shape[1] == 0:
        raise InputError(
            f"'{name}': features must have shape (n, d); got {features.shape}. "
            "Flatten each example to one vector, or embed it first."
        )
    if len(features) < 2:
        raise InputError(
            f"'{name}' has {len(features)} point(s); a distance between data sets needs at least 2."
        )
    bad = np.argwhere(~np.isfinite(features))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"'{name}': feature {column} of row {row} is {features[row, column]} "
            f"({len(np.unique(bad[:, 0]))} rows have such values). Drop or impute these rows."
        )
    if np.abs(features).max() > LARGEST_FEATURE:
        row, column = np.unravel_index(np.abs(features).argmax(), features.shape)
        raise InputError(
            f"'{name}': feature {column} of row {row} is {features[row, column]:.3g}; squared "
            f"distances overflow above {LARGEST_FEATURE:g}. Rescale the features."
        )
    return features


def _checked_labels(labels: Any, features: np.ndarray, name: str) -> np.ndarray | None:
    if labels is None:
        return None
    array = _to_numpy(labels, name)
    if array.shape != (len(features),):
        raise InputError(
            f"'{name}': labels must have shape ({len(features)},), one a row; got {array.shape}."
        )
    missing = pd.isna(array)
    if missing.any():
        raise InputError(
            f"'{name}': the label of row {int(np.flatnonzero(missing)[0])} is missing "
            f"({int(missing.sum())} in all). Drop these rows, or leave the labels out."
        )
    if array.dtype == object:
        if len({isinstance(label, str) for label in array}) > 1:
            raise InputError(f"'{name}': some labels are text and some are not. Use one kind.")
        array = np.array(array.tolist())
    if array.dtype.kind == "f" and (array != np.round(array)).any():
        row = int(np.flatnonzero(array != np.round(array))[0])
        raise InputError(
            f"'{name}': the label of row {row} is {array[row]:g}; labels name classes, so numbers "
            f"must be whole. Rename a feature column called {', '.join(LABEL_COLUMNS)}."
        )
    return array


def _checked_weights(weights: Any, features: np.ndarray, name: str) -> np.ndarray | None:
    if weights is None:
        return None
    try:
        array = _to_numpy(weights, name).astype(float)
    except (TypeError, ValueError) as error:
        raise InputError(f"'{name}': weights must be numbers: {error}.") from error
    if array.shape != (len(features),) or not np.isfinite(array).all() or (array < 0).any():
        raise InputError(
            f"'{name}': weights must be {len(features)} finite numbers, none negative; "
            f"got shape {array.shape}, smallest {array.min() if array.size else None}."
        )
    if array.sum() == 0:
        raise InputError(f"'{name}' has zero mass: all its weights are 0. Give some point weight.")
    result: np.ndarray = array / array.sum()
    return result


def check_same_features(a: Sample, b: Sample) -> None:
    """Raise InputError where two samples have another number of features, or another order."""
    if a.dim != b.dim:
        raise InputError(
            f"'{a.name}' has {a.dim} features and '{b.name}' has {b.dim}. "
            "Embed both with the same model."
        )
    if not (a.columns and b.columns) or a.columns == b.columns:
        return
    if shared := set(a.columns) & set(b.columns):  # names with nothing in common say nothing
        place = next(i for i, (x, y) in enumerate(zip(a.columns, b.columns, strict=True)) if x != y)
        how = "different features" if len(shared) < a.dim else "the same features in another order"
        raise InputError(
            f"'{a.name}' and '{b.name}' have {how}: column {place} is '{a.columns[place]}' in one "
            f"and '{b.columns[place]}' in the other. Give both the same columns."
        )
