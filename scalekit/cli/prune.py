"""`scalekit prune`: from scores to the ids that stay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Output, Seed, deliver, handled
from scalekit.errors import InputError


@handled
def prune(
    scores: Annotated[
        list[Path],
        typer.Argument(help="Folder of scores, or a table with id; several are seeds of one."),
    ],
    keep: Annotated[float, typer.Option(help="Share of the examples that stays.")],
    by: Annotated[str | None, typer.Option(help="Score that decides, or 'prototypes'.")] = None,
    side: Annotated[
        str,
        typer.Option(help="auto, hard, easy, stratified, window, probabilistic or random."),
    ] = "auto",
    higher_is: Annotated[
        str | None, typer.Option(help="What a large score means: hard or easy.")
    ] = None,
    balance: Annotated[str | None, typer.Option(help="'label': the same share a class.")] = None,
    class_floor: Annotated[
        float, typer.Option(help="Part of its share that every class keeps at least.")
    ] = 0.5,
    quota: Annotated[
        list[str] | None, typer.Option(help="class=number to keep; one for each class.")
    ] = None,
    cutoff: Annotated[
        float, typer.Option(help="Share of the hardest dropped first (window, stratified).")
    ] = 0.0,
    features: Annotated[
        Path | None, typer.Option(help="Features, for prototypes and --deduplicate: .npy or table.")
    ] = None,
    deduplicate: Annotated[
        float | None, typer.Option(help="Drop copies nearer than this (cosine distance) first.")
    ] = None,
    learning_curve: Annotated[
        Path | None, typer.Option(help="Table with n,error at three sizes, for --side auto.")
    ] = None,
    trials: Annotated[
        Path | None, typer.Option(help="Table with side,keep,error of prunings of a smaller pool.")
    ] = None,
    chance: Annotated[
        float | None, typer.Option(help="Error of guessing: 0.9 for ten classes.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show, write nothing.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Choose which examples to keep; -o keep.parquet writes their ids, and a manifest beside."""
    from scalekit.selectors.pruning.choosing import prune as choose

    found = choose(
        scores[0] if len(scores) == 1 else scores,
        keep,
        by=by,
        side=side,
        higher_is=higher_is,
        balance=balance,
        class_floor=class_floor,
        quotas=_quotas(quota),
        cutoff=cutoff,
        features=features,
        deduplicate=deduplicate,
        learning_curve=learning_curve,
        trials=trials,
        chance=chance,
        rng=seed,
    )
    deliver(found, as_json, None if dry_run else output)


def _quotas(said: list[str] | None) -> dict[str, int] | None:
    """Return what --quota says: how many examples of each class to keep."""
    if not said:
        return None
    found = {}
    for entry in said:
        label, _, number = entry.rpartition("=")
        if not label or not number.strip().isdigit():
            raise InputError(f"--quota '{entry}' is not class=number, as in cat=500.")
        found[label.strip()] = int(number)
    return found
