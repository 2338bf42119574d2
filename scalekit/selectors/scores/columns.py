"""From items and columns to batches: which is the label, which the id, what the model takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.selectors.scores.batch import Batch

LABEL_NAMES = ("label", "labels", "y", "target")
ID_NAMES = ("id", "example_id")

Prepare = Callable[[Mapping[str, np.ndarray]], Any]


def collate(
    items: Sequence[Any], rows: np.ndarray, prepare: Prepare | None, label: str | None,
    inputs: Sequence[str] | None, id: str | None,  # noqa: A002
) -> Batch:  # fmt: skip
    """Return items (x, y) or dictionaries as one batch; x may be a dictionary too."""
    if not items:
        return Batch(np.arange(0), rows, np.zeros((0, 1)), np.zeros(0, int))
    first = items[0]
    if isinstance(first, Mapping):
        columns = {key: stack([item[key] for item in items]) for key in first}
        return from_columns(columns, rows, prepare, label, inputs, id)
    if isinstance(first, (tuple, list)) and len(first) == 2:
        if prepare is not None or inputs is not None:
            raise InputError(
                "Items of the data set are (input, label) pairs without names, so neither "
                "prepare nor inputs can be applied. Give items that are dictionaries."
            )
        labels = stack([item[1] for item in items])
        if isinstance(first[0], Mapping):
            return Batch(rows.copy(), rows,
                         {key: stack([item[0][key] for item in items]) for key in first[0]},
                         labels)  # fmt: skip
        return Batch(rows.copy(), rows, stack([item[0] for item in items]), labels)
    raise InputError(
        f"Items of the data set are of type {type(first).__name__}; expected (input, label) "
        "pairs or dictionaries."
    )


def from_columns(
    columns: Mapping[str, np.ndarray], rows: np.ndarray, prepare: Prepare | None,
    label: str | None, chosen: Sequence[str] | None, id: str | None,  # noqa: A002
) -> Batch:  # fmt: skip
    """Return columns as one batch: label and id are told by name, the rest are inputs.

    `chosen` names the inputs where not all the rest are. `prepare` turns the columns into what
    the model takes (say, token ids from text); it returns the inputs, or (inputs, labels).
    """
    label = label or next((name for name in LABEL_NAMES if name in columns), None)
    id = id or next((name for name in ID_NAMES if name in columns), None)  # noqa: A001
    for asked in (*(chosen or ()), *filter(None, (id,))):
        if asked not in columns:
            raise ColumnNotFoundError(
                f"The data have no column '{asked}'. {did_you_mean(asked, columns)}"
            )
    ids = columns[id] if id else rows.copy()
    if prepare is not None:
        made = prepare(columns)
        if not (isinstance(made, tuple) and len(made) == 2):
            made = made, label_column(columns, label)
        return Batch(ids, rows, *(prepared(part, len(rows)) for part in made))
    names = columns if chosen is None else chosen
    inputs = {key: columns[key] for key in names if key not in (label, id)}
    return Batch(ids, rows, plain_inputs(inputs), label_column(columns, label))


def prepared(values: Any, n: int) -> Any:
    """Return what `prepare` made, lists as arrays; raises InputError unless it has n rows."""
    if isinstance(values, Mapping):
        return {key: prepared(value, n) for key, value in values.items()}
    if isinstance(values, tuple):
        return tuple(prepared(value, n) for value in values)
    if isinstance(values, list):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise InputError(
                "prepare(columns) returned lists of different lengths. Pad them to one length "
                "(a tokenizer does it with padding=True)."
            ) from error
    found = len(values) if hasattr(values, "__len__") else type(values).__name__
    if found != n:
        raise InputError(
            f"prepare(columns) was given {n} examples and returned {found}. Return one row each."
        )
    return values


def label_column(columns: Mapping[str, np.ndarray], label: str | None) -> np.ndarray:
    """Return the labels, or say which columns there are."""
    if label is None or label not in columns:
        raise InputError(
            f"There is no label column{f' {label!r}' if label else ''}. There are: "
            f"{', '.join(columns)}. Name it with label=... (--label)."
        )
    return columns[label]


def plain_inputs(columns: Mapping[str, np.ndarray]) -> Any:
    """Return what the model takes: one array, or named ones, or plain numbers side by side."""
    text = [key for key, value in columns.items() if value.dtype.kind in "OUS"]
    if text:
        raise InputError(
            f"Column '{text[0]}' holds text or lists of different lengths, which a model cannot "
            "take. Let the factory return (model, prepare), where prepare(columns) makes the "
            "model's inputs from the columns; or name the inputs with inputs=... (--inputs)."
        )
    if len(columns) == 1:
        return next(iter(columns.values()))
    if not columns:
        raise InputError(
            "There is no column of inputs beside the label and the id. Give the data a column "
            "of inputs, or make them with prepare(columns)."
        )
    if all(value.ndim == 1 for value in columns.values()):
        return np.stack([value.astype(np.float32) for value in columns.values()], axis=1)
    return dict(columns)


def host(values: Any) -> np.ndarray:
    """Return `values` as an array on the host, without a copy where it can."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def stack(values: Sequence[Any]) -> np.ndarray:
    """Return `values` as one array; lists of different lengths stay objects."""
    if isinstance(values[0], str):
        return np.array(values, dtype=object)
    arrays = [host(value) for value in values]
    if len({array.shape for array in arrays}) == 1:
        return np.stack(arrays)
    ragged = np.empty(len(arrays), dtype=object)
    ragged[:] = arrays
    return ragged
