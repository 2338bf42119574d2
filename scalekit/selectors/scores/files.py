"""Examples in files: Parquet, JSON lines, NumPy arrays; rows are read as they are needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.selectors.scores.batch import Batch
from scalekit.selectors.scores.columns import ID_NAMES, LABEL_NAMES, Prepare, from_columns
from scalekit.selectors.scores.ids import WHOLE_HASH, unique_ids

if TYPE_CHECKING:
    import pyarrow as pa


class TableSource:
    """Rows of tables with columns: one or more Parquet files, JSON lines, or a data frame.

    `parts` are blocks (row groups, runs of lines) that `_load` reads; the last one is kept.
    """

    def __init__(
        self,
        name: str,
        blocks: Sequence[tuple[Any, int]],
        columns: Sequence[str],
        digest: str,
        inputs: Sequence[str] | None = None,
        prepare: Prepare | None = None,
        label: str | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:
        self.name = name
        self._blocks = [block for block, _ in blocks]
        self._starts = np.cumsum([0, *(size for _, size in blocks)])
        self.n: int = int(self._starts[-1])
        for asked in (*(inputs or ()), *filter(None, (label, id))):
            if asked not in columns:
                raise ColumnNotFoundError(
                    f"{name} has no column '{asked}'. {did_you_mean(asked, columns)}"
                )
        label = label or next((known for known in LABEL_NAMES if known in columns), None)
        id = id or next((known for known in ID_NAMES if known in columns), None)  # noqa: A001
        self._label, self._id, self._prepare, self._digest = label, id, prepare, digest
        chosen = inputs if inputs is not None else columns
        wanted = dict.fromkeys((*chosen, *filter(None, (label, id))))
        self._columns = list(wanted)
        self._kept: tuple[int, pa.Table] | None = None
        self.ids = np.arange(self.n)
        if id is not None:
            whole = [self._load(k, [id]).column(id).to_numpy() for k in range(len(self._blocks))]
            self.ids = unique_ids(np.concatenate(whole) if whole else np.arange(0), self.n)

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, **options: Any) -> TableSource:
        """Return the rows of a data frame as a source."""
        import pyarrow as pa

        from scalekit.results import hash_frame

        table = pa.Table.from_pandas(frame, preserve_index=False)
        try:
            digest = hash_frame(frame)
        except TypeError:  # columns of lists
            digest = hashlib.sha256(frame.to_json().encode()).hexdigest()[:16]
        return cls("the table", [(table, len(frame))], table.column_names, digest, **options)

    def read(self, rows: np.ndarray) -> Batch:
        """Return the examples at `rows`."""
        import pyarrow as pa

        parts = []
        block = np.searchsorted(self._starts, rows, side="right") - 1
        for k in np.unique(block):
            parts.append(self._cached(int(k)).take(rows[block == k] - self._starts[k]))
        try:
            table = pa.concat_tables(parts, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise InputError(
                f"{self.name} holds columns whose type changes from part to part: {error}"
            ) from error
        columns = {name: self._array(table, name) for name in self._columns}
        try:
            batch = from_columns(columns, rows, self._prepare, self._label, None, self._id)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error
        return Batch(self.ids[rows], rows, batch.inputs, batch.labels)

    def fingerprint(self) -> str:
        """Return a hash of the files' content."""
        return self._digest

    def _array(self, table: pa.Table, name: str) -> np.ndarray:
        column = table.column(name)
        if column.null_count:
            raise InputError(
                f"{self.name}: column '{name}' has no value (null). Fill it in, or leave such rows "
                "out of the file."
            )
        return as_array(column)

    def _cached(self, k: int) -> pa.Table:
        if self._kept is None or self._kept[0] != k:
            self._kept = (k, self._load(k, self._columns))
        return self._kept[1]

    def _load(self, k: int, columns: list[str]) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from pyarrow import json as arrow_json

        block = self._blocks[k]
        if isinstance(block, pa.Table):
            return block.select(columns)
        path, where = block
        if path.suffix == ".parquet":
            return pq.ParquetFile(path).read_row_group(where, columns=columns)
        with path.open("rb") as lines:
            lines.seek(where[0])
            text = lines.read(where[1] - where[0])
        try:
            table = arrow_json.read_json(pa.BufferReader(text))
            plain = without_times(table.schema)
            if plain != table.schema:  # JSON has no times: what looks like one is a text
                options = arrow_json.ParseOptions(explicit_schema=plain)
                table = arrow_json.read_json(pa.BufferReader(text), parse_options=options)
            return table.select(columns)
        except (pa.ArrowInvalid, KeyError) as error:
            raise InputError(
                f"{path}, lines {where[2] + 1} and on: cannot be read as JSON lines with the "
                f"columns {columns}: {error}"
            ) from error


