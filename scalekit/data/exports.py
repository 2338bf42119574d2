"""Logs in the shape that a tracker or trainer writes them, turned into one row a run and step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note

BOUNDS = ("__MIN", "__MAX")  # what a chart export adds to each line's name
BETWEEN = " - "  # stands between run and metric; the run's name may hold it too


def is_chart(names: Sequence[str]) -> bool:
    """Whether `names` is the header of a chart that Weights & Biases exported as CSV.

    >>> is_chart(["Step", "a - loss", "a - loss__MIN", "a - loss__MAX"])
    True
    """
    lines = _lines(names)
    return bool(lines) and all(BETWEEN in name for name in lines)


def _lines(names: Sequence[str]) -> list[str]:
    there = set(names)
    return [name for name in names if all(name + bound in there for bound in BOUNDS)]


def from_chart(frame: pd.DataFrame, source: str) -> tuple[pd.DataFrame, np.ndarray, Note]:
    """Return a chart export as rows of run, x-axis and metrics; their places in `frame`; a note.

    A chart has one column a run and metric, "<run> - <metric>", blank where the run has no value.
    Raises InputError where it holds no value at all.
    """
    names = [str(name) for name in frame]
    lines, x = _lines(names), names[0]
    by_run: dict[str, dict[str, str]] = {}
    for name in lines:
        run, _, metric = name.rpartition(BETWEEN)
        by_run.setdefault(run, {})[metric] = name
    pieces = []
    for run, columns in by_run.items():
        there = frame[list(columns.values())].notna().any(axis=1)
        piece = frame.loc[there, [x, *columns.values()]]
        piece.columns = pd.Index([x, *columns])
        piece.insert(0, "run", run)
        pieces.append(piece)
    long = pd.concat(pieces)
    if long.empty:
        raise InputError(f"{source} is a chart of {len(by_run)} runs without a single value.")
    words = (
        f"The table is a chart exported from Weights & Biases: {len(by_run)} runs along {x}, "
        f"{len(long)} values. Charts of more than 1,500 points are samples of the log."
    )
    places = long.index.to_numpy()
    return long.reset_index(drop=True), places, Note("chart_export", "info", words)


def is_trainer_state(data: Any) -> bool:
    """Whether `data` is what the Hugging Face Trainer saves as trainer_state.json."""
    return isinstance(data, Mapping) and isinstance(data.get("log_history"), list)


def from_trainer_state(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records of a Trainer's log, one a step: training and evaluation side by side.

    The closing record of the whole run (`train_runtime`, with the mean `train_loss`) is no step.

    >>> from_trainer_state({"log_history": [{"step": 9, "loss": 4.0}, {"step": 9, "eval_loss": 5.0},
    ...                                     {"step": 9, "train_runtime": 1.0}]})
    [{'step': 9, 'loss': 4.0, 'eval_loss': 5.0}]
    """
    steps: dict[Any, dict[str, Any]] = {}
    for record in data["log_history"]:
        if "train_runtime" not in record:
            at = steps.setdefault(record.get("step"), {})
            at.update({name: value for name, value in record.items() if name not in at})
    return list(steps.values())
