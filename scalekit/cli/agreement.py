"""`scalekit agreement`: do scores agree, and which labels do they call wrong?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Level, Output, Seed, deliver, handled
from scalekit.errors import InputError


@handled
def agreement(
    scores: Annotated[
        list[Path],
        typer.Argument(help="Folder of scores, or a table with id; several are seeds of one."),
    ],
    top: Annotated[float, typer.Option(help="Share of the hardest: 0.1 is a tenth.")] = 0.1,
    mislabelled: Annotated[
        str | None,
        typer.Option(help="Instead, suspect labels: gmm (loss), aum, pvi, or vote."),
    ] = None,
    threshold_samples: Annotated[
        Path | None, typer.Option(help="Table with the ids that had a false class, for aum.")
    ] = None,
    higher_is: Annotated[
        list[str] | None,
        typer.Option(
            help="What a large score means, where it is not known: score=hard or score=easy; "
            "repeatable, or hard or easy for all."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    level: Level = 0.95,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Compare scores and seeds: rank correlations, overlaps against chance, suspected labels."""
    from scalekit.selectors import agreement as room
    from scalekit.selectors.pruning.opening import open_each, open_table

    if dry_run:
        tables = open_each(scores)
        for table in tables:
            shown = [c for c in table.frame if c not in ("id", "label")]
            typer.echo(f"{table.name}: {len(table.frame):,} examples; scores: "
                       f"{', '.join(map(str, shown))}")  # fmt: skip
        typer.echo(f"{len(tables)} table(s); nothing is written")
        return
    if mislabelled is not None:
        if len(scores) > 1:
            raise InputError(
                f"--mislabelled judges one table; got {len(scores)}. Give one, or their mean."
            )
        false = None if threshold_samples is None else open_table(threshold_samples)["id"]
        found = room.mislabelled(scores[0], mislabelled, threshold_samples=false)
        deliver(found, as_json, output)
        return
    source = scores[0] if len(scores) == 1 else scores
    told = _directions(higher_is or [])
    made = room.agreement(source, top, higher_is=told, confidence_level=level, rng=seed)
    deliver(made, as_json, output)


def _directions(said: list[str]) -> str | dict[str, str]:
    """Return what --higher-is says: one direction for all, or that of each score."""
    if len(said) == 1 and "=" not in said[0]:
        return said[0]
    found = {}
    for entry in said:
        name, equals, points = entry.rpartition("=")
        if not equals:
            raise InputError(
                f"--higher-is '{entry}': which score? Give score=hard or score=easy for each, or "
                "one direction for all."
            )
        found[name.strip()] = points.strip()
    return found
