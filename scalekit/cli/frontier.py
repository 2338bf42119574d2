"""`scalekit frontier` and `scalekit isoflop`: how to split compute between size and data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import (
    Columns,
    Json,
    Level,
    Output,
    Seed,
    deliver,
    handled,
    load_fit,
    parse_pairs,
)
from scalekit.units import parse_quantity


@handled
def frontier(
    fit: Annotated[
        Path,
        typer.Argument(
            help="A saved fit (the .json of `scalekit fit -o`), or runs (--approaches)."
        ),
    ],
    flops: Annotated[list[str], typer.Option(help="Budget. May be given several times.")],
    params: Annotated[str | None, typer.Option(help="Hold the model at this size.")] = None,
    unique_tokens: Annotated[str | None, typer.Option(help="Tokens there are.")] = None,
    served_tokens: Annotated[
        str, typer.Option(help="Tokens the model will serve; their cost counts into the budget.")
    ] = "0",
    overtrained: Annotated[float, typer.Option(help="Times the optimal tokens per param.")] = 1.0,
    approaches: Annotated[
        bool, typer.Option("--approaches", help="Envelope, isoFLOP and law side by side, of runs.")
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(help="With --approaches: keep only these rows, recipe=cosine. Repeatable."),
    ] = None,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Say how to spend budgets best under a fitted law: params, tokens, loss, with intervals."""
    if approaches:
        from scalekit.data import read_runs
        from scalekit.fitters.approaches import allocation_approaches

        roles: dict[str, str | None] = dict(parse_pairs(columns, "--columns"))
        table = read_runs(fit, quiet=True, last_step=False, **roles).where(*where or ())
        budgets = [parse_quantity(text) for text in flops]
        deliver(allocation_approaches(table, budgets), as_json, output)
        return
    found = load_fit(fit).frontier(
        [parse_quantity(text) for text in flops],
        params=None if params is None else parse_quantity(params),
        unique_tokens=None if unique_tokens is None else parse_quantity(unique_tokens),
        served_tokens=parse_quantity(served_tokens),
        overtrained=overtrained,
    )
    deliver(found, as_json, output)


@handled
def isoflop(
    runs: Annotated[Path, typer.Argument(help="Runs of several sizes at each of several budgets.")],
    method: Annotated[str, typer.Option(help="parabola, cubic or akima.")] = "parabola",
    window: Annotated[
        float | None, typer.Option(help="Keep sizes within this factor of the best at a budget.")
    ] = None,
    noise: Annotated[
        float | None, typer.Option(help="Noise of log loss (default: measured).")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Number of resamples.")] = 1000,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Keep only rows with COLUMN=VALUE, or >=, > and so on. Repeatable."),
    ] = None,
    level: Level = 0.95,
    seed: Seed = 0,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:  # fmt: skip
    """Find the best size at each budget and how it grows with compute (isoFLOP minima)."""
    from scalekit.data import read_runs
    from scalekit.fitters.isoflops import isoflop as find_minima

    roles: dict[str, str | None] = dict(parse_pairs(columns, "--columns"))
    table = read_runs(runs, quiet=True, last_step=False, **roles)
    table = table.where(*where or ())
    found = find_minima(table, method=method, window=window, noise=noise, resamples=resamples,
                        confidence_level=level, rng=seed)  # fmt: skip
    deliver(found, as_json, output)
