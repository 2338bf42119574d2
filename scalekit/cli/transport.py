"""`scalekit transport`: which mixture of sources lies nearest to a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Output, Seed, deliver, handled, parse_pairs
from scalekit.errors import InputError

Sources = Annotated[
    list[str], typer.Option("--source", "-s", help="name=feature file; once for each source.")
]


@handled
def transport(
    source: Sources,
    target: Annotated[Path, typer.Option("--target", "-t", help="Feature file of the target.")],
    cost: Annotated[str, typer.Option(help="features, labels (OTDD) or sliced.")] = "features",
    survey: Annotated[
        bool, typer.Option("--map", help="Bounds over the whole simplex, not the nearest mixture.")
    ] = False,
    solves: Annotated[int, typer.Option(help="Most transport problems to solve.")] = 60,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Nearest mixture of sources to a target, with a certified gap. Nearest is not best."""
    from typing import Any, cast

    from scalekit.selectors.transport.mixture import mixture_transport

    problem = mixture_transport(read_sources(source), target, cast(Any, cost), seed)
    found = problem.survey(anchors=min(solves, 10)) if survey else problem.closest(1e-4, solves)
    deliver(found, as_json, output)


def read_sources(options: list[str]) -> dict[str, str]:
    """Return {name: path} from --source options; a name given twice is an error."""
    pairs = [pair for text in options for pair in parse_pairs(text, "--source").items()]
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--source names '{name}' twice. Give each source one file.")
    return dict(pairs)
