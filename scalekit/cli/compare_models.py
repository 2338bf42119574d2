"""`scalekit compare-models`: is the difference between two recipes real?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scalekit.cli.common import Json, Level, Output, deliver, handled, parse_pairs
from scalekit.cli.variance import Benchmark, Columns, Log, Lower, Metric
from scalekit.errors import InputError


@handled
def compare_models(
    log: Log,
    a: Annotated[str | None, typer.Argument(help="First recipe, or its own log.")] = None,
    b: Annotated[str | None, typer.Argument(help="Second recipe.")] = None,
    benchmark: Benchmark = None,
    metric: Metric = None,
    seed_sd: Annotated[
        str | None,
        typer.Option(help="Seed noise: a number, or own, log, moderated, published."),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Difference too small to matter, for 'equivalent'.")
    ] = None,
    last: Annotated[int, typer.Option(help="Average the last this many checkpoints.")] = 1,
    adjust: Annotated[str, typer.Option(help="Over benchmarks: holm, bh, none.")] = "holm",
    columns: Columns = None,
    lower: Lower = None,
    level: Level = 0.95,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Real, equivalent or not resolved: crossed errors of items, seeds, clusters and samples.

    LOG A B compares two recipes of one log; LOG alone compares its two recipes; two paths compare
    two logs of one recipe each.
    """
    from scalekit.evals import compare_models as compare
    from scalekit.evals import read_evals

    columns_as = parse_pairs(columns, "--columns")
    source: Any = log
    if a is not None and b is None:
        if not Path(a).exists():
            raise InputError(
                f"'{a}' is no second log: there is no such file. Give the log of the other recipe, "
                "or two names of recipes."
            )
        names = _names(log, Path(a))
        source, (a, b) = {names[0]: log, names[1]: Path(a)}, names
    evals = read_evals(source, columns=columns_as, lower_is_better=lower or ())
    verdict = compare(
        evals.select(benchmark), a, b, metric=metric, seed_sd=_seed_sd(seed_sd), margin=margin,
        last=last, adjust=adjust, confidence_level=level,
    )  # fmt: skip
    deliver(verdict, as_json, output)


def _names(first: Path, second: Path) -> tuple[str, str]:
    """Name two logs by the first part of their paths, from the end, that differs."""
    for one, other in zip(reversed(first.resolve().parts), reversed(second.resolve().parts),
                          strict=False):  # fmt: skip
        if one != other and not one.startswith(("samples_", "results_")):
            return Path(one).stem, Path(other).stem
    return "first", "second"


def _seed_sd(text: str | None) -> float | str | None:
    try:
        return text if text is None else float(text)
    except ValueError:
        return text
