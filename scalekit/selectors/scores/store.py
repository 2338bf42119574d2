"""Shards of scores on disk: written beside and renamed, described by a manifest, checked on use.

A folder holds `manifest.json` and `shard-00000.parquet`, ... Each shard carries in its metadata
the fingerprint of the run, its range of rows, a hash of its content and the examples that were
left out; so any number of workers may write shards, and a killed run loses only unfinished ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalekit.errors import OutputError
from scalekit.files import to_json, write_atomically, write_text
from scalekit.version import __version__

MANIFEST = "manifest.json"
KEY = b"scalekit"
RUN = ("scores", "model", "checkpoints", "learning_rates", "dtype", "seed", "data", "columns",
       "reference", "n_rows", "shard_rows", "sketch_width", "per_layer")  # fmt: skip


@dataclass(frozen=True)
class Shard:
    """The columns of a run of rows, and the examples left out of it: id -> reason."""

    columns: Mapping[str, np.ndarray]
    skipped: Mapping[str, str]


class Store:
    """A folder of shards of one run, which `header` describes."""

    def __init__(self, folder: str | Path, header: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.header = json.loads(to_json(dict(header)))
        self.fingerprint = fingerprint_of(self.header)

    @classmethod
    def open(cls, folder: str | Path, header: Mapping[str, Any], resume: bool) -> Store:
        """Return the store at `folder`, made new, or continued where `resume` is true.

        Raises OutputError where there is a run already and `resume` is false, or where it is
        another run: another model, other data, other scores.
        """
        store = cls(folder, header)
        manifest = store.folder / MANIFEST
        if manifest.exists() and (resume or any(store.folder.glob("shard-*.parquet"))):
            if not resume:
                raise OutputError(
                    f"{store.folder} holds scores already. Go on with resume=True (--resume), or "
                    "choose another folder."
                )
            store._must_match(read_manifest(store.folder))
            return store
        there = store.folder.iterdir() if store.folder.is_dir() else ()
        if any(not is_unfinished(path) and path != manifest for path in there):
            raise OutputError(f"{store.folder} is not empty and holds no scores. Choose another.")
        try:
            store.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"Cannot make the folder {store.folder}: {error.strerror}."
            ) from error
        write_text(manifest, to_json({**store.header, "complete": False}) + "\n")
        return store

    def _must_match(self, found: Mapping[str, Any]) -> None:
        for name in RUN:
            if found.get(name) != self.header.get(name):
                raise OutputError(
                    f"{self.folder} was begun with {name} {short(found.get(name))}, but this run "
                    f"has {short(self.header.get(name))}. Scores of two runs are not mixed: undo "
                    "the change, or choose another folder."
                )

    def path(self, k: int) -> Path:
        """Return the file of shard k."""
        return self.folder / f"shard-{k:05d}.parquet"

    def has(self, k: int) -> bool:
        """Whether shard k is there, whole, and of this run; raises OutputError where tampered."""
        if not self.path(k).exists():
            return False
        read_shard(self.path(k), self.fingerprint, k)
        return True

    def write(self, k: int, shard: Shard) -> Path:
        """Write shard k atomically."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        about = {
            "fingerprint": self.fingerprint,
            "shard": k,
            "content": hash_columns(shard.columns),
            "skipped": dict(shard.skipped),
        }
        columns = {name: as_column(values) for name, values in shard.columns.items()}
        table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(about)})
        return write_atomically(
            self.path(k), lambda temporary: pq.write_table(table, temporary, compression="zstd")
        )

    def finish(self, n_shards: int, notes: list[dict[str, str]]) -> None:
        """Complete the manifest: shards with their rows and hashes, and the examples left out."""
        listed: list[dict[str, Any]] = []
        skipped: dict[str, str] = {}
        where: dict[Any, int] = {}
        for k in range(n_shards):
            shard = read_shard(self.path(k), self.fingerprint, k)
            ids = shard.columns["id"].tolist() if shard.columns else []
            again = [name for name in ids if where.setdefault(name, k) != k]
            if again:
                raise OutputError(
                    f"Ids are not unique: {len(again)} of {self.path(k)}, such as {again[:5]}, "
                    f"are in {self.path(where[again[0]]).name} too. The shards are kept, but the "
                    "run is not complete. Give each example its own id and score into a new folder."
                )
            rows = len(ids)
            listed.append(
                {"file": self.path(k).name, "rows": rows, "sha256": hash_file(self.path(k))}
            )
            skipped |= shard.skipped
        told = {note["code"] for note in notes}  # what an earlier process noted is kept
        manifest = self.folder / MANIFEST
        before = read_manifest(self.folder).get("notes", []) if manifest.exists() else []
        notes = [*(note for note in before if note["code"] not in told), *notes]
        whole = {**self.header, "complete": True, "shards": listed, "skipped": skipped,
                 "notes": notes}  # fmt: skip
        write_text(manifest, to_json(whole) + "\n")


def as_column(values: np.ndarray) -> Any:
    """Return an array as an Arrow column; vectors become fixed-size lists."""
    import pyarrow as pa

    if values.ndim == 1:
        return pa.array(values)
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def read_shard(path: Path, fingerprint: str | None = None, k: int | None = None) -> Shard:
    """Return a shard; raises OutputError where it is damaged, changed, or not shard k."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from scalekit.selectors.scores.files import as_array

    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[KEY])
        content, run, number = about["content"], about["fingerprint"], about["shard"]
        skipped = dict(about["skipped"])
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
        raise OutputError(
            f"{path} is not a whole shard of scores ({error}). Delete it and run again with "
            "resume=True (--resume)."
        ) from error
    columns = {name: as_array(table.column(name)) for name in table.column_names}
    if hash_columns(columns) != content:
        raise OutputError(
            f"{path} was changed after it was written: its content does not have the hash it was "
            "written with. Delete it and run again with resume=True (--resume)."
        )
    if fingerprint is not None and run != fingerprint:
        raise OutputError(f"{path} belongs to another run. Move it out of this folder.")
    if k is not None and number != k:
        raise OutputError(
            f"{path} holds shard {number}, not shard {k}: it was renamed or copied. Delete it and "
            "run again with resume=True (--resume)."
        )
    return Shard(columns, skipped)


def is_unfinished(path: Path) -> bool:
    """Whether `path` is a file that a killed run was writing: it has not its final name yet."""
    return path.name.startswith((".manifest-", ".shard-"))


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Return the manifest of a folder of scores."""
    path = Path(folder) / MANIFEST
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"{folder} holds no scores: cannot read {path} ({error}).") from error
    if found.get("kind") != "scores" or not {"complete", "scores"} <= set(found):
        raise OutputError(
            f"{path} is not the manifest of a run of scores. Give the folder that `scalekit score` "
            "wrote, or score into a new one."
        )
    return found


def fingerprint_of(header: Mapping[str, Any]) -> str:
    """Return a hash of what identifies a run."""
    known = {name: header[name] for name in RUN if name in header} | {
        "version": header.get("format")
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def hash_columns(columns: Mapping[str, np.ndarray]) -> str:
    """Return a hash of names and values."""
    digest = hashlib.sha256()
    for name, values in columns.items():
        digest.update(f"{name}{values.shape}".encode())
        if values.dtype.kind in "OU":
            digest.update("\x1f".join(map(str, values.tolist())).encode())
        else:
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def short(value: Any) -> str:
    """Return a value for an error message, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def header_of(**values: Any) -> dict[str, Any]:
    """Return the head of a manifest."""
    return {"kind": "scores", "format": 1, "version": __version__, **values}
