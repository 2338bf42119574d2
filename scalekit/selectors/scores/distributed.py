"""More than one process or machine: Ray Data hands shards to actors that hold the model.

The actors write the same shards as the plain runner, atomically, so a worker that dies loses only
the shard it was at (Ray gives it to another), and a driver that dies is followed by `resume`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scalekit.errors import InputError, OutputError, ScalekitError, require
from scalekit.notes import Note
from scalekit.selectors.scores.jobs import SHARD_ROWS, Job, make_job
from scalekit.selectors.scores.scoring import notes_of
from scalekit.selectors.scores.store import Store
from scalekit.selectors.scores.table import ScoreTable, open_scores

SHARDS_PER_WORKER = 8  # so that a worker that dies loses little


class ShardActor:
    """Holds the model and the opened data, and scores the shards it is given."""

    def __init__(self, options: dict[str, Any], out: str) -> None:
        self._job: Job = make_job(**options)
        self._store = Store(out, self._job.header)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Score and write the shards in `batch`; return their numbers, errors and notes."""
        errors, told = [], []
        for k, first, last in zip(batch["k"], batch["first"], batch["last"], strict=True):
            error = ""
            try:
                if not self._store.has(int(k)):
                    shard = self._job.scorer.score(int(first), int(last))
                    self._store.write(int(k), shard)
            except ScalekitError as found:  # told by the driver; anything else Ray retries
                error = f"{type(found).__name__}: {found}"
            errors.append(error)
            told.append(
                "\x1e".join(f"{n.code}\x1f{n.severity}\x1f{n.message}" for n in notes_of(self._job))
            )
        return {"k": batch["k"], "error": errors, "notes": told}


def score_by_ray(
    options: dict[str, Any], out: str | Path | None, resume: bool, workers: int
) -> ScoreTable:
    """Score by `workers` Ray actors (one GPU each where the device is cuda); see `score`.

    Raises MissingDependencyError without Ray, InputError without a folder or for a stream.
    """
    ray = require("ray", "ray", "engine='ray'")
    require("ray.data", "ray", "engine='ray'")
    if out is None:
        raise InputError("engine='ray' writes shards: give out=... (-o).")
    if workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}.")
    folder = Path(out).resolve()
    job = make_job(**options)
    if job.source.n is None:
        raise InputError("engine='ray' needs a data set with a length, not a stream.")
    if options.get("shard_rows") is None:
        even = -(-job.source.n // (workers * SHARDS_PER_WORKER))
        options = {**options, "shard_rows": max(1, min(SHARD_ROWS, even))}
        job = make_job(**options)
    store = Store.open(folder, job.header, resume)
    tasks = [{"k": k, "first": first, "last": last} for k, first, last in job.ranges()]
    todo = [task for task in tasks if not store.has(task["k"])]
    rows = run_tasks(ray, todo, options, str(folder), workers) if todo else []
    failed = [row["error"] for row in rows if row["error"]]
    if failed:
        raise OutputError(
            f"{len(failed)} of {len(todo)} shards failed; the first: {failed[0]} The others are "
            "kept; go on with resume=True (--resume)."
        )
    store.finish(len(tasks), [note.to_dict() for note in merged_notes(rows)])
    return open_scores(folder)


def run_tasks(
    ray: Any, tasks: list[dict[str, int]], options: dict[str, Any], out: str, workers: int
) -> list[dict[str, Any]]:
    """Return one row a shard, once all are written."""
    started = not ray.is_initialized()
    on_gpu = str(options["device"]).startswith("cuda")
    if started:
        ray.init(num_cpus=None if on_gpu else workers + 1, include_dashboard=False,
                 log_to_driver=False)  # fmt: skip
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    try:
        shards = ray.data.from_items(tasks, override_num_blocks=len(tasks))
        done = shards.map_batches(
            ShardActor,
            fn_constructor_args=(options, out),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_gpus=1 if on_gpu else 0,
            num_cpus=None if on_gpu else 1,
        )
        return list(done.take_all())
    finally:
        if started:
            ray.shutdown()


def merged_notes(rows: list[dict[str, Any]]) -> list[Note]:
    """Return the notes of all workers, each once."""
    lines = {line for row in rows for line in row["notes"].split("\x1e") if line}
    pairs = (line.split("\x1f") for line in sorted(lines))
    return [Note(*parts) for parts in pairs]
