"""`scalekit transferability`: rank models by their features of a labelled data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Level, Output, Seed, deliver, handled
from scalekit.errors import InputError


@handled
def transferability(
    features: Annotated[
        list[Path], typer.Argument(help="Features, one file a model, rows alike: .npy or table.")
    ],
    labels: Annotated[Path, typer.Option(help="CSV or Parquet with a column label.")],
    measure: Annotated[
        list[str] | None,
        typer.Option(
            help="logme, h_score, h_score_regularised, transrate, tmi; with predictions leep, nce."
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(help="Source class probabilities, one file a model, in their order."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    level: Level = 0.95,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Score how well each model's features suit the labels, without training."""
    from scalekit.selectors.prototypes.features import open_features
    from scalekit.selectors.pruning.opening import read_labels
    from scalekit.selectors.transferability.ranking import DEFAULT
    from scalekit.selectors.transferability.ranking import transferability as rank

    models = {path.stem: open_features(path) for path in features}
    if len(models) < len(features):
        raise InputError(
            f"Models are named by their files, and two files have one name: "
            f"{', '.join(path.stem for path in features)}. Rename one."
        )
    target = read_labels(labels)
    if dry_run:
        for name, table in models.items():
            typer.echo(f"{name}: {table.shape[0]:,} examples of {table.shape[1]} dimensions")
        typer.echo(f"{len(target):,} labels; measures: {', '.join(measure or DEFAULT)}; nothing is "
                   "written")  # fmt: skip
        return
    if predictions and len(predictions) != len(features):
        raise InputError(
            f"There are {len(features)} files of features and {len(predictions)} of --predictions; "
            "give one for each model, in the same order."
        )
    outputs = {
        name: open_features(path) for name, path in zip(models, predictions or [], strict=False)
    }
    found = rank(models, target, measure=measure or list(DEFAULT), predictions=outputs,
                 confidence_level=level, rng=seed)  # fmt: skip
    deliver(found, as_json, output)
