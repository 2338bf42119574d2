"""`scalekit prototypes`: distances to prototypes, or near copies, of a file of features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Output, Seed, deliver, handled


@handled
def prototypes(
    features: Annotated[
        Path, typer.Argument(help="Features (examples, dimensions): .npy, or a table with ids.")
    ],
    k: Annotated[int | None, typer.Option("-k", help="How many clusters.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV with a column label: class means instead.")
    ] = None,
    metric: Annotated[str, typer.Option(help="cosine or euclidean.")] = "cosine",
    copies: Annotated[
        float | None, typer.Option(help="Instead, find copies nearer than this cosine distance.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Cluster features; -o d.parquet writes a score that `scalekit prune --by prototypes` reads."""
    from scalekit.selectors import prototypes as room
    from scalekit.selectors.prototypes.features import open_embedding
    from scalekit.selectors.pruning.opening import read_labels

    table, ids = open_embedding(features)
    if dry_run:
        rows, wide = table.shape
        typer.echo(f"{rows:,} examples of {wide} dimensions, {table.nbytes / 2**20:,.0f} MiB; "
                   "read in parts, nothing is written")  # fmt: skip
        return
    if copies is not None:
        near = room.near_duplicates(table, copies, ids=ids, device=device, rng=seed)
        deliver(near, as_json, output)
        return
    names = None if labels is None else read_labels(labels)
    found = room.prototypes(table, k, names, ids=ids, metric=metric, device=device, rng=seed)
    deliver(found, as_json, output)
