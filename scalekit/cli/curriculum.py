"""`scalekit curriculum`: an order of examples and its pacing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Output, Seed, deliver, handled


@handled
def curriculum(
    scores: Annotated[Path, typer.Argument(help="Folder of scores, or a table with id.")],
    steps: Annotated[int, typer.Option(help="Steps of training.")],
    by: Annotated[str | None, typer.Option(help="Score that orders.")] = None,
    order: Annotated[str, typer.Option(help="curriculum, anti or random.")] = "curriculum",
    pace: Annotated[
        str,
        typer.Option(help="linear, quadratic, root, exponential, logarithmic, step or standard."),
    ] = "linear",
    full_at: Annotated[float, typer.Option(help="When all data are in use, as a share.")] = 0.8,
    start: Annotated[float, typer.Option(help="Share of the data in use at first.")] = 0.2,
    batch: Annotated[int, typer.Option(help="Examples a step.")] = 128,
    higher_is: Annotated[
        str | None, typer.Option(help="What a large score means: hard or easy.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show, write nothing.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Make a curriculum: how many examples are in use at every step, easiest first."""
    from scalekit.selectors.curriculum import curriculum as make

    made = make(scores, steps, by=by, order=order, pace=pace, full_at=full_at, start=start,
                batch=batch, higher_is=higher_is, rng=seed)  # fmt: skip
    deliver(made, as_json, None if dry_run else output)
