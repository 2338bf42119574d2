"""Scoring a run of rows: over checkpoints, in batches, whatever single examples do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalekit.errors import InputError, ScalekitError
from scalekit.notes import Note
from scalekit.selectors.scores.engine import Batch, Engine
from scalekit.selectors.scores.inputs import map_tensors
from scalekit.selectors.scores.passes import CheckError
from scalekit.selectors.scores.plan import INPUT_SCORES
from scalekit.selectors.scores.sources import Source
from scalekit.selectors.scores.store import Shard
from scalekit.selectors.scores.vog import InputGradients

SUMMED = ("tracin_self", "tracin_to_set", "sketch", "sketch_lpntk")  # over checkpoints


class BadExamplesError(InputError):
    """Some examples cannot be scored; `found` maps row -> (id, reason)."""

    def __init__(self, found: dict[int, tuple[str, str]]) -> None:
        self.found = found
        row, (name, reason) = next(iter(found.items()))
        more = f" ({len(found) - 1} more in this batch)" if len(found) > 1 else ""
        super().__init__(
            f"Example id {name} (row {row}) cannot be scored: {reason}{more}. Mend it, or leave "
            "such examples out and list them with skip_bad=True (--skip-bad)."
        )


@dataclass
class ShardScorer:
    """Scores runs of rows of a source; halves the batch where memory runs out."""

    engine: Engine
    source: Source
    batch_size: int = 64
    skip_bad: bool = False
    notes: list[Note] = field(default_factory=list)

    def score(self, first: int, last: int) -> Shard:
        """Return the columns of rows first..last-1 (fewer at the end of a stream)."""
        left_out: dict[int, tuple[str, str]] = {}
        while True:
            rows = np.array([r for r in range(first, last) if r not in left_out], dtype=np.int64)
            try:
                columns = self._columns(rows)
            except BadExamplesError as error:
                if not self.skip_bad:
                    raise
                left_out |= error.found
                continue
            skipped = dict(left_out.values())
            return Shard(columns, skipped)

    def _columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        states: dict[int, BatchState] = {}
        for index in range(self.engine.n_checkpoints):
            for batch in self.batches(rows):
                key = int(batch.rows[0])
                if key not in states:
                    states[key] = BatchState(batch.ids, batch.labels, self.engine)
                self._score_batch(batch, index, states[key])
        return join([states[key].columns(self.engine) for key in sorted(states)])

    def batches(self, rows: np.ndarray) -> Iterator[Batch]:
        """Yield the batches of `rows`; an item that cannot be read becomes a bad example."""
        size = self.batch_size
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            try:
                batch = self.source.read(some)
            except Exception as error:
                raise self._culprits(some, error, self.source.read) from error
            if len(batch):
                yield batch
            if len(batch) < len(some):
                return

    def _score_batch(self, batch: Batch, index: int, state: BatchState) -> None:
        while True:
            piece = min(self.batch_size, len(batch))
            parts = range(0, len(batch), piece)
            try:
                state.add([
                    self._score_part(batch.part(at, at + piece), index, state.vog(k))
                    for k, at in enumerate(parts)
                ])  # fmt: skip
                return
            except Exception as error:
                if not is_out_of_memory(error) or piece == 1 or state.begun:
                    raise
                self._halve(piece)
                state.reset()

    def _score_part(self, batch: Batch, index: int, vog: InputGradients | None) -> Any:
        try:
            return self.engine.score(batch, index, vog)
        except Exception as error:
            if is_out_of_memory(error) or isinstance(error, CheckError):
                raise
            cause = error
        places = {int(row): at for at, row in enumerate(batch.rows)}

        def alone(rows: np.ndarray) -> Any:
            at = places[int(rows[0])]
            one = InputGradients(self.engine.model) if vog is not None else None
            return self.engine.score(batch.part(at, at + 1), index, one)

        raise self._culprits(batch.rows, cause, alone, batch.ids) from cause

    def _culprits(
        self, rows: np.ndarray, cause: Exception, attempt: Any, ids: np.ndarray | None = None
    ) -> Exception:
        """Return the error that names which of `rows` fail alone; the cause where none or all."""
        found: dict[int, tuple[str, str]] = {}
        for at, row in enumerate(rows):
            try:
                attempt(rows[at : at + 1])
            except Exception as error:
                known = ids if ids is not None else getattr(self.source, "ids", None)
                name = str(row) if known is None else str(known[at if ids is not None else row])
                reason = " ".join(str(error).split())
                if not isinstance(error, ScalekitError):
                    reason = f"{type(error).__name__}: {reason}"
                found[int(row)] = (name, reason)
        same = len({reason for _, reason in found.values()}) == 1
        if not found or (same and len(found) == len(rows) and len(rows) > 1):
            return cause
        return BadExamplesError(found)

    def _halve(self, piece: int) -> None:
        self.batch_size = max(1, piece // 2)
        self.notes[:] = [note for note in self.notes if note.code != "batch_halved"]
        self.notes.append(
            Note("batch_halved", "info",
                 f"Memory ran out: the batch was halved, down to {self.batch_size}.")
        )  # fmt: skip


class BatchState:
    """What is kept of a batch while checkpoints go by: sums, sums of squares, moments."""

    def __init__(self, ids: np.ndarray, labels: Any, engine: Engine) -> None:
        self._ids, self._labels, self._engine = ids, np.asarray(labels), engine
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.count = 0
        self._sum: dict[str, np.ndarray] = {}
        self._squares: dict[str, np.ndarray] = {}
        self._vogs: list[InputGradients] = []

    @property
    def begun(self) -> bool:
        """Whether a checkpoint has been added."""
        return self.count > 0

    def vog(self, k: int) -> InputGradients | None:
        """Return the running moments of part k, where they are asked for."""
        if not self._engine.plan.wants_inputs:
            return None
        while len(self._vogs) <= k:
            self._vogs.append(InputGradients(self._engine.model))
        return self._vogs[k]

    def add(self, parts: list[dict[str, np.ndarray]]) -> None:
        """Add the columns of one checkpoint, given in parts."""
        self.count += 1
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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on the host or on a device."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "can't allocate memory" in text)
    )


def activation_bytes(engine: Engine, batch: Batch) -> int:
    """Return the bytes that one batch needs beside the model: inputs and kept activations."""
    import torch

    from scalekit.selectors.scores.inputs import call_model

    total = 0
    seen: set[int] = set()

    def keep(tensor: Any) -> Any:
        nonlocal total
        if tensor.data_ptr() not in seen and not isinstance(tensor, torch.nn.Parameter):
            seen.add(tensor.data_ptr())
            total += tensor.numel() * tensor.element_size()
        return tensor

    engine.use_checkpoint(0)
    inputs, _ = engine.ready(batch)
    map_tensors(keep, inputs)
    if engine.plan.is_forward_only:
        return 3 * total
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        call_model(engine.model, inputs)
    return 2 * total