def file_source(path: Path, **options: Any) -> TableSource:
    """Return the rows of a .parquet or .jsonl file, or of a folder of such files, as a source."""
    files = sorted(p for p in path.iterdir() if p.suffix in (".parquet", ".jsonl")) \
        if path.is_dir() else [path]  # fmt: skip
    if not files or not files[0].is_file():
        raise InputError(
            f"There is no data at {path}. Give a .parquet, .jsonl or .npy file, or a folder of "
            "Parquet or JSON-lines files."
        )
    suffixes = {file.suffix for file in files}
    if suffixes - {".parquet", ".jsonl"}:
        raise InputError(f"{path} is not a .parquet, .jsonl or .npy file.")
    blocks: list[tuple[Any, int]] = []
    columns: list[str] = []
    for file in files:
        found, names = parquet_blocks(file) if file.suffix == ".parquet" else jsonl_blocks(file)
        blocks += found
        if columns and names != columns:
            raise InputError(f"{file} has the columns {names}, but {files[0]} has {columns}.")
        columns = names
    return TableSource(path.name, blocks, columns, hash_files(files), **options)


def parquet_blocks(path: Path) -> tuple[list[tuple[Any, int]], list[str]]:
    """Return the row groups of a Parquet file and its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}") from error
    groups = range(file.metadata.num_row_groups)
    blocks = [((path, k), file.metadata.row_group(k).num_rows) for k in groups]
    names = file.schema_arrow.names  # of which pandas keeps an index without a name as a column
    return blocks, [name for name in names if not name.startswith("__index_level_")]


def jsonl_blocks(path: Path, size: int = 4096) -> tuple[list[tuple[Any, int]], list[str]]:
    """Return runs of lines of a JSON-lines file, by byte offsets, and its columns."""
    blocks: list[tuple[Any, int]] = []
    names: list[str] = []
    start = position = count = line_of_start = number = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            position += len(line)
            if not line.strip():
                continue
            names = names or json_keys(line, f"{path}, line {number + 1}")
            count += 1
            if count == size:
                blocks.append(((path, (start, position, line_of_start)), count))
                start, count, line_of_start = position, 0, number + 1
    if count:
        blocks.append(((path, (start, position, line_of_start)), count))
    return blocks, names


def json_keys(line: bytes, where: str) -> list[str]:
    """Return the keys of the JSON object in `line`."""
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where} is not JSON: {error}. Give one JSON object a line.") from error
    if not isinstance(found, dict):
        raise InputError(f"{where} holds a {type(found).__name__}; expected a JSON object a line.")
    return list(found)


def as_array(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as an array; lists of one length become further axes, others objects."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count:
        raise InputError(f"A column of type {column.type} holds {column.null_count} nulls.")
    array = column.combine_chunks()
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    shape = [len(array)]
    while is_list(array.type):
        sizes = pc.unique(pc.list_value_length(array))
        if len(sizes) != 1:
            ragged = np.empty(len(column), dtype=object)
            ragged[:] = [np.asarray(value) for value in column.to_pylist()]
            return ragged
        shape.append(sizes[0].as_py())
        array = array.flatten()
    values: np.ndarray = array.to_numpy(zero_copy_only=False)
    return values.reshape(shape)


def without_times(schema: pa.Schema) -> pa.Schema:
    """Return the schema with texts where pyarrow took texts for points in time."""
    import pyarrow as pa

    def plain(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_timestamp(kind):
            return pa.string()
        if pa.types.is_list(kind):
            return pa.list_(plain(kind.value_type))
        if pa.types.is_struct(kind):
            return pa.struct([(field.name, plain(field.type)) for field in kind])
        return kind

    return pa.schema([(field.name, plain(field.type)) for field in schema])


def is_list(kind: pa.DataType) -> bool:
    """Whether a column's type is a list of any sort."""
    import pyarrow as pa

    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def hash_files(files: Sequence[Path]) -> str:
    """Return a hash of the content of files: of all of it, or of blocks of large ones."""
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name}{size}".encode())
        with path.open("rb") as file:
            if size <= WHOLE_HASH:
                digest.update(file.read())
                continue
            for first in np.linspace(0, size - 2**20, 64).astype(int):
                file.seek(int(first))
                digest.update(file.read(2**20))
    return digest.hexdigest()[:16]
