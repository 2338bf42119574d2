"""`scalekit read`: show how a table of runs is read, before anything is fitted to it."""

from __future__ import annotations

from typing import Annotated

import typer

from scalekit.cli.common import Columns, Json, LastStep, Output, deliver, handled, parse_pairs


@handled
def read(
    table: Annotated[
        str,
        typer.Argument(
            help="CSV, TSV, JSON, JSON lines or Parquet file; or a directory, or a pattern in "
            "quotes such as 'logs/*/metrics.csv', of one file a run."
        ),
    ],
    columns: Columns = None,
    last_step: LastStep = False,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Show how the columns of a table of runs are read, and what is doubtful about its rows.

    A unit goes behind the column: --columns 'params=size:M,loss=val_loss'.
    """
    from scalekit.data import read_runs

    chosen: dict[str, str | None] = dict(parse_pairs(columns, "--columns"))
    deliver(read_runs(table, quiet=True, last_step=last_step, **chosen), as_json, output)
