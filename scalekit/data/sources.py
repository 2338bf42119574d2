"""Where tables come from: a path of any supported format, or a frame of any library."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalekit.columns import NUMBERS, Locate, Reading
from scalekit.data.delimited import HEAD_ROWS, sniff
from scalekit.data.exports import from_chart, from_trainer_state, is_chart, is_trainer_state
from scalekit.data.folders import files_of, is_pattern, stack
from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.tables import RunTable

SMALL_FILE = 64 * 2**20  # bytes; columns without a role are kept in files up to this size
MANY_ROWS = 1_000_000  # the same for Parquet, whose bytes say little about its size in memory
# first bytes of files that hold no table, and what to do with them
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; save the sheet as CSV",
    b"SQLite format 3": "an SQLite database; export the table of runs as CSV",
    b"\xff\xfe": "UTF-16 text; save it again as CSV in UTF-8",
    b"\xfe\xff": "UTF-16 text; save it again as CSV in UTF-8",
    b"\x89HDF": "an HDF5 file; export the table of runs as CSV or Parquet",
    b"ARROW1": "an Arrow or Feather file; read it with pyarrow.feather and pass the table",
}
FORMATS = "CSV, TSV, JSON, JSON lines or Parquet"


@dataclass(frozen=True)
class Source:
    """A table not yet loaded: its name, its first rows, and how to load what is needed of it.

    `load` takes the readings and returns blocks of rows; where `partial` it returns only the
    columns that these name.
    """

    name: str
    head: pd.DataFrame
    load: Callable[[Sequence[Reading]], Iterable[pd.DataFrame]]
    locate: Locate
    partial: bool = False
    decimal_comma: bool = False
    notes: tuple[Note, ...] = ()


def open_source(table: Any) -> Source:
    """Return the source for a path, a frame (pandas, polars, pyarrow), a dict or list of records.

    A directory, a pattern ("logs/*/metrics.csv") and a list of paths stand for one table a run.
    Raises InputError, saying what was found, where it is none of these or cannot be read.
    """
    if isinstance(table, (str, Path)):
        path = Path(table).expanduser()
        if path.is_dir() or is_pattern(path):
            return _open_files(files_of(path), str(table))
        return _open_path(path)
    if isinstance(table, list) and table and all(isinstance(one, (str, Path)) for one in table):
        return _open_files([Path(one).expanduser() for one in table], f"{len(table)} files")
    if isinstance(table, RunTable):
        return _from_frame(table.frame, table.provenance.source)
    if isinstance(table, pd.DataFrame):
        return _from_frame(table, "the table")
    if isinstance(table, (dict, list)):
        return _from_frame(_frame_of_records(table, "the table"), "the table")
    return _from_frame(_through_narwhals(table), "the table")


def _from_frame(frame: pd.DataFrame, name: str, locate: Locate | None = None) -> Source:
    repeated = frame.columns[frame.columns.duplicated()].unique()
    if len(repeated):
        listed = ", ".join(repr(str(column)) for column in repeated)
        raise InputError(f"{name} has more than one column named {listed}. Rename all but one.")
    by_label = locate or (lambda position: f"row {frame.index[position]!r}")
    return Source(name, frame.head(HEAD_ROWS), lambda _: [frame], by_label)


def _through_narwhals(table: Any) -> pd.DataFrame:
    import narwhals as nw

    try:
        frame = nw.from_native(table)
    except TypeError:
        raise InputError(
            f"read_runs takes a path, a frame (pandas, polars, pyarrow) or a dict of columns; "
            f"got {type(table).__name__}."
        ) from None
    collected = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    return collected.to_pandas()


def _open_files(files: Sequence[Path], name: str) -> Source:
    """Return the tables of `files` one under the other, in memory."""
    sources = [_open_path(file) for file in files]
    everything = [[Reading("", str(column)) for column in source.head] for source in sources]
    frames = [
        pd.concat(source.load(columns), ignore_index=True)
        for source, columns in zip(sources, everything, strict=True)
    ]
    stacked = stack(files, frames)
    heads = stacked.frame.groupby(stacked.file_of_row, sort=False)
    return Source(
        name,
        heads.head(max(HEAD_ROWS // len(files), 1)),
        lambda _: [stacked.frame],
        lambda position: stacked.place(position, [source.locate for source in sources]),
        decimal_comma=any(source.decimal_comma for source in sources),
        notes=stacked.notes,
    )


def _open_path(path: Path) -> Source:
    if not path.exists():
        folder = path.parent
        beside = [file.name for file in folder.iterdir()] if folder.is_dir() else []
        raise InputError(f"There is no file {path}. {did_you_mean(path.name, sorted(beside))}")
    first = _first_bytes(path)
    if not first.removeprefix(b"\xef\xbb\xbf").strip():
        raise InputError(f"{path} is empty. Give a file with a header and one row a run.")
    for magic, what in FOREIGN.items():
        if first.startswith(magic):
            raise InputError(f"{path.name} is {what}. scalekit reads {FORMATS}.")
    if first.startswith(b"PAR1"):
        return _open_parquet(path)
    if b"\0" in first:
        raise InputError(f"{path.name} is a binary file of unknown format. Give {FORMATS}.")
    if first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return _from_frame(_read_json(path), path.name, _by_number)
    return _open_delimited(path)


def _first_bytes(path: Path) -> bytes:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            return bytes(file.read(4096))
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read {path}: {reason}.") from error


def _open_delimited(path: Path) -> Source:
    file = sniff(path)
    if is_chart(file.names):
        frame, places, note = from_chart(file.whole(), path.name)
        by_place = lambda position: _by_number(int(places[position]))  # noqa: E731
        return Source(path.name, frame, lambda _: [frame], by_place, notes=(note,))
    large = path.stat().st_size > SMALL_FILE

    def load(readings: Sequence[Reading]) -> Iterable[pd.DataFrame]:
        if not large:
            return [file.whole()]
        columns = list(dict.fromkeys(reading.column for reading in readings))
        numbers = [reading.column for reading in readings if reading.role in NUMBERS]
        return file.blocks(columns, numbers)

    return Source(path.name, file.head(), load, _by_number, large, file.decimal == ",")


def _open_parquet(path: Path) -> Source:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        head = next(file.iter_batches(HEAD_ROWS), None)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path.name} is a damaged Parquet file: {error}.") from error
    first = head.to_pandas() if head is not None else file.schema_arrow.empty_table().to_pandas()
    large = file.metadata.num_rows > MANY_ROWS

    def load(readings: Sequence[Reading]) -> Iterable[pd.DataFrame]:
        columns = list(dict.fromkeys(reading.column for reading in readings)) if large else None
        return (batch.to_pandas() for batch in file.iter_batches(2**20, columns=columns))

    return Source(path.name, first, load, _by_number, large)


def _read_json(path: Path) -> pd.DataFrame:
    """Return the records of a JSON file: a list, a dict of columns, or one object a line."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as file:
        text = file.read()
    try:
        return _frame_of_records(json.loads(text), path.name)
    except json.JSONDecodeError as whole:
        records = []
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                records += [json.loads(line)] if line.strip() else []
            except json.JSONDecodeError as error:
                only = whole if number == 1 else error
                raise InputError(
                    f"{path.name}, line {number} is no JSON: {only}. Give a list of records, or "
                    "one record a line."
                ) from error
        return _frame_of_records(records, path.name)


def _frame_of_records(data: Any, name: str) -> pd.DataFrame:
    """Return records or columns as a frame; nested fields become "outer.inner"."""
    if is_trainer_state(data):
        data = from_trainer_state(data)
    if isinstance(data, Mapping) and not any(_is_column(value) for value in data.values()):
        data = [data]
    try:
        if isinstance(data, Mapping):
            return pd.DataFrame(data)
        if all(isinstance(record, Mapping) for record in data):
            return pd.json_normalize(data)
    except ValueError as error:
        raise InputError(f"{name} cannot be read as columns: {error}.") from error
    raise InputError(f"{name} holds a list whose entries are no records. Give one object a run.")


def _is_column(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes, Mapping))


def _by_number(position: int) -> str:
    return f"data row {position + 1}"
