"""Many files, one a run: which they are, what each run is called, and their rows as one table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from glob import has_magic
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd

from scalekit.columns import Locate
from scalekit.data.table import ROLE_OF, normalise
from scalekit.errors import InputError
from scalekit.files import uncompressed
from scalekit.notes import Note

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet")
SHOWN = 6  # columns or files that a note names


@dataclass(frozen=True)
class Stacked:
    """The rows of several files under each other; `file_of_row` is each row's file, by number."""

    frame: pd.DataFrame
    file_of_row: np.ndarray
    files: tuple[Path, ...]
    notes: tuple[Note, ...]

    def place(self, position: int, locate: Sequence[Locate]) -> str:
        """Return where row `position` comes from, by the `locate` of its file."""
        file = int(self.file_of_row[position])
        first = int(np.searchsorted(self.file_of_row, file))
        return f"{self.files[file].name}, {locate[file](position - first)}"


def is_pattern(path: Path) -> bool:
    """Whether `path` is no file but a pattern that may match some."""
    return has_magic(str(path)) and not path.exists()


def files_of(path: Path) -> list[Path]:
    """Return the tables of a directory, or the files that a pattern matches, in order of name.

    Raises InputError where there are none.
    """
    if is_pattern(path):
        fixed = list(takewhile(lambda part: not has_magic(part), path.parts))
        rest = Path(*path.parts[len(fixed) :])
        files = sorted(file for file in Path(*fixed).glob(str(rest)) if file.is_file())
        if not files:
            raise InputError(
                f"No file matches {path}. Give a pattern such as 'logs/*/metrics.csv'."
            )
        return files
    inside = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    files = [file for file in inside if file.is_file() and uncompressed(file).suffix in SUFFIXES]
    if not files:
        folders = ", ".join(file.name for file in inside if file.is_dir())
        raise InputError(
            f"{path} is a directory without a table ({', '.join(SUFFIXES)})"
            f"{f', with the directories {folders}' if folders else ''}. Give a file of runs, or a "
            f"pattern that matches one file a run, such as '{path}/*/metrics.csv'."
        )
    return files


def stack(files: Sequence[Path], frames: Sequence[pd.DataFrame]) -> Stacked:
    """Return the rows of `frames`, one read from each of `files`, as one table.

    Where no column names the run, the column "run" holds the file's name.
    """
    twice = [file for file, times in Counter(files).items() if times > 1]
    if twice:
        raise InputError(f"{twice[0]} is given twice; each file is one run.")
    named = any(ROLE_OF.get(normalise(c), ("",))[0] == "run" for f in frames for c in f)
    sizes = [len(frame) for frame in frames]
    file_of_row = np.repeat(np.arange(len(files)), sizes)
    frame = pd.concat(frames, ignore_index=True)
    if not named:
        frame.insert(0, "run", np.repeat(np.array(run_names(files), dtype=object), sizes))
    return Stacked(frame, file_of_row, tuple(files), tuple(_notes(files, frames, named)))


def run_names(files: Sequence[Path]) -> list[str]:
    """Return a name for each file: what tells its path from the others', without the suffix.

    >>> run_names([Path("logs/version_0/metrics.csv"), Path("logs/version_1/metrics.csv")])
    ['version_0', 'version_1']
    >>> run_names([Path("logs/190M-1xC.csv"), Path("logs/1B-1xC.csv.gz")])
    ['190M-1xC', '1B-1xC']
    """
    stems = [uncompressed(file).with_suffix("") for file in files]
    if len(files) == 1:
        return [stems[0].name]
    common = os.path.commonpath([stem.absolute().parent for stem in stems])
    names = [stem.absolute().relative_to(common) for stem in stems]
    if len({name.name for name in names}) == 1:
        names = [name.parent for name in names]
    return [name.as_posix() for name in names]


def _notes(files: Sequence[Path], frames: Sequence[pd.DataFrame], named: bool) -> list[Note]:
    said = "" if named else "; run is the file's name, since no column says it"
    notes = [Note("several_files", "info", f"The rows of {len(files)} files are read{said}.")]
    holders: dict[str, int] = {}
    for frame in frames:
        for column in frame:
            holders[str(column)] = holders.get(str(column), 0) + 1
    partly = [f"{name} ({n})" for name, n in holders.items() if n < len(files)]
    if partly:
        more = ", ..." if len(partly) > SHOWN else ""
        notes.append(
            Note(
                "columns_differ",
                "info",
                f"Not all of the {len(files)} files have the columns {', '.join(partly[:SHOWN])}"
                f"{more}: in brackets how many have each. Elsewhere they are empty.",
            )
        )
    return notes
