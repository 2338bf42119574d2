"""What the commands share: options that mean the same everywhere, delivery, exit codes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer

from scalekit.errors import InputError, ScalekitError
from scalekit.notes import format_notes, worst
from scalekit.units import parse_quantity

if TYPE_CHECKING:
    from scalekit.fitters.fitted import Fit
    from scalekit.results import Result
    from scalekit.tables import RunTable

P = ParamSpec("P")
T = TypeVar("T")

HANDLED_ERROR, NOTE_OF_ERROR = 1, 3


def _check_outputs(paths: list[Path] | None) -> list[Path] | None:
    """Refuse a file that cannot be written before the work begins, not after it."""
    from scalekit.results import check_target

    try:
        for path in paths or []:
            check_target(path)
    except ScalekitError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(HANDLED_ERROR) from None
    return paths


Json = Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")]
Output = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        callback=_check_outputs,
        help="Write the result; the suffix names the format "
        "(.json .csv .tsv .parquet .png .svg .pdf .html .txt). May be given several times.",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Level = Annotated[float, typer.Option(help="Confidence level of the intervals.")]
Columns = Annotated[
    str | None,
    typer.Option(
        help="How to read the columns: role=column,... (e.g. params=n_params; an accuracy: "
        "loss=1-acc)."
    ),
]

Where = Annotated[
    list[str] | None,
    typer.Option(
        help="Keep only these rows: recipe=cosine, tokens>=400k (one of = != < <= > >=). "
        "May be given several times."
    ),
]
LastStep = Annotated[
    bool, typer.Option("--last-step", help="Keep only the last logged step of each run.")
]


def handled(command: Callable[P, T]) -> Callable[P, T]:
    """Print a ScalekitError as one message on stderr and exit with 1; let other errors through."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except ScalekitError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(HANDLED_ERROR) from None

    return wrapper


def deliver(result: Result, as_json: bool, output: list[Path] | None) -> None:
    """Write `result` to the files of -o, print it, and exit with 3 on a note of severity error.

    Data go to stdout (the summary, or exactly `to_dict()` with --json); notes go to stderr.
    """
    from scalekit.files import to_json

    for path in output or []:
        typer.echo(f"wrote {result.save(path)}", err=True)
    if as_json:
        typer.echo(to_json(result.to_dict()))
    else:
        typer.echo(result.summary().removesuffix(format_notes(result.notes)).rstrip())
        if result.notes:
            typer.echo("\n" + format_notes(result.notes), err=True)
    if worst(result.notes) == "error":
        raise typer.Exit(NOTE_OF_ERROR)


def read_table(
    path: Path, columns: str | None, where: list[str] | None, last_step: bool = False
) -> RunTable:
    """Return the runs of a file that `where` keeps, and say on stderr how the columns were read.

    The notes are not said here: they come with the result.
    """
    return read_with_roles(path, dict(parse_pairs(columns, "--columns")), where, last_step)


def read_with_roles(
    path: Path, roles: dict[str, str | None], where: list[str] | None, last_step: bool = False
) -> RunTable:
    """Return what `read_table` does, with the roles of --columns taken apart."""
    from scalekit.data import read_runs

    table = read_runs(path, quiet=True, last_step=last_step, **roles)
    typer.echo(table.account(), err=True)
    return table.where(*where or ())


def load_fit(path: str | Path) -> Fit:
    """Return the fit that -o saved; raises InputError where the file holds another result."""
    from scalekit.fitters.fitted import Fit
    from scalekit.loading import load

    found = load(path)
    if not isinstance(found, Fit):
        raise no_fit(path, found)
    return found


def no_fit(path: str | Path, found: Result) -> InputError:
    """Return the error for a file that holds another result where a fit is needed."""
    return InputError(
        f"{path} holds a result of kind '{found.kind}', and a fit is needed. Save one: "
        "`scalekit fit runs.csv -o fit.json`, and give fit.json."
    )


def parse_pairs(text: str | None, option: str) -> dict[str, str]:
    """Return the dictionary that "k=v,k=v" says; `option` is named in the error message."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    for key, equals, value in pairs:
        if not (key.strip() and equals and value.strip()):
            raise InputError(
                f"{option} {text!r}: cannot read '{key}{equals}{value}'. "
                "Write name=value pairs, separated by commas."
            )
    return {key.strip(): value.strip() for key, _, value in pairs}


def parse_number(text: str, option: str) -> float:
    """Return the number that "7B" says; the error message names the option that holds it."""
    try:
        return parse_quantity(text)
    except InputError as error:
        raise InputError(f"{option}: {error}") from None


def parse_numbers(texts: list[str], option: str) -> list[float]:
    """Return the numbers of an option that is given several times, or with commas: 1e22,1e23."""
    return [parse_number(part, option) for text in texts for part in text.split(",")]


def parse_shares(text: str | None, option: str) -> dict[str, float]:
    """Return the numbers that "web=0.6,code=0.4" says; these are plain, not quantities."""
    found = {}
    for name, value in parse_pairs(text, option).items():
        try:
            found[name] = float(value)
        except ValueError:
            raise InputError(
                f"{option}: '{value}' (of '{name}') is no number. Write a share such as 0.2."
            ) from None
    return found


def parse_scales(text: str | None, option: str = "--at") -> dict[str, float]:
    """Return the scales that "params=70e9,tokens=1.4T" says, as numbers."""
    return {key: parse_number(value, option) for key, value in parse_pairs(text, option).items()}
