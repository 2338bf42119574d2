"""`scalekit agreement`: do scores agree, and which labels do they call wrong?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Level, Output, Seed, deliver, handled


@handled
def agreement(
    scores: Annotated[
        list[Path],
        typer.Argument(help="Folder of scores, or a table with id; several are seeds of one."),
    ],
    top: Annotated[float, typer.Option(help="Share of the hardest that is compared.")] = 0.1,
    mislabelled: Annotated[
        str | None,
        typer.Option(help="Instead, suspect labels: gmm (loss), pvi, or vote."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    level: Level = 0.95,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Compare scores and seeds: rank correlations, overlaps against chance, suspected labels."""
    from scalekit.selectors import agreement as room
    from scalekit.selectors.pruning.tables import open_table

    if dry_run:
        frames = [open_table(one) for one in scores]
        shown = [c for c in frames[0] if c not in ("id", "label")]
        typer.echo(f"{len(frames)} table(s) of {len(frames[0]):,} examples; scores: "
                   f"{', '.join(map(str, shown))}; nothing is written")  # fmt: skip
        return
    if mislabelled is not None:
        deliver(room.mislabelled(open_table(scores[0]), mislabelled), as_json, output)
        return
    source = scores[0] if len(scores) == 1 else scores
    found = room.agreement(source, top, confidence_level=level, rng=seed)
    deliver(found, as_json, output)
