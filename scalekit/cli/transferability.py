"""`scalekit transferability`: rank models by their features of a labelled data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Level, Output, Seed, deliver, handled


@handled
def transferability(
    features: Annotated[
        list[Path], typer.Argument(help="Features, one file a model, rows alike: .npy or table.")
    ],
    labels: Annotated[Path, typer.Option(help="CSV or Parquet with a column label.")],
    measure: Annotated[
        list[str] | None, typer.Option(help="logme, h_score, h_score_regularised, transrate, tmi.")
    ] = None,
    level: Level = 0.95,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Score how well each model's features suit the labels, without training."""
    from scalekit.cli.files import read_plain_table
    from scalekit.selectors.prototypes.features import open_features
    from scalekit.selectors.transferability.ranking import DEFAULT
    from scalekit.selectors.transferability.ranking import transferability as rank

    models = {path.stem: open_features(path) for path in features}
    target = read_plain_table(labels)["label"].to_numpy()
    found = rank(models, target, measure=measure or list(DEFAULT), confidence_level=level, rng=seed)
    deliver(found, as_json, output)
