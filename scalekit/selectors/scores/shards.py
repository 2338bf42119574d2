"""Scoring a run of rows: over checkpoints, in batches, whatever single examples do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.selectors.scores.batch import Batch, Visitor
from scalekit.selectors.scores.culprits import (
    BadExamplesError,
    Found,
    blame,
    describe,
    is_out_of_memory,
    listed,
    reason_of,
)
from scalekit.selectors.scores.engine import Engine
from scalekit.selectors.scores.passes import CheckError
from scalekit.selectors.scores.plan import INPUT_SCORES
from scalekit.selectors.scores.sources import Source, StreamError
from scalekit.selectors.scores.store import Shard
from scalekit.selectors.scores.vog import InputGradients

SUMMED = ("tracin_self", "tracin_to_set", "sketch")  # over checkpoints


class AgainError(Exception):
    """The shard must be scored anew: earlier checkpoints saw other examples or other parts."""


class OutOfMemoryError(InputError):
    """Memory runs out even for one example."""


@dataclass
class ShardScorer:
    """Scores runs of rows of a source; halves the batch where memory runs out.

    With `skip_bad`, examples that cannot be read or scored are left out and listed; those of a
    reference set are kept in `left_out_of_reference`.
    """

    engine: Engine
    source: Source
    batch_size: int = 64
    skip_bad: bool = False
    notes: list[Note] = field(default_factory=list)
    left_out_of_reference: Found = field(default_factory=dict)
    _worked: bool = field(default=False, init=False)

    def score(self, first: int, last: int) -> Shard:
        """Return the columns of rows first..last-1 (fewer at the end of a stream)."""
        left_out: Found = {}
        while True:
            try:
                return Shard(self._columns(first, last, left_out), listed(left_out))
            except AgainError:
                continue

    def visit(
        self, source: Source, function: Visitor, probe: Visitor,
        first: int = 0, last: int | None = None,
    ) -> None:  # fmt: skip
        """Call `function` on batches of rows first..last-1 of a set, by default of all.

        `function` must do nothing where it fails: it is called again on half a batch where memory
        runs out, and without bad examples, which `probe` finds, where these are left out.
        """
        last = source.n if last is None else last
        assert last is not None
        while first < last:
            rows = np.arange(first, min(first + self.batch_size, last))
            try:
                self._settle(source, rows, self.left_out_of_reference, function, probe, nothing)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(len(rows), error)
                continue
            first += len(rows)

    def _columns(self, first: int, last: int, left_out: Found) -> dict[str, np.ndarray]:
        states: dict[int, BatchState] = {}
        size = self.batch_size
        for index in range(self.engine.n_checkpoints):
            self.engine.prepare(index)
            for start in range(first, last, size):
                rows = np.arange(start, min(start + size, last))
                if not self._add_rows(rows, index, states, left_out):
                    break
        return join([states[start].columns(self.engine) for start in sorted(states)])

    def _add_rows(
        self, rows: np.ndarray, index: int, states: dict[int, BatchState], left_out: Found
    ) -> bool:
        """Score `rows` at checkpoint `index`; return False where the source ends before them."""
        start = int(rows[0])

        def add(batch: Batch) -> None:
            state = states.get(start) or BatchState(batch.ids, batch.labels, self.engine)
            self._score_batch(batch, index, state)
            states[start] = state

        def probe(one: Batch) -> None:
            moments = InputGradients(self.engine.model) if self.engine.plan.wants_inputs else None
            self.engine.score(one, index, moments)

        def begun() -> None:
            if start in states:  # earlier checkpoints counted what is now left out
                raise AgainError

        return self._settle(self.source, rows, left_out, add, probe, begun)

    def _settle(
        self, source: Source, rows: np.ndarray, left_out: Found,
        function: Visitor, probe: Visitor, retry: Callable[[], None],
    ) -> bool:  # fmt: skip
        """Call `function` on the batch of `rows` without the bad ones; see `_add_rows`."""
        batch: Batch | None = None
        whole = True
        while True:
            try:
                if batch is None:
                    kept = rows[[int(row) not in left_out for row in rows]] if left_out else rows
                    batch = self._read(source, kept)
                    whole = len(batch) == len(kept)
                if len(batch):
                    self._attempt(batch, function, probe)
                return whole
            except BadExamplesError as error:
                if not self.skip_bad:
                    raise
                left_out |= error.found
                batch = batch if batch is None else batch.without(error.found)
                retry()

    def _read(self, source: Source, rows: np.ndarray) -> Batch:
        if not len(rows):
            return Batch(rows, rows, rows, rows)
        try:
            return source.read(rows)
        except StreamError:
            raise
        except Exception as error:
            known = getattr(source, "ids", None)
            names = [str(row if known is None else known[row]) for row in rows]
            raise blame(
                rows, names, error, lambda at: source.read(rows[at : at + 1]),
                f"They were being read from {source.name}; check it there.", self._worked,
            ) from error  # fmt: skip

    def _attempt(self, batch: Batch, function: Visitor, probe: Visitor) -> None:
        try:
            function(batch)
        except (CheckError, AgainError, BadExamplesError, OutOfMemoryError):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.engine.forget()
            found = blame(
                batch.rows, [str(name) for name in batch.ids], error,
                lambda at: probe(batch.part(at, at + 1)),
                f"Inputs: {describe(batch.inputs)}; labels: {describe(batch.labels)}. Check that "
                "the model takes such inputs, or make them with prepare(columns).",
                self._worked,
            )  # fmt: skip
            self.engine.forget()
            if self.skip_bad and isinstance(error, InputError) and found is error:
                found = type(error)(f"{error} All {len(batch)} examples of the first batch fail in "
                                    "this way, so they were not left out.")  # fmt: skip
            raise found from error
        self._worked = True

    def _score_batch(self, batch: Batch, index: int, state: BatchState) -> None:
        while True:
            piece = state.piece or min(self.batch_size, len(batch))
            try:
                parts = [
                    self.engine.score(batch.part(at, at + piece), index, state.vog(k))
                    for k, at in enumerate(range(0, len(batch), piece))
                ]
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(piece, error)
                if state.piece:  # moments of gradients are kept part by part
                    raise AgainError from None
                state.reset()
                continue
            return state.add(parts, piece)

    def _halve(self, piece: int, error: Exception) -> None:
        if piece == 1:
            raise OutOfMemoryError(
                f"Memory ran out with a batch of one example: {reason_of(error)[:200]} Close what "
                "else uses the memory, take a smaller dtype (bfloat16) or a larger device, or "
                "shorten the examples."
            ) from error
        self.batch_size = max(1, min(self.batch_size, piece // 2))
        self.notes[:] = [note for note in self.notes if note.code != "batch_halved"]
        self.notes.append(
            Note("batch_halved", "info",
                 f"Memory ran out: the batch was halved, down to {self.batch_size}.")
        )  # fmt: skip


def nothing() -> None:
    """Do nothing."""


class BatchState:
    """What is kept of a batch while checkpoints go by: sums, sums of squares, moments."""

    def __init__(self, ids: np.ndarray, labels: Any, engine: Engine) -> None:
        self._ids, self._labels, self._engine = ids, np.asarray(labels), engine
        self.count = 0
        self.piece: int | None = None
        self._sum: dict[str, np.ndarray] = {}
        self._squares: dict[str, np.ndarray] = {}
        self._vogs: list[InputGradients] = []

    def reset(self) -> None:
        """Forget the moments of a checkpoint that failed half-way."""
        self._vogs = []

    def vog(self, k: int) -> InputGradients | None:
        """Return the running moments of part k, where they are asked for."""
        if not self._engine.plan.wants_inputs:
            return None
        while len(self._vogs) <= k:
            self._vogs.append(InputGradients(self._engine.model))
        return self._vogs[k]

    def add(self, parts: list[dict[str, np.ndarray]], piece: int) -> None:
        """Add the columns of one checkpoint, given in parts of `piece` examples."""
        self.count += 1
        self.piece = piece if self._vogs else None
        for name, values in join(parts).items():
            old = self._sum.get(name, 0.0)
            self._sum[name] = old + values.astype(np.float64)
            if values.ndim == 1:
                self._squares[name] = self._squares.get(name, 0.0) + values.astype(np.float64) ** 2

    def columns(self, engine: Engine) -> dict[str, np.ndarray]:
        """Return ids, labels and scores: means over checkpoints with standard errors, or sums."""
        real = np.float64 if engine.dtype == "float64" else np.float32
        found: dict[str, np.ndarray] = {"id": self._ids}
        if self._labels.ndim == 1:
            found["label"] = self._labels.astype(np.int64)
        for name, total in self._sum.items():
            if name in SUMMED or self.count == 1:
                found[name] = total.astype(real)
                continue
            if name == "sketch_lpntk":  # products are means over checkpoints, as lpntk_self is
                found[name] = (total / self.count**0.5).astype(real)
                continue
            mean = total / self.count
            spread = np.clip(self._squares[name] / self.count - mean**2, 0, None)
            found[name] = mean.astype(real)
            found[f"{name}_se"] = np.sqrt(spread / (self.count - 1)).astype(real)
        if self._vogs:
            parts = [vog.columns() for vog in self._vogs]
            for name in (name for name in INPUT_SCORES if name in engine.plan.columns):
                values = [part[name].cpu().numpy() for part in parts]
                found[name] = np.concatenate(values).astype(real)
        order = ["id", "label", *engine.plan.columns]
        rank = {name: at for at, name in enumerate(order)}
        return dict(sorted(found.items(), key=lambda item: rank.get(item[0], len(order))))


def join(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return columns that are given in parts as whole ones."""
    if not parts:
        return {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
