"""The recorder: training dynamics from an unmodified loop, by two hooks and an id column.

The batch carries an extra entry (`example_id`) which the recorder takes out before the model sees
it. What the model returns is compared with the labels, and one row per example and step goes to
Parquet. Works in a plain loop, under Hugging Face's Trainer (`recorder.callback()`) and Lightning.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError, OutputError
from scalekit.files import write_atomically
from scalekit.selectors.scores.inputs import call_model, logits_of
from scalekit.selectors.scores.outputs import IGNORED, OUTPUT_SCORES, Predictions

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

RECORDED = ("loss", "p_true", "margin", "el2n", "correct")
COLUMNS = ("id", "step", "epoch", "dense", *RECORDED)


class Recorder:
    """Records loss, p_true, margin, EL2N and correctness of every example that is trained on.

    `folder` receives Parquet files, one a flush and a rank (by default that of torch.distributed,
    or $RANK), so that several processes may write. A pre-forward hook takes `id_key` out of the
    model's keyword arguments; where the model is called with plain tensors, announce the batch by
    `recorder.batch(ids, labels)` before the call. Only forward passes in training mode count, and
    of their examples those with a label (not -100). Everything is written by `close()`, or on
    leaving a `with` block. A stopped training that begins again at epoch e goes on in its folder
    with `from_epoch=e`: what was recorded of that epoch and later ones is deleted.

    >>> import tempfile, torch
    >>> model = torch.nn.Linear(2, 3)
    >>> with Recorder(model, tempfile.mkdtemp()) as recorder:
    ...     recorder.batch([7, 9], torch.tensor([0, 2]))
    ...     _ = model(torch.randn(2, 2))
    >>> recorder.rows
    2
    """

    def __init__(
        self,
        model: Module,
        folder: str | Path,
        *,
        id_key: str = "example_id",
        label_key: str = "labels",
        rank: int | None = None,
        flush_rows: int = 2**18,
        from_epoch: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.rank = own_rank() if rank is None else rank
        self._id_key, self._label_key, self._flush_rows = id_key, label_key, flush_rows
        self._ids: Any = None
        self._labels: Any = None
        self._rows: list[tuple[np.ndarray, Tensor]] = []
        self._names: list[np.ndarray] = []
        self._held = 0
        self.rows = self.step = self.epoch = self._parts = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make {self.folder}: {error.strerror}.") from error
        mine = sorted(self.folder.glob(f"dynamics-{self.rank:03d}-*.parquet"))
        if mine and from_epoch is None:
            raise OutputError(
                f"{self.folder} holds recorded dynamics of rank {self.rank} already. Choose "
                "another folder for another run; go on with a stopped one by from_epoch=..."
            )
        if from_epoch is not None:
            self._go_on(mine, from_epoch)
        self._handles = [
            model.register_forward_pre_hook(self._before, with_kwargs=True),
            model.register_forward_hook(self._after, with_kwargs=True),
        ]

    def _go_on(self, files: Sequence[Path], epoch: int) -> None:
        """Keep what was recorded before `epoch`, delete the rest, and count on from there."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        self.epoch = epoch
        for path in files:
            table = pq.read_table(path)
            kept = table.filter(pc.less(table["epoch"], epoch))
            if not len(kept):
                path.unlink()
                continue
            self.step = max(self.step, pc.max(kept["step"]).as_py() + 1)
            self._parts = int(path.stem.split("-")[2]) + 1
            if len(kept) < len(table):
                write_atomically(path, functools.partial(pq.write_table, kept))

    def batch(self, ids: Any, labels: Any) -> None:
        """Announce the ids and labels of the batch that the model is called with next."""
        self._ids, self._labels = ids, labels

    def _before(self, module: Module, args: Any, kwargs: dict[str, Any]) -> Any:
        if self._id_key in kwargs:
            kwargs = dict(kwargs)
            self._ids = kwargs.pop(self._id_key)
            self._labels = self._labels_for(module, kwargs)
        elif len(args) == 1 and isinstance(args[0], Mapping) and self._id_key in args[0]:
            inner = dict(args[0])
            self._ids = inner.pop(self._id_key)
            self._labels = self._labels_for(module, inner)
            args = (inner,)
        return args, kwargs

    def _labels_for(self, module: Module, batch: Mapping[str, Any]) -> Any:
        """Return the labels of the batch; a causal model of Hugging Face moves them by one."""
        import torch

        if self._label_key not in batch:
            return self._labels
        labels = batch[self._label_key]
        name = type(module).__name__
        if hasattr(module, "config") and ("ForCausalLM" in name or name.endswith("LMHeadModel")):
            labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
        return labels

    def _after(self, module: Module, args: Any, kwargs: Any, output: Any) -> None:
        ids, labels, self._ids, self._labels = self._ids, self._labels, None, None
        if ids is None or not module.training:
            return
        if labels is None:
            raise InputError(
                f"The batch has ids but no '{self._label_key}'. Name its labels with label_key, "
                "or announce the batch with recorder.batch(ids, labels)."
            )
        self.add(ids, logits_of(output), labels)
        self.step += 1

    def add(self, ids: Any, logits: Tensor, labels: Any, dense: bool = False) -> None:
        """Add one row an example at the current step: from logits [B, C], labels [B]."""
        import torch

        labels = torch.as_tensor(labels).to(logits.device)
        if labels.is_floating_point():
            raise InputError(
                f"Labels are real numbers ({labels.dtype}), as soft or mixed labels are; what is "
                "recorded is about one class, 0..C-1. Announce it: recorder.batch(ids, labels)."
            )
        with torch.no_grad():
            at = Predictions(logits.detach(), labels.long())
            values = torch.stack([OUTPUT_SCORES[name](at).float() for name in RECORDED])
        names = np.asarray(ids.detach().cpu() if hasattr(ids, "detach") else ids)
        if len(names) != at.n:
            raise InputError(f"There are {len(names)} ids for a batch of {at.n}.")
        kept = at.valid.any(1)
        names, values = names[kept.cpu().numpy()], values[:, kept]
        steps = np.full((3, len(names)), [[self.step], [self.epoch], [int(dense)]])
        self._rows.append((steps, values))
        self._names.append(names)
        self._held += len(names)
        self.rows += len(names)
        if self._held >= self._flush_rows:
            self.flush()

    def snapshot(
        self, model: Module, batches: Callable[[], Any] | Sequence[Any], every: int = 1
    ) -> None:
        """Score (ids, inputs, labels) batches now, in eval mode: the dense cadence.

        Call it after each step; it does its work at every `every`-th. Fine-tuning forgets too
        fast for one look an epoch.
        """
        import torch

        if self.step % every:
            return
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                for ids, inputs, labels in batches() if callable(batches) else batches:
                    self.add(ids, call_model(model, inputs), labels, dense=True)
        finally:
            model.train(was_training)

    def end_epoch(self) -> None:
        """Count an epoch and write what is held."""
        self.epoch += 1
        self.flush()

    def flush(self) -> None:
        """Write what is held to one Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq
        import torch

        if not self._rows:
            return
        steps = np.concatenate([steps for steps, _ in self._rows], axis=1)
        values = torch.cat([values for _, values in self._rows], dim=1).cpu().numpy()
        columns: dict[str, Any] = {
            "id": np.concatenate(self._names),
            "step": steps[0].astype(np.int32),
            "epoch": steps[1].astype(np.int32),
            "dense": steps[2].astype(bool),
        }
        columns |= dict(zip(RECORDED, values, strict=True))
        columns["correct"] = columns["correct"].astype(np.float32)
        path = self.folder / f"dynamics-{self.rank:03d}-{self._parts:05d}.parquet"
        if path.exists():
            raise OutputError(
                f"{path} was written by another recorder in the meantime. Give each process its "
                "own rank=..., and each run its own folder."
            )
        table = pa.table(columns)
        write_atomically(path, lambda file: pq.write_table(table, file, compression="zstd"))
        self._rows, self._names, self._held = [], [], 0
        self._parts += 1

    def close(self) -> None:
        """Write what is held and take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self.flush()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def callback(self) -> Any:
        """Return a callback for Hugging Face's Trainer that counts epochs and writes.

        Give the Trainer `remove_unused_columns=False`, so that the id column reaches the model.
        """
        from scalekit.errors import require

        base = require("transformers", "hf", "The Trainer's callback").TrainerCallback
        recorder = self

        class Flush(base):  # type: ignore[misc, valid-type]
            def on_epoch_end(self, *_: Any, **__: Any) -> None:
                recorder.end_epoch()

            def on_train_end(self, *_: Any, **__: Any) -> None:
                recorder.close()

        return Flush()

    def lightning_callback(self) -> Any:
        """Return a Lightning callback; batches are dictionaries, or (inputs, labels, ids)."""
        from scalekit.errors import require

        base = require("lightning.pytorch", "lightning", "The Lightning callback").Callback
        recorder = self

        class Flush(base):  # type: ignore[misc, valid-type]
            def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, _: int) -> None:
                if isinstance(batch, (tuple, list)) and len(batch) == 3:
                    recorder.batch(batch[2], batch[1])
                elif isinstance(batch, Mapping) and recorder._id_key in batch:
                    recorder.batch(batch[recorder._id_key], batch[recorder._label_key])

            def on_train_epoch_end(self, *_: Any) -> None:
                recorder.end_epoch()

            def on_train_end(self, *_: Any) -> None:
                recorder.close()

        return Flush()


def own_rank() -> int:
    """Return the rank of this process in a distributed run, 0 outside one."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    return int(os.environ.get("RANK", "0"))
