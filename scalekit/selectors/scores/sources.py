"""Examples to score: arrays, torch and Hugging Face datasets, streams; each row has a stable id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.selectors.scores.batch import Batch
from scalekit.selectors.scores.columns import ID_NAMES, Prepare, collate, host
from scalekit.selectors.scores.ids import check_kind, hash_array, hash_item, not_unique, unique_ids

ARRAY_FILES = (".npy", ".npz")


class StreamError(InputError):
    """An item of a stream cannot be read, and so nothing behind it either."""


class Source(Protocol):
    """A data set: `read` gives the examples at some rows; `n` is None for a stream."""

    name: str

    @property
    def n(self) -> int | None:
        """Number of examples, None for a stream."""
        ...

    def read(self, rows: np.ndarray) -> Batch:
        """Return the examples at `rows` (ascending)."""
        ...

    def fingerprint(self) -> str:
        """Return a hash of the content."""
        ...


class ArraySource:
    """Arrays (memory-mapped ones are read in slices): inputs [N, ...] or a dict of them."""

    name = "arrays"

    def __init__(self, inputs: Any, labels: Any, ids: Any = None) -> None:
        self._inputs = inputs if isinstance(inputs, Mapping) else {"": inputs}
        self._labels = host(labels)
        sizes = {key or "inputs": len(value) for key, value in self._inputs.items()}
        sizes["labels"] = len(self._labels)
        if len(set(sizes.values())) != 1:
            raise InputError(f"Inputs and labels differ in length: {sizes}. Give one row each.")
        self.n: int = len(self._labels)
        self.ids = np.arange(self.n) if ids is None else unique_ids(ids, self.n)

    def read(self, rows: np.ndarray) -> Batch:
        """Return the examples at `rows`."""
        picked = {key: host(pick(value, rows)) for key, value in self._inputs.items()}
        inputs = picked[""] if list(picked) == [""] else picked
        return Batch(self.ids[rows], rows, inputs, pick(self._labels, rows))

    def fingerprint(self) -> str:
        """Return a hash of the arrays."""
        digest = hashlib.sha256(hash_array(self._labels).encode())
        for key, value in self._inputs.items():
            digest.update(f"{key}{hash_array(host(value))}".encode())
        digest.update(hash_array(self.ids).encode())
        return digest.hexdigest()[:16]


class DatasetSource:
    """A torch or Hugging Face dataset with `len` and `[i]`: items are (x, y) or dictionaries."""

    def __init__(
        self, dataset: Any, prepare: Prepare | None = None, label: str | None = None,
        inputs: Sequence[str] | None = None, id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        self.name = type(dataset).__name__
        self._dataset, self._prepare, self._label, self._id = dataset, prepare, label, id
        self._chosen = inputs
        self._rows_of: dict[Any, int] = {}
        self.n: int = len(dataset)
        self.ids: np.ndarray | None = None
        names = getattr(dataset, "column_names", None)
        column = id or next((name for name in ID_NAMES if name in (names or ())), None)
        if column and names and column in names:
            self._id = column
            self.ids = unique_ids(np.asarray(dataset[column]), self.n)

    def read(self, rows: np.ndarray) -> Batch:
        """Return the examples at `rows`."""
        items = []
        for row in rows:
            try:
                items.append(self._dataset[int(row)])
            except Exception as error:
                raise InputError(
                    f"Reading item {row} of {self.name} failed: {type(error).__name__}: {error}"
                ) from error
        batch = collate(items, rows, self._prepare, self._label, self._chosen, self._id)
        if self.ids is not None:
            return Batch(self.ids[rows], rows, batch.inputs, batch.labels)
        check_kind(batch.ids)
        pairs = zip(batch.ids.tolist(), rows.tolist(), strict=True)
        again = [name for name, row in pairs if self._rows_of.setdefault(name, row) != row]
        if again:
            raise not_unique(again[:5], len(again))
        return batch

    def fingerprint(self) -> str:
        """Return a hash of the length and of up to 16 items."""
        known = getattr(self._dataset, "_fingerprint", None)  # Hugging Face's own
        if isinstance(known, str):
            return known
        digest = hashlib.sha256(f"{self.name}{self.n}".encode())
        for row in np.unique(np.linspace(0, max(self.n - 1, 0), 16).astype(int)):
            try:
                digest.update(hash_item(self._dataset[int(row)]).encode())
            except Exception:  # an item that cannot be read is told when it is scored
                digest.update(b"unreadable")
        return digest.hexdigest()[:16]


class StreamSource:
    """An iterable of items (Hugging Face streaming): read in order, once a checkpoint."""

    n = None

    def __init__(
        self, stream: Iterable[Any], prepare: Prepare | None = None, label: str | None = None,
        inputs: Sequence[str] | None = None, id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        self.name = type(stream).__name__
        if iter(stream) is stream:
            raise InputError(
                f"Data of type {self.name} can be read only once, but scoring looks at the first "
                "examples beforehand and at all of them once a checkpoint. Give a list, or an "
                "object whose __iter__ starts anew each time."
            )
        self._stream, self._prepare, self._label, self._id = stream, prepare, label, id
        self._chosen = inputs
        self._next, self._iterator = 0, iter(())
        self._held: list[Any] = []  # the items read last, before row `_next`
        self._seen: set[Any] = set()
        self.furthest = 0  # rows read so far

    def read(self, rows: np.ndarray) -> Batch:
        """Return the examples at `rows`, fewer at the end of the stream."""
        if len(rows) == 0:
            return collate([], rows, None, None, None, None)
        self._hold(int(rows[0]), int(rows[-1]) + 1)
        first = self._next - len(self._held)
        rows = rows[rows < self._next]
        batch = collate([self._held[row - first] for row in rows], rows, self._prepare,
                        self._label, self._chosen, self._id)  # fmt: skip
        if self._next > self.furthest:
            unique_ids(batch.ids, len(batch))
            again = [value for value in batch.ids.tolist() if value in self._seen]
            if again:
                raise not_unique(again[:5], len(again))
            self._seen.update(batch.ids.tolist())
            self.furthest = self._next
        return batch

    def _hold(self, first: int, last: int) -> None:
        """Read on to row `last`, from the start where `first` lies behind, and keep the items."""
        if self._next - len(self._held) <= first and last <= self._next:
            return
        if first < self._next or self._next == 0:
            self._iterator, self._next = iter(self._stream), 0
        self._held = []
        try:
            item: Any
            for item in islice(self._iterator, last - self._next):
                if self._next >= first:
                    self._held.append(item)
                self._next += 1
        except Exception as error:
            row, self._next, self._held = self._next, 0, []
            raise StreamError(
                f"Item {row} of the stream ({self.name}) cannot be read: "
                f"{type(error).__name__}: {error}. A stream does not go on behind an item that "
                "fails, so skip_bad cannot leave it out. Mend it, catch the error in the stream "
                "and leave the item out there, or give a data set with a length."
            ) from error

    def fingerprint(self) -> str:
        """Return a hash of the first 16 items; a stream cannot be hashed whole."""
        digest = hashlib.sha256(self.name.encode())
        self._hold(0, 16)
        for item in self._held:
            digest.update(hash_item(item).encode())
        return digest.hexdigest()[:16]


def pick(values: Any, rows: np.ndarray) -> Any:
    """Return `values[rows]`, by a slice where rows are neighbours."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return values[int(rows[0]) : int(rows[-1]) + 1]
    return values[rows]


