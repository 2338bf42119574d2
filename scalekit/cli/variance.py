"""`scalekit variance`: where a benchmark's noise comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Level, Output, deliver, handled, parse_pairs

Log = Annotated[
    Path, typer.Argument(help="A table, an lm-eval or Inspect log, or a folder of them.")
]
Benchmark = Annotated[str | None, typer.Option(help="Only this benchmark.")]
Metric = Annotated[str | None, typer.Option(help="Only this metric.")]
Columns = Annotated[
    str | None,
    typer.Option(
        help="How to read the columns of a table: role=column,... Roles: recipe, seed, step, "
        "benchmark, metric, item, sample, cluster, scale, value."
    ),
]

Lower = Annotated[
    list[str] | None,
    typer.Option("--lower-is-better", help="A metric that is better lower; may be repeated."),
]


@handled
def variance(
    log: Log,
    benchmark: Benchmark = None,
    metric: Metric = None,
    columns: Columns = None,
    lower: Lower = None,
    level: Level = 0.95,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Variance components of each benchmark: items, seeds, steps, samples; signal to noise."""
    from scalekit.evals import benchmark_variance, read_evals

    columns_as = parse_pairs(columns, "--columns")
    evals = read_evals(log, columns=columns_as, lower_is_better=lower or ())
    deliver(benchmark_variance(evals.select(benchmark, metric), level), as_json, output)
