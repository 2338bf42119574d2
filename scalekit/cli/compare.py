"""`scalekit compare` and `scalekit crossover`: which recipe wins at scale, and from where on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

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
    parse_number,
    parse_numbers,
    parse_scales,
)
from scalekit.errors import InputError, ScalekitError

if TYPE_CHECKING:
    from scalekit.fitters.comparison import Comparison
    from scalekit.fitters.verdicts import Verdicts

Runs = Annotated[
    list[Path],
    typer.Argument(
        help="One file of runs with a column of systems, or one file for each system; or a saved "
        "comparison (.json)."
    ),
]
By = Annotated[str | None, typer.Option(help="The column that names the system of each run.")]
LawOption = Annotated[
    list[str] | None,
    typer.Option("--law", help="A law of `scalekit laws`, or a formula. Several share the draws."),
]
Along = Annotated[str | None, typer.Option(help="The scale to compare along (default flops).")]
Select = Annotated[
    str, typer.Option(help="Runs that the curve follows: auto, all, best or frontier.")
]
At = Annotated[
    list[str] | None,
    typer.Option(help="Scale to decide at: 1e24 or flops=1e24. May be given several times."),
]
Across = Annotated[
    str | None,
    typer.Option(
        help="Is the verdict the same across metrics? A column that names them, or several loss "
        "columns: val_loss,1-acc."
    ),
]
Objective = Annotated[str, typer.Option(help="huber_log, log_squares, squares or absolute_log.")]
Drift = Annotated[
    bool, typer.Option(help="Allow for what the law got wrong when forecasting larger runs.")
]
Resamples = Annotated[int, typer.Option(help="Number of joint resamples.")]


def options_of(
    law: list[str] | None, select: str, objective: str, drift: bool, resamples: int, level: float,
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Return the options of `compare` in Python that the command line names."""
    return {
        "law": law or None, "select": select, "objective": objective, "drift": drift,
        "resamples": resamples, "confidence_level": level, "rng": seed,
    }  # fmt: skip


def compared(
    runs: list[Path], by: str | None, columns: str | None, where: list[str] | None,
    at: list[str] | None, along: str | None, options: dict[str, Any], across: str | None = None,
) -> Comparison | Verdicts:  # fmt: skip
    """Return the comparison that the options of the command line ask for."""
    from scalekit.cli.systems import read_metrics, read_systems
    from scalekit.fitters.comparing import compare as compare_systems
    from scalekit.fitters.verdicts import compare_across

    asked, along = parse_asked(at or [], along)
    saved = saved_comparison(runs)
    if saved is not None:
        untouched = options_of(None, "auto", "huber_log", True, 1000, 0.95, 0)
        if by or columns or where or across or options != untouched or along not in (
            None, saved.along,
        ):  # fmt: skip
            raise InputError(
                f"{runs[0]} is a saved comparison along {saved.along}: --at asks it at another "
                "scale, --within and --between for another crossing. For all else give the runs."
            )
        return saved.decide(asked) if asked else saved
    if across is None:
        table, column = read_systems(runs, by, columns, where)
        return compare_systems(table, column, along=along, at=asked or None, **options)
    if len(asked) > 1:
        raise InputError("--across compares at one scale; give one --at.")
    table, column, across = read_metrics(runs, by, columns, where, across)
    at_last = asked[-1] if asked else None
    return compare_across(table, across, column, at_last, along=along, **options)


def saved_comparison(runs: list[Path]) -> Comparison | None:
    """Return the comparison that -o saved, where that is what the only file holds."""
    from scalekit.fitters.comparison import Comparison
    from scalekit.loading import load

    if len(runs) > 1 or runs[0].suffix != ".json":
        return None
    try:
        found = load(runs[0])
    except ScalekitError:
        return None  # a table of runs in JSON, or a file that the reader will complain of
    return found if isinstance(found, Comparison) else None


def parse_asked(at: list[str], along: str | None) -> tuple[list[float], str | None]:
    """Return the scales of --at and what to compare along; a scale that is named decides that."""
    scales = []
    for text in at:
        if "=" not in text:
            scales.append(parse_number(text, "--at"))
            continue
        named = parse_scales(text)
        for name, value in named.items():
            if name != (along or name) or len(named) > 1:
                raise InputError(
                    f"--at {text}: systems are compared along one scale"
                    + (f", here {along}. Write --at VALUE" if along else "")
                    + ". To compare along another, say --along NAME --at VALUE."
                )
            along = name
            scales.append(value)
    return scales, along


@handled
def compare(
    runs: Runs,
    by: By = None,
    law: LawOption = None,
    along: Along = None,
    at: At = None,
    across: Across = None,
    select: Select = "auto",
    where: Where = None,
    objective: Objective = "huber_log",
    drift: Drift = True,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Say which system wins at scale, with what probability, and where they cross."""
    options = options_of(law, select, objective, drift, resamples, level, seed)
    duel = compared(runs, by, columns, where, at, along, options, across)
    deliver(duel, as_json, output)


@handled
def crossover(
    runs: Runs,
    by: By = None,
    law: LawOption = None,
    along: Along = None,
    within: Annotated[str | None, typer.Option(help="Range to look in: 1e20,1e25.")] = None,
    between: Annotated[str | None, typer.Option(help="Two of several systems: a,b.")] = None,
    select: Select = "auto",
    where: Where = None,
    objective: Objective = "huber_log",
    drift: Drift = True,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Say where two systems cross: scale, interval, probability; "none in range" is an answer."""
    from scalekit.fitters.comparison import VERDICT_NOTES

    options = options_of(law, select, objective, drift, resamples, level, seed)
    duel = cast("Comparison", compared(runs, by, columns, where, None, along, options))
    ends = None if within is None else tuple(parse_numbers([within], "--within"))
    names = [None, None] if between is None else [name.strip() for name in between.split(",")]
    if len(names) != 2 or (ends is not None and len(ends) != 2):
        raise InputError("--within takes two scales (1e20,1e25), --between two systems (a,b).")
    found = duel.crossover(names[0], names[1], within=ends)
    codes = {note.code for note in found.notes} | set(VERDICT_NOTES)
    of_the_runs = (note for note in duel.notes if note.code not in codes)
    deliver(replace(found, notes=(*found.notes, *of_the_runs)), as_json, output)
