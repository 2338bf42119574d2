"""`scalekit next-runs`: which runs to buy to settle a question."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import (
    Columns,
    Json,
    Output,
    deliver,
    handled,
    parse_number,
    parse_pairs,
    parse_scales,
)


@handled
def next_runs(
    result: Annotated[Path, typer.Argument(help="A saved fit or comparison (.json).")],
    candidates: Annotated[
        Path,
        typer.Argument(
            help="Possible runs, one row each: a table with flops, or params and tokens; a column "
            "cost prices them otherwise."
        ),
    ],
    budget: Annotated[str | None, typer.Option(help="FLOPs to spend at most.")] = None,
    question: Annotated[
        str | None,
        typer.Option(help="verdict or crossover; loss, optimum, parameters or a parameter's name."),
    ] = None,
    at: Annotated[str | None, typer.Option(help="Scale: 1e24 or params=70e9,tokens=1.4T.")] = None,
    noise: Annotated[float | None, typer.Option(help="Noise of one run's log loss.")] = None,
    most: Annotated[int, typer.Option(help="Runs to choose at most.")] = 5,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Choose the runs that tell most about a question per FLOP."""
    from scalekit.columns import as_numbers
    from scalekit.data.readers import read_candidates
    from scalekit.errors import InputError
    from scalekit.fitters.comparison import Comparison
    from scalekit.fitters.fitted import Fit
    from scalekit.fitters.planning import next_runs as choose
    from scalekit.loading import load

    loaded = load(result)
    if not isinstance(loaded, (Fit, Comparison)):
        raise InputError(
            f"{result} holds a result of kind '{loaded.kind}': a fit or a comparison is needed, "
            "as `scalekit fit` and `scalekit compare` save them with -o."
        )
    pairs = parse_pairs(columns, "--columns")
    cost = pairs.pop("cost", "cost")
    table = read_candidates(candidates, **pairs).rename(columns={cost: "cost"})
    if "cost" in table:
        table["cost"] = as_numbers(table["cost"], "cost", str(candidates))
    place: float | dict[str, float] | None = None
    if at is not None:
        place = parse_scales(at) if "=" in at else parse_number(at, "--at")
    spend = float("inf") if budget is None else parse_number(budget, "--budget")
    plan = choose(loaded, table, spend, question, at=place, noise=noise, most=most)
    deliver(plan, as_json, output)
