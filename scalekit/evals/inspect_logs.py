"""Logs of Inspect (UK AISI), .json and .eval: samples with one value per scorer and epoch.

Layout: inspect-ai 0.3.285. Values are letters (C correct, P partial, I incorrect, N no answer),
and the .eval archive is compressed with Zstandard, which Python's zipfile opens only from 3.14;
its members are therefore found by zipfile and decompressed by pyarrow.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.evals.logs import LogRows, split_run_name
from scalekit.notes import Note

ZSTANDARD = 93  # the compression method's number in a zip archive
LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}


def is_inspect(path: Path) -> bool:
    """Return whether `path` is an Inspect log, by its suffix or its first bytes."""
    if path.suffix == ".eval":
        return True
    if path.suffix != ".json":
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.read(4096)
    return '"eval"' in head and ('"status"' in head or '"version"' in head)


def read_inspect(files: Iterable[Path], roles: Mapping[str, str]) -> LogRows:
    """Return one row per sample, epoch and scorer; epochs are repeated samples.

    The recipe is the model's name; seed and step are read out of it where it says them.
    `roles["cluster"]` names a field of the sample's metadata.
    """
    return LogRows.join([_read_one(path, roles.get("cluster")) for path in files])


def _read_one(path: Path, cluster: str | None) -> LogRows:
    log = _load(path)
    samples = log.get("samples") or []
    if not samples:
        raise InputError(
            f"{path}: this Inspect log has no samples (status: {log.get('status')}). "
            "Scores per sample are needed; log them, or give the log of the whole evaluation."
        )
    notes = []
    if log.get("status") != "success":
        notes.append(
            Note(
                "inspect-status",
                "warning",
                f"{path.name}: the status is '{log.get('status')}', so samples may be missing.",
            )
        )
    run = split_run_name(str(log["eval"].get("model", path.stem)).replace("/", "__"))
    rows = [
        {
            "item": sample["id"],
            "sample": int(sample.get("epoch", 1)),
            **_cluster(sample, cluster, path),
            **score,
        }
        for sample in samples
        for score in _scores(sample, path)
    ]  # fmt: skip
    if not rows:
        raise InputError(f"{path}: no sample has a score. Run `inspect score` on the log first.")
    frame = pd.DataFrame(rows).assign(
        recipe=run.recipe,
        seed=run.seed or 0,
        step=run.step or 0,
        benchmark=str(log["eval"].get("task", path.stem)),
    )
    return LogRows(frame, str(path), notes)


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".eval":
            return _load_archive(path)
        log = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not a complete Inspect log ({error}).") from error
    if not isinstance(log, dict) or "eval" not in log:
        raise InputError(f"{path}: not an Inspect log: it has no field 'eval'.")
    return log


def _load_archive(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            log = json.loads(_member(path, archive, archive.getinfo("header.json")))
            members = [m for m in archive.infolist() if m.filename.startswith("samples/")]
            log["samples"] = [json.loads(_member(path, archive, member)) for member in members]
            return dict(log)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise InputError(f"{path}: not a complete Inspect archive ({error}).") from error


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type != ZSTANDARD:
        return archive.read(member)
    import pyarrow as pa

    with path.open("rb") as file:
        file.seek(member.header_offset + 26)  # a local header: 30 bytes, then name and extra field
        name, extra = struct.unpack("<HH", file.read(4))
        file.seek(name + extra, 1)
        packed = file.read(member.compress_size)
    return bytes(pa.CompressedInputStream(pa.BufferReader(packed), "zstd").read())


def _scores(sample: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    rows = []
    for scorer, score in (sample.get("scores") or {}).items():
        value = score.get("value")
        values = value if isinstance(value, dict) else {"": value}
        rows += [
            {"metric": f"{scorer}_{name}" if name else scorer, "value": _number(one, sample, path)}
            for name, one in values.items()
        ]
    return rows


def _number(value: object, sample: dict[str, Any], path: Path) -> float | None:
    if isinstance(value, str) and value.strip().upper() in LETTERS:
        return LETTERS[value.strip().upper()]
    try:
        return None if value is None else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(
            f"{path}, sample {sample['id']}: the score is {value!r}; expected a number or one of "
            f"{', '.join(LETTERS)}."
        ) from None


def _cluster(sample: dict[str, Any], field: str | None, path: Path) -> dict[str, str]:
    if field is None:
        return {}
    metadata = sample.get("metadata") or {}
    if field not in metadata:
        raise InputError(
            f"{path}, sample {sample['id']}: no metadata '{field}' to cluster by. "
            f"{did_you_mean(field, metadata)}"
        )
    return {"cluster": str(metadata[field])}
