"""A run of scoring before it starts: what is scored by what, its plan, its time and memory."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.selectors.scores.batch import Batch
from scalekit.selectors.scores.checkpoints import Checkpoint, hash_model, hash_state, read_state
from scalekit.selectors.scores.columns import Prepare
from scalekit.selectors.scores.engine import Engine
from scalekit.selectors.scores.factory import load_factory
from scalekit.selectors.scores.inputs import call_model, map_tensors
from scalekit.selectors.scores.plan import FORWARD, Plan, compile_plan
from scalekit.selectors.scores.shards import ShardScorer
from scalekit.selectors.scores.sources import Source, as_source, is_arrays
from scalekit.selectors.scores.store import header_of

if TYPE_CHECKING:
    from torch.nn import Module

SHARD_ROWS, SHARD_ROWS_WITH_INPUTS = 65536, 4096
MEMORY_BUDGET = 4 * 2**30


@dataclass(frozen=True)
class Job:
    """A run, ready to start: what to score, by what, in which shards."""

    scorer: ShardScorer
    source: Source
    header: dict[str, Any]
    shard_rows: int

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """Yield shard number and rows; without an end for a stream."""
        first = k = 0
        while self.source.n is None or first < self.source.n:
            last = first + self.shard_rows
            yield k, first, last if self.source.n is None else min(last, self.source.n)
            first, k = last, k + 1


def make_job(
    data: Any,
    model: Any,
    scores: Sequence[str],
    labels: Any = None,
    ids: Any = None,
    checkpoints: Sequence[Checkpoint] = (),
    learning_rates: Sequence[float] = (),
    reference: Any = None,
    prepare: Prepare | None = None,
    label: str | None = None,
    inputs: Sequence[str] | None = None,
    id: str | None = None,  # noqa: A002
    device: str = "cpu",
    dtype: str = "float32",
    batch_size: int = 64,
    memory_budget: int = MEMORY_BUDGET,
    shard_rows: int | None = None,
    skip_bad: bool = False,
    check: bool = True,
    loop_params: Sequence[str] = (),
    per_layer: bool = False,
    compile: bool = False,  # noqa: A002
    seed: int = 0,
) -> Job:
    """Return the run that `score` describes, its model loaded and its data opened."""
    code = Path(model.rpartition(":")[0]) if isinstance(model, str) else None
    model, made = load_factory(model) if isinstance(model, str) else (model, None)
    checkpoints, learning_rates = list(checkpoints), list(learning_rates)
    if learning_rates and len(learning_rates) != max(1, len(checkpoints)):
        raise InputError(
            f"There are {len(learning_rates)} learning rates for {max(1, len(checkpoints))} "
            "checkpoints. Give one each."
        )
    if not all(0 <= rate < np.inf for rate in learning_rates):
        raise InputError(f"Learning rates must be 0 or more; got {learning_rates}.")
    sizes = {"batch_size": batch_size, "shard_rows": shard_rows, "memory_budget": memory_budget}
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise InputError(f"{name} must be at least 1; got {size}.")
    plan = compile_plan(scores, max(1, len(checkpoints)), reference is not None)
    read: dict[str, Any] = {"prepare": prepare or made, "label": label, "inputs": inputs, "id": id}
    source = as_source(data, labels, ids, **read)
    against = source
    if reference is not None:
        against = as_source(reference, **({} if is_arrays(reference) else read))
    if plan.directed and against.n is None:
        raise InputError("A mean gradient needs a data set with a length, not a stream.")
    known = f"{type(model).__name__} {hash_model(model, code, weights=not checkpoints)}"
    if compile:
        model = compiled(model, plan)
    rows = shard_rows or (SHARD_ROWS_WITH_INPUTS if plan.wants_inputs else SHARD_ROWS)
    engine = Engine(
        model, plan, checkpoints, learning_rates, device, dtype, seed,
        loop_params=tuple(loop_params), per_layer=per_layer, check=check,
        reference_is_data=reference is None,
    )  # fmt: skip
    scorer = ShardScorer(engine, source, batch_size, skip_bad)
    engine.reference = functools.partial(scorer.visit, against)
    header = header_of(
        scores=list(plan.columns), source=source.name, n_rows=source.n, data=source.fingerprint(),
        model=known, columns={"label": label, "inputs": inputs and list(inputs), "id": id},
        checkpoints=[hash_state(read_state(c)) for c in checkpoints],
        learning_rates=learning_rates, dtype=dtype, seed=seed, shard_rows=rows,
        reference=None if reference is None else against.fingerprint(),
        sketch_width=engine.sketch_width, per_layer=per_layer,
    )  # fmt: skip
    fit_memory(scorer, memory_budget)
    return Job(scorer, source, header, rows)


def compiled(model: Module, plan: Plan) -> Module:
    """Return the model compiled, where only its forward pass is needed."""
    import torch

    if not plan.is_forward_only or plan.wants_head:
        raise InputError(
            "compile helps scores of a forward pass only (loss, el2n, margin, ...): gradient "
            "norms and grand_last look at single operations. Leave compile out for these."
        )
    made: Module = torch.compile(model)  # type: ignore[assignment]
    return made


def fit_memory(scorer: ShardScorer, budget: int) -> None:
    """Make the batch as small as the memory budget asks."""
    batch = first_batch(scorer)
    if batch is None:
        return
    try:
        need = activation_bytes(scorer.engine, batch)
    except Exception:  # the run itself will say what is wrong, with the example's id
        return
    if need > budget and len(batch) > 1:
        scorer.batch_size = max(1, int(len(batch) * budget / need))
        scorer.notes.append(
            Note("batch_fitted", "info",
                 f"A batch of {len(batch)} would take about {need / 2**20:,.0f} MiB; batches of "
                 f"{scorer.batch_size} keep to the budget of {budget / 2**20:,.0f} MiB.")
        )  # fmt: skip


def first_batch(scorer: ShardScorer) -> Batch | None:
    """Return the first examples, or None where they cannot be read or there are none."""
    size = scorer.batch_size if scorer.source.n is None else min(scorer.batch_size, scorer.source.n)
    if size == 0:
        raise InputError("The data set is empty. Give at least one example.")
    try:
        return scorer.source.read(np.arange(size))
    except Exception:
        return None


def foresee(job: Job) -> str:
    """Return the plan as text, with the time and memory that one batch takes."""
    scorer = job.scorer
    plan, batch = scorer.engine.plan, first_batch(scorer)
    if batch is None:
        return plan.describe(job.source.n)
    try:
        forward = replace(scorer.engine, plan=compile_plan(["loss"]), checkpoints=())
        scorer.engine.use_checkpoint(0)
        seconds = typical_seconds(lambda: forward.score(batch)) / FORWARD * plan.cost / len(batch)
        memory = activation_bytes(scorer.engine, batch)
    except Exception:
        return plan.describe(job.source.n)
    return plan.describe(job.source.n, seconds, memory)


def typical_seconds(run: Callable[[], object], budget: float = 1.0) -> float:
    """Return the median time of `run` after a first call: of 7 calls, fewer where they are slow."""
    run()
    times: list[float] = []
    while len(times) < 7 and sum(times) < budget:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def activation_bytes(engine: Engine, batch: Batch) -> int:
    """Return the bytes that one batch needs beside the model: inputs and kept activations."""
    import torch

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
