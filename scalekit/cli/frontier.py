"""`scalekit frontier` and `scalekit isoflop`: how to split compute between size and data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalekit.cli.common import (
    Columns,
    Json,
    Level,
    Output,
    Seed,
    Where,
    deliver,
    handled,
    load_fit,
    parse_number,
    parse_numbers,
    read_table,
)
from scalekit.errors import InputError

if TYPE_CHECKING:
    from scalekit.results import Result


@handled
def frontier(
    fit: Annotated[
        Path,
        typer.Argument(
            help="A saved fit (the .json of `scalekit fit -o`), or runs (--approaches)."
        ),
    ],
    flops: Annotated[list[str], typer.Option(help="Budgets: 1e22 or 1e22,1e23.")],
    params: Annotated[str | None, typer.Option(help="Hold the model at this size.")] = None,
    unique_tokens: Annotated[str | None, typer.Option(help="Tokens there are.")] = None,
    served_tokens: Annotated[
        str, typer.Option(help="Tokens the model will serve; their cost counts into the budget.")
    ] = "0",
    overtrained: Annotated[float, typer.Option(help="Times the optimal tokens per param.")] = 1.0,
    level: Annotated[
        float | None, typer.Option(help="Confidence level (default that of the fit, else .95).")
    ] = None,
    approaches: Annotated[
        bool, typer.Option("--approaches", help="Envelope, isoFLOP and law side by side, of runs.")
    ] = False,
    law: Annotated[
        str | None, typer.Option(help="With --approaches: the law (default chinchilla).")
    ] = None,
    curves: Annotated[
        Path | None, typer.Option(help="With --approaches: training curves, one row a step.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="With --approaches: keep only these rows, recipe=cosine. Repeatable."),
    ] = None,
    columns: Columns = None,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Say how to spend budgets best under a fitted law: params, tokens, loss, with intervals."""
    budgets = parse_numbers(flops, "--flops")
    limits = {"params": params, "unique-tokens": unique_tokens,
              "served-tokens": None if served_tokens == "0" else served_tokens,
              "overtrained": None if overtrained == 1 else overtrained}  # fmt: skip
    of_runs = {"law": law, "curves": curves, "where": where, "columns": columns}
    given = [name for name, value in (limits if approaches else of_runs).items() if value]
    if given:
        advice = "goes with a saved fit, not with" if approaches else "goes with runs and"
        raise InputError(f"--{given[0]} {advice} --approaches.")
    if not approaches and fit.is_file() and fit.suffix != ".json":
        raise InputError(
            f"{fit} is no saved fit. Save one: `scalekit fit {fit} -o fit.json`, and give "
            "fit.json; or ask the runs themselves, with --approaches."
        )
    if approaches:
        from scalekit.fitters.approaches import allocation_approaches

        found: Result = allocation_approaches(
            read_table(fit, columns, where), budgets, law=law or "chinchilla", rng=seed,
            curves=None if curves is None else read_table(curves, columns, where),
            confidence_level=0.95 if level is None else level,
        )  # fmt: skip
    else:
        found = load_fit(fit).frontier(
            budgets,
            params=None if params is None else parse_number(params, "--params"),
            unique_tokens=None
            if unique_tokens is None
            else parse_number(unique_tokens, "--unique-tokens"),
            served_tokens=parse_number(served_tokens, "--served-tokens"),
            overtrained=overtrained,
            confidence_level=level,
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
    where: Where = None,
    level: Level = 0.95,
    seed: Seed = 0,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:  # fmt: skip
    """Find the best size at each budget and how it grows with compute (isoFLOP minima)."""
    from scalekit.fitters.isoflops import isoflop as find_minima

    table = read_table(runs, columns, where)
    found = find_minima(table, method=method, window=window, noise=noise, resamples=resamples,
                        confidence_level=level, rng=seed)  # fmt: skip
    deliver(found, as_json, output)
