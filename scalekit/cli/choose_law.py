"""`scalekit choose-law` and `scalekit heldout`: laws judged by what they would have forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from scalekit.cli.common import (
    Columns,
    Json,
    LastStep,
    Level,
    Output,
    Seed,
    Where,
    deliver,
    handled,
    read_table,
)
from scalekit.cli.fit import Along, At, Runs, table_of_scales

if TYPE_CHECKING:
    from scalekit.fitters.study import Rows

Laws = Annotated[
    list[str] | None,
    typer.Option("--law", help="A candidate law (name or formula). May be given several times."),
]
Horizon = Annotated[
    float, typer.Option(help="How many times larger than the runs seen the roll-outs forecast.")
]
Weights = Annotated[str | None, typer.Option(help="Column of weights, or 'noise'.")]


@handled
def choose_law(
    runs: Runs,
    law: Laws = None,
    along: Along = None,
    at: At = None,
    horizon: Horizon = 4.0,
    weights: Weights = None,
    rows: Annotated[
        str, typer.Option(help="What the rows of a log are: single, best_so_far, or monotone.")
    ] = "single",
    where: Where = None,
    last_step: LastStep = False,
    level: Level = 0.95,
    seed: Seed = 0,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Judge laws by roll-outs from small to large runs, combine them, and predict larger ones."""
    from scalekit.fitters import choose_law as choose

    table = read_table(runs, columns, where, last_step)
    found = choose(
        table, law, along=along, horizon=horizon, weights=weights, rows=cast("Rows", rows),
        confidence_level=level, rng=seed,
    )  # fmt: skip
    if at:
        found = found.with_predictions(table_of_scales(at))
    deliver(found, as_json, output)


@handled
def heldout(
    runs: Runs,
    law: Laws = None,
    along: Along = None,
    by: Annotated[str | None, typer.Option(help="Columns that name curves: task,model.")] = None,
    horizon: Horizon = 4.0,
    weights: Weights = None,
    where: Where = None,
    last_step: LastStep = False,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Fit on the small runs, test on the larger ones, at every origin; show errors by distance."""
    from scalekit.fitters import roll_out

    names = [name.strip() for name in (by or "").split(",") if name.strip()]
    table = read_table(runs, columns, where, last_step)
    found = roll_out(table, law, by=names, along=along, horizon=horizon, weights=weights)
    deliver(found, as_json, output)
