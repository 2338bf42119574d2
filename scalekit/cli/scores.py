"""`scalekit scores`: the catalogue of per-example scores."""

from __future__ import annotations

from typing import Annotated

import typer

from scalekit.cli.common import Json, handled


@handled
def scores(
    name: Annotated[str | None, typer.Argument(help="Show one score in full.")] = None,
    as_json: Json = False,
) -> None:
    """List the per-example scores: equation, what a large value means, cost, source."""
    from scalekit.files import to_json
    from scalekit.selectors.scores.catalogue import scores as catalogue

    rows = [entry.to_dict() for entry in catalogue(name)]
    if as_json:
        typer.echo(to_json(rows))
    elif name:
        typer.echo("\n".join(f"{key:<10}{value}" for key, value in rows[0].items() if value))
    else:
        for row in rows:
            typer.echo(f"{row['name']:<19}{row['equation']}")
            typer.echo(f"{'':<19}large: {row['higher_is']}; from {row['stage']}; "
                       f"cost {row['cost']}; {row['source']}")  # fmt: skip
