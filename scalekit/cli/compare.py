"""`scalekit compare` and `scalekit crossover`: which recipe wins at scale, and from where on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalekit.cli.common import (
    Columns,
    Json,
    Level,
    Output,
    Seed,
    deliver,
    handled,
    parse_pairs,
    parse_scales,
)
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.units import parse_quantity

if TYPE_CHECKING:
    from scalekit.fitters.comparison import Comparison
    from scalekit.tables import RunTable

Runs = Annotated[
    list[Path],
    typer.Argument(help="One file of runs with a column of systems, or one file for each system."),
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
Where = Annotated[
    list[str] | None,
    typer.Option(help="Keep only rows with COLUMN=VALUE, or >=, > and so on. Repeatable."),
]
Resamples = Annotated[int, typer.Option(help="Number of joint resamples.")]


def read_systems(
    runs: list[Path], by: str | None, columns: str | None, where: list[str] | None
) -> tuple[RunTable, str]:
    """Return the runs of all files as one table, and the column that names the systems."""
    import pandas as pd

    from scalekit.data import read_runs
    from scalekit.notes import Note
    from scalekit.tables import check_runs

    roles: dict[str, str | None] = dict(parse_pairs(columns, "--columns"))
    if by is not None and len(runs) == 1:
        roles.setdefault("group", by)
    tables = [read_runs(path, quiet=True, last_step=False, **roles) for path in runs]
    tables = [table.where(*where or ()) for table in tables]
    if len(tables) == 1:
        return tables[0], "group"
    stems = [path.stem for path in runs]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in runs]
    if by and not any(by in table.frame for table in tables):
        raise ColumnNotFoundError(
            f"--by {by}: none of {', '.join(names)} has a column '{by}'. With one file for each "
            "system leave --by out; else name a column of the files."
        )
    column = by or "system"
    frames = [
        table.frame if by and by in table.frame else table.frame.assign(**{column: name})
        for table, name in zip(tables, names, strict=True)
    ]
    notes = [
        Note(note.code, note.severity, f"{name}: {note.message}")
        for table, name in zip(tables, names, strict=True)
        for note in table.notes
    ]
    joined = pd.concat(frames, ignore_index=True)
    source = " and ".join(table.provenance.source for table in tables)
    checked = check_runs(joined, source=source)
    said = {note.code for note in notes}  # by file, which tells more than for all together
    notes += [note for note in checked.notes if note.code not in said]
    return replace(checked, notes=tuple(notes)), column


def compared(
    runs: list[Path], by: str | None, law: list[str] | None, along: str | None, select: str,
    at: list[str] | None, resamples: int, level: float, seed: int, columns: str | None,
    where: list[str] | None,
) -> Comparison:  # fmt: skip
    """Return the comparison that the options of the command line ask for."""
    from scalekit.fitters.comparing import compare as compare_systems

    table, column = read_systems(runs, by, columns, where)
    asked, along = parse_asked(at or [], along)
    return compare_systems(
        table, column, law or None, along, select=select, at=asked or None, resamples=resamples,
        confidence_level=level, rng=seed,
    )  # fmt: skip


def parse_asked(at: list[str], along: str | None) -> tuple[list[float], str | None]:
    """Return the scales of --at and what to compare along; a scale that is named decides that."""
    scales = []
    for text in at:
        if "=" not in text:
            scales.append(parse_quantity(text))
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
    select: Select = "auto",
    where: Where = None,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Say which system wins at scale, with what probability, and where they cross."""
    duel = compared(runs, by, law, along, select, at, resamples, level, seed, columns, where)
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
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
    columns: Columns = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Say where two systems cross: scale, interval, probability; "none in range" is an answer."""
    from scalekit.fitters.comparison import VERDICT_NOTES

    duel = compared(runs, by, law, along, select, None, resamples, level, seed, columns, where)
    ends = None if within is None else tuple(parse_quantity(end) for end in within.split(","))
    names = [None, None] if between is None else [name.strip() for name in between.split(",")]
    if len(names) != 2 or (ends is not None and len(ends) != 2):
        raise InputError("--within takes two scales (1e20,1e25), --between two systems (a,b).")
    found = duel.crossover(names[0], names[1], within=ends)
    codes = {note.code for note in found.notes} | set(VERDICT_NOTES)
    of_the_runs = (note for note in duel.notes if note.code not in codes)
    deliver(replace(found, notes=(*found.notes, *of_the_runs)), as_json, output)
