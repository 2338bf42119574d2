"""The pilot table: which mixture, how many samples, what came out; checked and averaged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.notes import Note
from scalekit.selectors.simplex import as_mixtures

HIGHER_IS_BETTER = ("accuracy", "acc", "f1", "map", "auc", "bleu", "score", "recall", "precision")
LOWER_IS_BETTER = (
    "loss", "error", "perplexity", "entropy", "nll", "mae", "mape", "rmse", "wer", "brier",
)  # fmt: skip

LEAST_MIXTURES = 3  # one held out, two to fit


@dataclass(frozen=True)
class Metric:
    """How the measured column reads: its name, whether higher is better, its ceiling if so."""

    name: str
    higher_is_better: bool
    ceiling: float

    def to_error(self, values: np.ndarray) -> np.ndarray:
        """Return the error: what is missing to the ceiling, or the value itself for a loss."""
        return self.ceiling - values if self.higher_is_better else values

    from_error = to_error  # its own inverse


@dataclass(frozen=True)
class Pilots:
    """Pilot runs, one row for each mixture and size: `error` is the mean of `count` runs.

    `mixtures` (u, m) are the distinct mixtures, `which` (r,) the mixture of each row.
    """

    sources: tuple[str, ...]
    mixtures: np.ndarray
    which: np.ndarray
    samples: np.ndarray
    error: np.ndarray
    count: np.ndarray
    metric: Metric
    notes: tuple[Note, ...]
    n_runs: int

    @property
    def sizes(self) -> np.ndarray:
        """The distinct training-set sizes, ascending."""
        return np.unique(self.samples)


def read_pilots(
    table: pd.DataFrame,
    sources: Sequence[str],
    metric: str | None = None,
    samples: str = "samples",
    higher_is_better: bool | None = None,
) -> Pilots:
    """Return the checked pilots of a table with one row a run.

    Columns: the share of each source, `samples` (training-set size) and the metric. Raises
    ColumnNotFoundError or InputError naming the row and column. Repeated runs are averaged.
    """
    if not isinstance(table, pd.DataFrame):
        raise InputError(
            f"pilots must be a table with a column for each source; got {type(table).__name__}."
        )
    name = _metric_column(table, sources, samples, metric)
    taken = [column for column in [samples, name] if [*sources, samples, name].count(column) > 1]
    if taken:
        raise InputError(
            f"The column '{taken[0]}' of the pilots would be read twice, as samples, metric or the "
            "share of a source. Rename the source, or give samples='...' and metric='...'."
        )
    for column in [*sources, samples]:
        if column not in table.columns:
            raise ColumnNotFoundError(
                f"The pilots have no column '{column}'. "
                f"{did_you_mean(column, map(str, table.columns))}"
            )
    numbers = table[[*sources, samples, name]].apply(pd.to_numeric, errors="coerce")
    _check_rows(numbers, table, samples)
    try:
        shares = as_mixtures(numbers[list(sources)], sources)
    except InputError as reason:
        raise InputError(
            f"Pilots (mixture i is row i): {reason} Read were the columns {', '.join(sources)}: "
            "is a source missing, or are they per cent?"
        ) from reason
    kind = _direction(name, numbers[name].to_numpy(), higher_is_better)
    error = kind.to_error(numbers[name].to_numpy())
    if (error <= 0).any():
        row = int(np.flatnonzero(error <= 0)[0])
        raise InputError(
            f"Pilots, row {row}: '{name}' is {numbers[name].iloc[row]:g}, so no error is left to "
            f"project ({int((error <= 0).sum())} such rows). Use a metric that does not reach its "
            "end, a loss for example."
        )
    return _grouped(shares, numbers[samples].to_numpy(), error, tuple(sources), kind)


def _metric_column(
    table: pd.DataFrame, sources: Sequence[str], samples: str, metric: str | None
) -> str:
    if metric is not None:
        if metric not in table.columns:
            raise ColumnNotFoundError(
                f"The pilots have no column '{metric}'. "
                f"{did_you_mean(metric, map(str, table.columns))}"
            )
        return metric
    others = [str(c) for c in table.columns if c not in sources and c != samples]
    known = [c for c in others if _named_direction(c) is not None]
    if len(known) == 1:
        return known[0]
    found = ", ".join(known or others) or "none"
    raise InputError(
        f"Which column of the pilots is the metric? Candidates: {found}. Give metric='...' "
        "(--metric)."
    )


def _named_direction(name: str) -> bool | None:
    """Return whether a metric of this name is better when higher; None where it does not say.

    Words are whole (`val_loss`, `acc@1`): a "map" in "mape" or a "wer" in "answers" is none.
    """
    words = set(re.findall(r"f1|[a-z]+", name.lower()))
    higher, lower = bool(words & set(HIGHER_IS_BETTER)), bool(words & set(LOWER_IS_BETTER))
    return higher if higher != lower else None


def _check_rows(numbers: pd.DataFrame, table: pd.DataFrame, samples: str) -> None:
    bad = np.argwhere(~np.isfinite(numbers.to_numpy(dtype=float)))
    if len(bad):
        row, column = bad[0]
        column_name = numbers.columns[column]
        value = table[column_name].iloc[row]
        raise InputError(
            f"Pilots, row {row}, column '{column_name}': "
            f"{repr(value) if isinstance(value, str) else value} is not "
            f"a finite number ({len(np.unique(bad[:, 0]))} such rows). Correct or drop them."
        )
    if (numbers[samples] < 1).any():
        row = int(np.flatnonzero(numbers[samples] < 1)[0])
        raise InputError(
            f"Pilots, row {row}: '{samples}' is {numbers[samples].iloc[row]:g}; a training set "
            "has at least one sample."
        )
    if len(numbers) < 4:
        raise InputError(f"Only {len(numbers)} pilot runs; a projection needs at least 4.")


def _direction(name: str, values: np.ndarray, higher: bool | None) -> Metric:
    if higher is None:
        higher = _named_direction(name)
    if higher is None:
        raise InputError(
            f"Is a higher '{name}' better? Say so with higher_is_better=True or False "
            "(--higher-is-better, --lower-is-better)."
        )
    ceiling = 0.0
    if higher:
        ceiling = 1.0 if values.max() <= 1.0 else 100.0
        if values.max() > ceiling or values.min() < 0:
            raise InputError(
                f"'{name}' runs from {values.min():g} to {values.max():g}; expected shares "
                "(0 to 1) or per cent (0 to 100). Give a loss instead, higher_is_better=False."
            )
    return Metric(name, higher, ceiling)


def _grouped(
    shares: np.ndarray,
    samples: np.ndarray,
    error: np.ndarray,
    sources: tuple[str, ...],
    metric: Metric,
) -> Pilots:
    if np.ptp(error) <= 1e-12 * np.abs(error).max():
        raise InputError(
            f"'{metric.name}' is {metric.from_error(error)[0]:g} in all pilots, so neither "
            "mixture nor size has an effect to project."
        )
    mixtures, of_run = np.unique(shares.round(9), axis=0, return_inverse=True)
    if len(mixtures) < LEAST_MIXTURES:
        raise InputError(
            f"The pilots have {len(mixtures)} distinct mixture(s); a projection over mixtures "
            f"needs {LEAST_MIXTURES}, and {3 * (len(sources) + 1)} or more are advised."
        )
    keys, row_of_run = np.unique(
        np.column_stack([of_run.ravel(), samples]), axis=0, return_inverse=True
    )
    row_of_run = row_of_run.ravel()
    count = np.bincount(row_of_run)
    mean = np.bincount(row_of_run, weights=error) / count
    reads = f"error = {metric.ceiling:g} - {metric.name}" if metric.higher_is_better else "a loss"
    message = (
        f"Read {len(error)} runs: {len(mixtures)} mixtures of {len(sources)} sources at "
        f"{len(np.unique(samples))} sizes; '{metric.name}' is taken as {reads}."
    )
    notes = [Note("pilots-read", "info", message)]
    if len(mixtures) < 3 * (len(sources) + 1):
        message = (
            f"{len(mixtures)} mixtures for {len(sources)} sources; "
            f"{3 * (len(sources) + 1)} or more are advised (Olmix: 3 (m + 1))."
        )
        notes.append(Note("few-mixtures", "warning", message))
    return Pilots(
        sources, mixtures / mixtures.sum(axis=1, keepdims=True), keys[:, 0].astype(int),
        keys[:, 1], mean, count.astype(float), metric, tuple(notes), len(error),
    )  # fmt: skip
