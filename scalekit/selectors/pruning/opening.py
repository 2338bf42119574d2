"""Tables as users have them: files or frames, whose columns go by several names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.names import read_with_names
from scalekit.notes import Note
from scalekit.selectors.prototypes.features import ID_COLUMNS, id_columns
from scalekit.selectors.scores.columns import LABEL_NAMES
from scalekit.selectors.scores.table import ScoreTable, open_scores

NAMES = {"id": ID_COLUMNS, "label": LABEL_NAMES}


@dataclass(frozen=True)
class Opened:
    """A table of scores with a column `id`, what to call it in messages, and what it came with."""

    frame: pd.DataFrame
    name: str
    notes: tuple[Note, ...] = ()


def open_each(source: Any) -> list[Opened]:
    """Return the one table of scores, or those of several seeds, each with unique ids."""
    if isinstance(source, Sequence) and not isinstance(source, str):
        if not len(source):
            raise InputError("There is no table of scores. Give one, or one for each seed.")
        return [_open(entry, f"table {k}") for k, entry in enumerate(source)]
    return [_open(source, "the table")]


def open_table(source: Any) -> pd.DataFrame:
    """Return the table of scores in a folder, a file, a ScoreTable or a data frame."""
    return open_each(source)[0].frame


def _open(source: Any, name: str) -> Opened:
    notes: tuple[Note, ...] = ()
    if isinstance(source, ScoreTable):
        frame, name, notes = source.frame, source.provenance.source or name, source.notes
    elif isinstance(source, pd.DataFrame):
        frame = source
    elif hasattr(source, "to_pandas"):  # a frame of polars or pyarrow
        frame = source.to_pandas()
    elif not isinstance(source, (str, Path)):
        raise InputError(
            f"{name} must be a folder or file of scores, or a frame; got {type(source).__name__}."
        )
    else:
        name = str(source)
        if Path(source).is_dir():
            opened = open_scores(source)
            frame, notes = opened.frame, opened.notes
        else:
            frame = read_table(source, "Give a folder of scores, or a table with a column 'id'.")
    frame = renamed(frame, NAMES)
    if frame.empty:
        raise InputError(f"{name} has no rows. Give one row an example.")
    if "id" not in frame:
        raise ColumnNotFoundError(
            f"{name} has no column 'id' (nor {', '.join(ID_COLUMNS[1:])}); it has "
            f"{', '.join(map(str, frame))}. Rename the column that names the examples to 'id'."
        )
    lacking = np.flatnonzero(frame["id"].isna())
    if len(lacking):
        raise InputError(
            f"{name}: row {lacking[0]} has no id ({len(lacking)} rows in all). Every example needs "
            "an id of its own."
        )
    twice = frame["id"][frame["id"].duplicated()]
    if len(twice):
        raise InputError(
            f"{name}: the id '{twice.iloc[0]}' occurs more than once ({len(twice)} rows repeat an "
            "id). Every example needs an id of its own."
        )
    return Opened(frame.reset_index(drop=True), name, notes)


def read_table(path: str | Path, advice: str = "") -> pd.DataFrame:
    """Return a .csv, .tsv or .parquet file; raises InputError where it cannot be read."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist. {advice}".rstrip())
    if path.suffix not in (".csv", ".tsv", ".parquet"):
        raise InputError(
            f"{path} is no .csv, .tsv or .parquet file, and no folder. {advice}".rstrip()
        )
    if path.suffix != ".parquet":
        return read_with_names(path, id_columns)
    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's own errors are of these
        raise InputError(f"{path} cannot be read as a table: {error}") from error


def renamed(frame: pd.DataFrame, names: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the frame with each role's first known name turned into the role; roles go first."""
    found = {}
    for role, known in names.items():
        if role not in frame:
            name = next((n for n in known if n in frame), None)
            if name is not None:
                found[name] = role
    return frame.rename(columns=found)


def take_columns(
    source: Any, names: Mapping[str, Sequence[str]], what: str, numbers: Sequence[str]
) -> tuple[pd.DataFrame, str, dict[str, str]]:
    """Return the columns `names` of a frame or a file by role, its name, what each was called.

    `numbers` are the roles that must hold finite numbers. Raises ColumnNotFoundError that says
    which column to rename, InputError that names the row that is no number.
    """
    from_file = isinstance(source, (str, Path))
    name = f"{what} {source}" if from_file else what
    given = read_table(source) if from_file else pd.DataFrame(source)
    frame = renamed(given, names)
    for role, known in names.items():
        if role not in frame:
            also = ", ".join(k for k in known if k != role)
            raise ColumnNotFoundError(
                f"{name} has no column '{role}'{f' (nor {also})' if also else ''}; it has "
                f"{', '.join(map(str, given))}. Rename the one that holds it to '{role}'."
            )
    called = {str(new): str(old) for new, old in zip(frame, given, strict=True)}
    frame = frame[list(names)].copy()
    for role in numbers:
        values = pd.to_numeric(frame[role], errors="coerce").to_numpy(float)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise InputError(
                f"{name}: row {bad[0]} of column '{role}' holds '{frame[role].iloc[bad[0]]}'; a "
                "finite number is needed. Correct it, or leave the row out."
            )
        frame[role] = values
    return frame, name, called


def read_labels(path: str | Path) -> np.ndarray:
    """Return the column of labels of a file, in its order."""
    return take_columns(path, {"label": LABEL_NAMES}, "labels", ())[0]["label"].to_numpy()
