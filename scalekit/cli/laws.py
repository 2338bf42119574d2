"""`scalekit laws`: the catalogue of laws, and the published constants."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scalekit.cli.common import Json, handled


@handled
def laws(
    name: Annotated[str | None, typer.Argument(help="Show one law in full.")] = None,
    published: Annotated[
        bool, typer.Option("--published", help="List the published laws instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the laws that can be fitted, or the published ones."""
    from scalekit.files import to_json

    rows = _published_rows() if published else _law_rows(name)
    if as_json:
        typer.echo(to_json(rows))
    elif name and not published:
        typer.echo("\n".join(f"{key:<11}{value}" for key, value in rows[0].items()))
    else:
        width = max(len(row["name"]) for row in rows)
        for row in rows:
            typer.echo(f"{row['name']:<{width}}  {row['formula']}")
            typer.echo(f"{'':<{width}}  {row.get('domain') or row.get('values')}")
            typer.echo(f"{'':<{width}}  {row['source']}")


def _law_rows(name: str | None) -> list[dict[str, Any]]:
    from scalekit.fitters.laws import as_law
    from scalekit.fitters.laws import laws as catalogue

    chosen = (as_law(name),) if name else catalogue()
    return [
        {
            "name": law.name,
            "formula": f"0 = {law.formula}" if law.between else law.formula,
            "scales": ", ".join(law.scales),
            "parameters": ", ".join(law.names),
            "domain": law.domain,
            "source": law.source,
        }
        for law in chosen
    ]


def _published_rows() -> list[dict[str, Any]]:
    from scalekit.fitters.published import PUBLISHED

    return [
        {
            "name": f"published:{entry.name}",
            "formula": entry.law.formula,
            "values": ", ".join(f"{name}={value:.8g}" for name, value in entry.values.items()),
            "response": entry.response,
            "source": entry.source,
        }
        for entry in PUBLISHED.values()
    ]
