"""`scalekit distance`: how far one data set is from another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Level, Output, Seed, deliver, handled


@handled
def distance(
    a: Annotated[Path, typer.Argument(help="Features: .npy, .npz, .parquet, .csv or .tsv.")],
    b: Annotated[Path, typer.Argument(help="Features of the other data set.")],
    method: Annotated[str, typer.Option(help="auto, exact, entropic or sliced.")] = "auto",
    cost: Annotated[str, typer.Option(help="features, or labels (OTDD).")] = "features",
    directions: Annotated[int, typer.Option(help="Directions of the sliced distance.")] = 100,
    level: Level = 0.95,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Optimal-transport distance between two feature files, exact where it can be."""
    from typing import Any, cast

    from scalekit.selectors.transport.measure import distance as measure

    found = measure(
        a, b, cast(Any, method), cost, directions=directions, confidence_level=level, rng=seed
    )
    deliver(found, as_json, output)