def as_source(
    data: Any, labels: Any = None, ids: Any = None, prepare: Prepare | None = None,
    label: str | None = None, inputs: Sequence[str] | None = None, id: str | None = None,  # noqa: A002
) -> Source:  # fmt: skip
    """Return `data` as a source; see `score` for what it may be."""
    from scalekit.selectors.scores.array_files import array_source
    from scalekit.selectors.scores.files import TableSource, file_source

    if hasattr(data, "read") and hasattr(data, "fingerprint"):
        found: Source = data
        return found
    options: dict[str, Any] = {"prepare": prepare, "label": label, "inputs": inputs, "id": id}
    if is_arrays(data, labels):
        named = [name for name, value in options.items() if value is not None]
        if named:
            raise InputError(
                f"{' and '.join(named)} cannot be applied: arrays have no columns, and go to the "
                "model as they are. Leave this out (a factory may return the model without "
                "prepare), or give a table."
            )
        if isinstance(data, (str, Path)):
            return array_source(Path(data), labels, ids)
        inputs, labels = data if labels is None else (data, labels)
        return ArraySource(inputs, labels, ids)
    if ids is not None:
        raise InputError("ids=... go with arrays. Name the column of ids with id=... (--id).")
    if isinstance(data, (str, Path)):
        return file_source(Path(data), **options)
    if isinstance(data, pd.DataFrame):
        return TableSource.of_frame(data, **options)
    if hasattr(data, "dataset") and hasattr(data, "batch_size"):
        raise InputError(
            f"Data of type {type(data).__name__} yield batches, not examples. Give the data set "
            "itself (loader.dataset) and batch_size=..."
        )
    bare = isinstance(data, (np.ndarray, Mapping)) or hasattr(data, "detach")
    if not bare and hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return DatasetSource(data, **options)
    if not bare and isinstance(data, Iterable):
        return StreamSource(data, **options)
    raise InputError(
        f"Cannot tell the labels in data of type {type(data).__name__}. Give (inputs, labels), "
        "labels=..., a data set of (input, label) items, a table, or a file."
    )


def is_arrays(data: Any, labels: Any = None) -> bool:
    """Whether `data` are arrays, without names of columns."""
    if labels is not None or (isinstance(data, (str, Path)) and str(data).endswith(ARRAY_FILES)):
        return True
    return isinstance(data, tuple) and len(data) == 2
