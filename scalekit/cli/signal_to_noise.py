"""`scalekit signal`: which benchmark and metric can tell recipes apart."""

from __future__ import annotations

from typing import Annotated

import typer

from scalekit.cli.common import Json, Level, Output, deliver, handled, parse_pairs
from scalekit.cli.variance import Benchmark, Columns, Log, Lower, Metric


@handled
def signal(
    log: Log,
    noise: Annotated[str | None, typer.Option(help="Noise to rate by: seed, step, item.")] = None,
    last: Annotated[
        int | None, typer.Option(help="Checkpoints at the end of a run that make its score.")
    ] = None,
    benchmark: Benchmark = None,
    metric: Metric = None,
    columns: Columns = None,
    lower: Lower = None,
    level: Level = 0.95,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Signal to noise, decision accuracy and monotonicity; which metric to track."""
    from scalekit.evals import read_evals
    from scalekit.evals import signal as rate

    columns_as = parse_pairs(columns, "--columns")
    evals = read_evals(log, columns=columns_as, lower_is_better=lower or ())
    deliver(
        rate(evals.select(benchmark, metric), noise=noise, last=last, confidence_level=level),
        as_json,
        output,
    )
