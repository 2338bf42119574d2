"""A batch of examples, and the check that what is computed from it is finite."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError
from scalekit.selectors.scores.inputs import map_tensors
from scalekit.selectors.scores.outputs import check_finite

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Examples to score: their ids, their rows in the data set, inputs, labels [B] or [B, T]."""

    ids: np.ndarray
    rows: np.ndarray
    inputs: Any
    labels: Any

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, first: int, last: int) -> Batch:
        """Return the examples first..last-1 of the batch."""
        return self._take(slice(first, last))

    def without(self, rows: Container[int]) -> Batch:
        """Return the examples of the batch that are not at `rows` of the data set."""
        return self._take(np.flatnonzero([int(row) not in rows for row in self.rows]))

    def _take(self, at: Any) -> Batch:
        inputs = map_tensors(lambda values: values[at], self.inputs)
        return Batch(self.ids[at], self.rows[at], inputs, self.labels[at])


Visitor = Callable[[Batch], Any]


class NotFiniteError(InputError):
    """The model returned NaN or infinite logits, or a score is NaN or infinite."""


def finite(logits: Tensor, batch: Batch) -> Tensor:
    """Return `logits`; raise NotFiniteError with the ids where they are NaN or infinite."""
    bad = check_finite(logits).tolist()
    if bad:
        raise not_finite("The model returned NaN or infinite logits", bad, batch)
    return logits


def check_columns(columns: dict[str, np.ndarray], batch: Batch) -> None:
    """Raise NotFiniteError where a score is NaN or infinite though the logits are not."""
    for name, values in columns.items():
        if not np.isfinite(values).all():
            whole = np.isfinite(values.reshape(len(batch), -1)).all(1)
            bad = np.flatnonzero(~whole).tolist()
            raise not_finite(f"'{name}' came out NaN or infinite from finite logits", bad, batch)


def not_finite(what: str, bad: list[int], batch: Batch) -> NotFiniteError:
    """Return the error for the examples at positions `bad` of a batch."""
    where = "" if len(batch) == 1 else (
        f" for {len(bad)} of {len(batch)} examples, ids {[str(batch.ids[i]) for i in bad[:5]]}"
    )  # fmt: skip
    return NotFiniteError(f"{what}{where}. Check the inputs and the weights for NaN.")
