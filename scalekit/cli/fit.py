"""`scalekit fit`: fit a law to a file of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    parse_scales,
    read_table,
)
from scalekit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Runs = Annotated[
    Path,
    typer.Argument(
        help="Runs: a .csv, .tsv, .jsonl, .json or .parquet file; or a directory, or a pattern in "
        "quotes such as 'logs/*/metrics.csv', of one file a run."
    ),
]
LawOption = Annotated[
    str | None,
    typer.Option(
        "--law", help="A law of `scalekit laws`, or a formula such as 'E + A / params**alpha'."
    ),
]
Along = Annotated[str | None, typer.Option(help="The column of a law of one scale.")]
ObjectiveOption = Annotated[
    str, typer.Option(help="huber_log, log_squares, squares or absolute_log.")
]
Delta = Annotated[float | None, typer.Option(help="Huber's delta; by default tied to the noise.")]
RESAMPLES = 1000
Resamples = Annotated[int, typer.Option(help="Number of resamples of the intervals.")]
At = Annotated[
    list[str] | None,
    typer.Option(help="Scales to predict at: params=70e9,tokens=1.4T. May be given several times."),
]


@handled
def fit(
    runs: Runs,
    law: LawOption = None,
    along: Along = None,
    at: At = None,
    objective: ObjectiveOption = "huber_log",
    delta: Delta = None,
    overestimate_weight: Annotated[
        float, typer.Option(help="Above 1: follow the best-tuned runs.")
    ] = 1.0,
    weights: Annotated[str | None, typer.Option(help="Column of weights, or 'noise'.")] = None,
    where: Where = None,
    last_step: LastStep = False,
    interval: Annotated[
        str, typer.Option(help="auto, pairs, cluster, wild, delta or none.")
    ] = "auto",
    resamples: Resamples = RESAMPLES,
    combine: Annotated[
        bool,
        typer.Option(
            "--combine", help="Forecast with several laws, weighted by roll-outs, not with one."
        ),
    ] = False,
    level: Level = 0.95,
    seed: Seed = 0,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Fit a law to a table of runs, and predict larger ones."""
    from scalekit.fitters import fit as fit_law

    table = read_table(runs, columns, where, last_step)
    if combine:
        from scalekit.fitters import choose_law

        refuse_with_combine(
            {
                "--objective": objective != "huber_log",
                "--delta": delta is not None,
                "--overestimate-weight": overestimate_weight != 1.0,
                "--interval": interval != "auto",
                "--resamples": resamples != RESAMPLES,
            }
        )
        chosen = choose_law(
            table, [law] if law else None, along=along, weights=weights, confidence_level=level,
            rng=seed,
        )  # fmt: skip
        deliver(chosen.with_predictions(table_of_scales(at)) if at else chosen, as_json, output)
        return
    found = fit_law(
        table,
        law,
        along=along,
        objective=objective,
        delta=delta,
        overestimate_weight=overestimate_weight,
        weights=weights,
        interval=interval,
        resamples=resamples,
        confidence_level=level,
        rng=seed,
    )
    if at:
        found = found.with_predictions(table_of_scales(at))
    deliver(found, as_json, output)


def refuse_with_combine(given: dict[str, bool]) -> None:
    """Raise InputError where an option that speaks of one fit was given with --combine."""
    wrong = [name for name, there in given.items() if there]
    if wrong:
        raise InputError(
            f"{', '.join(wrong)} speaks of one law's fit; --combine weighs several laws by "
            "roll-outs, and takes its intervals from these. Leave one of the two out."
        )


def table_of_scales(at: list[str]) -> pd.DataFrame:
    """Return the scales of several --at options as a table, one row each."""
    import pandas as pd

    rows = [parse_scales(text) for text in at]
    for text, row in zip(at, rows, strict=True):
        if set(row) != set(rows[0]):
            raise InputError(
                f"--at '{text}' names other scales than --at '{at[0]}': every --at needs the same."
            )
    return pd.DataFrame(rows)
