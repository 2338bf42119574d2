"""`scalekit power`: how many seeds, items and samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Level, Output, deliver, handled, parse_pairs
from scalekit.cli.variance import Columns, Lower, Metric


def _integers(text: str | None, option: str) -> list[int] | None:
    from scalekit.errors import InputError

    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text!r}: write whole numbers, separated by commas.") from None


@handled
def power(
    log: Annotated[Path | None, typer.Argument(help="A log; without one, published noise.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="The benchmark to plan.")] = None,
    metric: Metric = None,
    difference: Annotated[
        float | None, typer.Option(help="True difference to find, in fractions.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds per recipe.")] = "1,2,3,5,10",
    items: Annotated[str | None, typer.Option(help="Items, e.g. 500,2000.")] = None,
    samples: Annotated[str, typer.Option(help="Samples per answer.")] = "1",
    seed_sd: Annotated[float | None, typer.Option(help="Seed SD to plan with.")] = None,
    costs: Annotated[
        str | None, typer.Option(help="Costs in answers: seed=100000,item=100,answer=1.")
    ] = None,
    columns: Columns = None,
    lower: Lower = None,
    level: Level = 0.95,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Detectable difference and power over seeds, items and samples, with costs."""
    from scalekit.cli.common import parse_scales
    from scalekit.evals import power as plan
    from scalekit.evals import read_evals

    evals = None
    if log is not None:
        columns_as = parse_pairs(columns, "--columns")
        evals = read_evals(log, columns=columns_as, lower_is_better=lower or ())
    result = plan(
        evals, benchmark=benchmark, metric=metric, difference=difference,
        seeds=_integers(seeds, "--seeds") or [], items=_integers(items, "--items"),
        samples=_integers(samples, "--samples") or [], seed_sd=seed_sd,
        costs=parse_scales(costs, "--costs"), confidence_level=level,
    )  # fmt: skip
    deliver(result, as_json, output)
