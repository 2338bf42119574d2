"""`scalekit score`: score every example of a data set by a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scalekit.cli.common import Json, Seed, deliver, handled
from scalekit.errors import InputError


@handled
def score(
    data: Annotated[
        Path, typer.Argument(help="Examples: .parquet, .jsonl, .npy, .npz, or a folder of them.")
    ],
    model: Annotated[
        str,
        typer.Option(help="file.py:factory; it returns the model, or (model, prepare)."),
    ],
    scores: Annotated[str, typer.Option(help="Names of `scalekit scores`, with commas.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the shards and the manifest.")
    ],
    labels: Annotated[Path | None, typer.Option(help="Labels beside a .npy of inputs.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of labels.")] = None,
    inputs: Annotated[str | None, typer.Option(help="Columns of inputs, with commas.")] = None,
    ids: Annotated[str | None, typer.Option("--id", help="Column of ids.")] = None,
    checkpoints: Annotated[
        str | None, typer.Option(help="Files of weights, with commas; scores are their mean.")
    ] = None,
    learning_rates: Annotated[
        str | None, typer.Option(help="One a checkpoint, for TracIn, with commas.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The set of tracin_to_set and alignment.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float64.")] = "float32",
    batch_size: Annotated[int, typer.Option(help="Examples at a time.")] = 64,
    memory: Annotated[
        float, typer.Option(help="Memory budget of a batch in GiB; a larger batch is split.")
    ] = 4.0,
    shard_rows: Annotated[int | None, typer.Option(help="Rows of a shard.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out and list examples that fail.")
    ] = False,
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="A column of grand for each parameter.")
    ] = False,
    loop_params: Annotated[
        str | None,
        typer.Option(help="Parameters to count by a slow loop over examples, with commas."),
    ] = None,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    workers: Annotated[int, typer.Option(help="Processes of --engine ray.")] = 1,
    compile_model: Annotated[
        bool, typer.Option("--compile", help="torch.compile, for scores of a forward pass.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan with time and memory, and stop.")
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Score every example of a data set by a model; all scores in one pass.

    The plan with its time and memory is printed first. The file of --model is run; files of
    weights are only read.
    """
    from scalekit.selectors.scores.jobs import foresee, make_job
    from scalekit.selectors.scores.scoring import score as run

    options: dict[str, Any] = {
        "data": data,
        "model": model,
        "scores": listed(scores),
        "labels": labels,
        "label": label,
        "inputs": listed(inputs) or None,
        "id": ids,
        "checkpoints": listed(checkpoints),
        "learning_rates": numbers(learning_rates),
        "reference": reference,
        "device": device,
        "dtype": dtype,
        "batch_size": batch_size,
        "memory_budget": int(memory * 2**30),
        "shard_rows": shard_rows,
        "skip_bad": skip_bad,
        "per_layer": per_layer,
        "loop_params": listed(loop_params),
        "compile": compile_model,
        "seed": seed,
    }
    if dry_run:
        typer.echo(foresee(make_job(**options)))
        return
    table = run(**options, out=output, resume=resume, engine=engine, workers=workers, quiet=False)
    typer.echo(f"wrote {output}", err=True)
    deliver(table, as_json, None)


def numbers(text: str | None) -> list[float]:
    """Return the numbers of --learning-rates."""
    try:
        return [float(part) for part in listed(text)]
    except ValueError as error:
        raise InputError(
            f"--learning-rates {text!r}: {error}. Give numbers with commas, such as 0.1,0.01."
        ) from error


def listed(text: str | None) -> list[str]:
    """Return the parts of a text with commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]
