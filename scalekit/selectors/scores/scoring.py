"""`score`: a data set and a model in, a table of per-example scores out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.selectors.scores.checkpoints import Checkpoint, unchanged
from scalekit.selectors.scores.columns import Prepare
from scalekit.selectors.scores.jobs import MEMORY_BUDGET, Job, foresee, make_job
from scalekit.selectors.scores.shards import join
from scalekit.selectors.scores.sources import StreamSource
from scalekit.selectors.scores.store import Shard, Store
from scalekit.selectors.scores.table import ScoreTable, open_scores, table_of

if TYPE_CHECKING:
    from torch.nn import Module


def score(
    data: Any,
    *,
    model: Module | str,
    scores: Sequence[str],
    labels: Any = None,
    ids: Any = None,
    checkpoints: Sequence[Checkpoint] = (),
    learning_rates: Sequence[float] = (),
    reference: Any = None,
    prepare: Prepare | None = None,
    label: str | None = None,
    inputs: Sequence[str] | None = None,
    id: str | None = None,  # noqa: A002 (the name of the column)
    device: str = "cpu",
    dtype: str = "float32",
    batch_size: int = 64,
    memory_budget: int = MEMORY_BUDGET,
    out: str | Path | None = None,
    resume: bool = False,
    shard_rows: int | None = None,
    worker: tuple[int, int] = (0, 1),
    engine: str = "local",
    workers: int = 1,
    skip_bad: bool = False,
    check: bool = True,
    loop_params: Sequence[str] = (),
    per_layer: bool = False,
    compile: bool = False,  # noqa: A002 (torch's word)
    seed: int = 0,
    quiet: bool = True,
) -> ScoreTable:
    """Score every example of `data` by `model`, all `scores` in one pass.

    `data`: (inputs [N, ...], labels [N]) arrays or tensors (memory-mapped too), a torch or
    Hugging Face dataset (streaming too), a data frame, or the path of a .parquet, .jsonl, .npy or
    .npz file. `model`: a torch module that returns logits [B, C] (or [B, T, C]), in eval mode, or
    "file.py:factory". `prepare(columns)` makes the model's inputs from a table's columns.

    With several `checkpoints` a score is their mean, with a standard error; TracIn sums, weighted
    by `learning_rates`. With `out` the scores go to shards in that folder, and `resume` goes on
    with a run that was stopped; `worker=(r, w)` does every w-th shard, `engine="ray"` spreads the
    shards over `workers` processes. Gradient norms are checked against autograd on two examples
    of the first batch. `quiet=False` prints the plan with time and memory before it runs.

    Raises InputError on labels out of range, ids that are not unique, a model in training mode,
    NaN logits or an example that fails (`skip_bad` leaves it out and lists it); CheckError where
    gradient norms are not those of autograd; OutputError where a run cannot be resumed.

    >>> import torch
    >>> x, y = torch.randn(20, 4), torch.arange(20) % 3
    >>> table = score((x, y), model=torch.nn.Linear(4, 3), scores=["el2n", "grand"])
    >>> list(table.frame.columns)
    ['id', 'label', 'el2n', 'grand']
    """
    options = {k: v for k, v in locals().items() if k not in ("out", "resume", "worker", "engine",
                                                              "workers", "quiet")}  # fmt: skip
    with unchanged(model, weights=len(checkpoints) > 0):
        if engine == "ray":
            from scalekit.selectors.scores.distributed import score_by_ray

            return score_by_ray(options, out, resume, workers)
        if engine != "local":
            raise InputError(f"engine must be 'local' or 'ray'; got '{engine}'.")
        job = make_job(**options)
        if not quiet:
            print(foresee(job), file=sys.stderr)
        if out is None:
            return run_in_memory(job)
        store = Store.open(out, job.header, resume)
        count = run_shards(job, store, worker)
        if all(store.path(k).exists() for k in range(count)):
            store.finish(count, [note.to_dict() for note in notes_of(job)])
        elif not any(store.path(k).exists() for k in range(count)):
            message = "This worker had no shard to do, and the others have none yet."
            none = {"id": np.array([], int)}
            return table_of(none, job.header, (Note("incomplete", "error", message),))
        return open_scores(out)


def run_in_memory(job: Job) -> ScoreTable:
    """Return the scores of the whole source."""
    parts: list[Shard] = []
    for _, first, last in progress(job):
        shard = job.scorer.score(first, last)
        rows = rows_of(shard)
        if rows or shard.skipped:
            parts.append(shard)
        if rows + len(shard.skipped) < last - first:
            break
    columns = join([dict(shard.columns) for shard in parts if shard.columns])
    skipped = {name: reason for shard in parts for name, reason in shard.skipped.items()}
    if not columns:
        raise InputError("No example could be scored; the data set is empty or all of it is bad.")
    return table_of(columns, job.header, tuple(notes_of(job)), skipped)


def run_shards(job: Job, store: Store, worker: tuple[int, int]) -> int:
    """Write the shards of `worker` that are not there yet; return how many shards there are."""
    rank, world = worker
    if not 0 <= rank < world:
        raise InputError(f"worker must be (r, w) with 0 <= r < w; got {worker}.")
    count = 0
    for k, first, last in progress(job):
        short = False
        if k % world == rank and not store.has(k):
            shard = job.scorer.score(first, last)
            if not shard.columns and not shard.skipped:  # a stream ended before this shard
                assert isinstance(job.source, StreamSource)
                count = -(-job.source.furthest // job.shard_rows)
                break
            store.write(k, shard)
            short = rows_of(shard) + len(shard.skipped) < last - first
        count = k + 1
        if short:
            break
    return count


def rows_of(shard: Shard) -> int:
    """Return the number of examples in a shard."""
    return len(shard.columns["id"]) if shard.columns else 0


def progress(job: Job) -> Iterator[tuple[int, int, int]]:
    """Yield the shards behind a progress bar; quiet where stderr is no terminal."""
    from tqdm import tqdm

    total = None if job.source.n is None else -(-job.source.n // job.shard_rows)
    bar = tqdm(job.ranges(), total=total, unit="shard", disable=None, delay=2)
    yield from bar


def notes_of(job: Job) -> list[Note]:
    """Return what is to be known about how a run was made."""
    engine = job.scorer.engine
    notes = list(job.scorer.notes)
    left = job.scorer.left_out_of_reference
    if left and not engine.reference_is_data:
        some = ", ".join(f"{name} ({reason[:60]})" for name, reason in list(left.values())[:3])
        notes.append(
            Note("reference_skipped", "warning",
                 f"{len(left)} examples of the reference set are left out of its mean: {some}.")
        )  # fmt: skip
    if engine.looped:
        some = ", ".join(engine.looped[:3]) + (", ..." if len(engine.looped) > 3 else "")
        notes.append(
            Note("looped", "info",
                 f"{len(engine.looped)} parameters without a rule were counted by a loop over "
                 f"examples, which is slow: {some}.")
        )  # fmt: skip
    if engine.dtype == "bfloat16":
        notes.append(
            Note("bfloat16", "info",
                 "Scored in bfloat16: in our tests gradient norms differ from float32 by about 1% "
                 "and ranks by 1e-4 (Spearman).")
        )  # fmt: skip
    if engine.n_checkpoints > 1:
        notes.append(
            Note("checkpoints", "info",
                 f"Means over {engine.n_checkpoints} checkpoints; `_se` is their standard error.")
        )  # fmt: skip
    return notes
