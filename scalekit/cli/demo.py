"""`scalekit demo`: fit the bundled logs, forecast a larger run, write the plot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Seed, deliver, handled


@handled
def demo(
    folder: Annotated[
        Path, typer.Option("--folder", "-d", help="Where to write demo.png, .svg and .json.")
    ] = Path("scalekit-demo"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fit the bundled runs of small transformers, forecast one ten times larger, plot both."""
    from scalekit.data import example_runs
    from scalekit.fitters import fit

    folder.mkdir(parents=True, exist_ok=True)
    runs = example_runs(quiet=False).select("group", "cosine")
    largest = runs.frame[["params", "tokens"]].max()
    found = fit(runs, "chinchilla", rng=seed).with_predictions(
        params=3 * largest["params"], tokens=3 * largest["tokens"]
    )
    deliver(found, as_json, [folder / f"demo{suffix}" for suffix in (".png", ".svg", ".json")])
