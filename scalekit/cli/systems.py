"""Reading the runs of several systems: one file with a column of systems, or one file for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from scalekit.cli.common import parse_pairs, read_with_roles
from scalekit.columns import SCALES
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.notes import Note
from scalekit.tables import RunTable, check_runs

ALONG = (*SCALES, "step")


def read_systems(
    runs: list[Path], by: str | None, columns: str | None, where: list[str] | None
) -> tuple[RunTable, str]:
    """Return the runs of all files as one table, and the column that names the systems."""
    roles: dict[str, str | None] = dict(parse_pairs(columns, "--columns"))
    if by is not None and len(runs) == 1:
        roles.setdefault("group", by)
    stems = [path.stem for path in runs]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in runs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"The file {twice} is given twice; give one file for each system.")
    tables = {
        name: read_with_roles(path, roles, where) for name, path in zip(names, runs, strict=True)
    }
    if len(tables) == 1:
        return next(iter(tables.values())), "group"
    if by and not any(by in table.frame for table in tables.values()):
        raise ColumnNotFoundError(
            f"--by {by}: none of {', '.join(names)} has a column '{by}'. With one file for each "
            "system leave --by out; else name a column of the files."
        )
    return _join(tables, by)


def read_metrics(
    runs: list[Path], by: str | None, columns: str | None, where: list[str] | None, across: str
) -> tuple[RunTable, str, str]:
    """Return the runs, the column of the systems, and that of the metrics.

    `across` is a column that names the metrics, or several loss columns separated by commas; these
    are then stacked, with a column "metric".
    """
    losses = [name.strip() for name in across.split(",") if name.strip()]
    if len(losses) == 1:
        return *read_systems(runs, by, columns, where), losses[0]
    given = f"{columns}," if columns else ""
    found = {name: read_systems(runs, by, f"{given}loss={name}", where) for name in losses}
    frames = [table.frame.assign(metric=name) for name, (table, _) in found.items()]
    notes = dict.fromkeys(note for table, _ in found.values() for note in table.notes)
    first, column = next(iter(found.values()))
    return replace(first, frame=pd.concat(frames), notes=tuple(notes)), column, "metric"


def _join(tables: Mapping[str, RunTable], by: str | None) -> tuple[RunTable, str]:
    """Return the tables as one, each the runs of the system that it is named for, or as `by` says.

    What was left out of each, and its notes, are kept; scales that a file lacks are not.
    """
    column = by or "system"
    shared, lacking = _shared_scales(tables)
    frames = [
        (table.frame if by and by in table.frame else table.frame.assign(**{column: name})).drop(
            columns=lacking, errors="ignore"
        )
        for name, table in tables.items()
    ]
    notes = [
        Note(note.code, note.severity, f"{name}: {note.message}")
        for name, table in tables.items()
        for note in table.notes
    ]
    joined = pd.concat(frames, ignore_index=True)
    source = " and ".join(table.provenance.source for table in tables.values())
    checked = check_runs(joined, scales=shared, source=source)
    said = {note.code for note in notes}  # by file, which tells more than for all together
    if lacking:
        words = f"Not every file has {', '.join(lacking)}: left out of the comparison."
        notes.append(Note("scales_left_out", "info", words))
    notes += [*_unlike(tables, shared), *(note for note in checked.notes if note.code not in said)]
    counts = pd.Series(dtype=int)
    for table in (*tables.values(), checked):
        counts = counts.add(pd.Series(table.provenance.rows_left_out, dtype=int), fill_value=0)
    provenance = replace(
        checked.provenance,
        n_rows=sum(table.provenance.n_rows for table in tables.values()),
        rows_left_out={str(reason): int(count) for reason, count in counts.items()},
    )
    return replace(checked, notes=tuple(notes), provenance=provenance), column


def _shared_scales(tables: Mapping[str, RunTable]) -> tuple[list[str], list[str]]:
    """Return the scales that all files have, and those that only some have."""
    have = {name: [s for s in ALONG if s in table.frame] for name, table in tables.items()}
    shared = [s for s in ALONG if all(s in own for own in have.values())]
    if not shared:
        shown = "; ".join(f"{name}: {', '.join(own) or 'none'}" for name, own in have.items())
        raise InputError(
            f"The files have no scale in common to compare along ({shown}). Add a column, such as "
            "flops, or params and tokens, or name it with --columns flops=COLUMN."
        )
    return shared, [s for s in ALONG if s not in shared and any(s in own for own in have.values())]


def _unlike(tables: Mapping[str, RunTable], shared: list[str]) -> Iterator[Note]:
    """Yield warnings where the files' losses, or their scales, may not be the same quantity."""
    read = {
        name: {reading.role: reading for reading in table.readings}
        for name, table in tables.items()
    }
    losses = {name: str(roles["loss"]).removeprefix("loss <- ") for name, roles in read.items()}
    if len(set(losses.values())) > 1:
        shown = ", ".join(f"'{column}' in {name}" for name, column in losses.items())
        yield Note("losses_differ", "warning", f"The loss is read from {shown}. Is it the same "
                   "loss, on the same data? Else choose with --columns loss=COLUMN.")  # fmt: skip
    for scale in set(shared) & set(SCALES):
        computed = {name: not roles[scale].column for name, roles in read.items()}
        if len(set(computed.values())) > 1:
            other = next(name for name, flag in computed.items() if flag)
            yield Note("scales_differ", "warning", f"{scale} is a column of some files, and in "
                       f"{other} it is {read[other][scale].remark}. Do both count the same "
                       "(embeddings, attention)? A factor moves the crossing.")  # fmt: skip
