"""Writing files: whole or not at all, and a refusal says why."""

from __future__ import annotations

import errno
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from scalekit.errors import InputError, OutputError
from scalekit.files import read_delimited, to_json, write_atomically, write_text


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = write_text(tmp_path / "fit.json", "old")

    def interrupted(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, interrupted)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_leaves_the_old_file_and_says_why(tmp_path: Path) -> None:
    target = write_text(tmp_path / "fit.json", "old")

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match=r"fit\.json: No space left on device\. Choose another"):
        write_atomically(target, full)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    assert write_text(tmp_path / "a.txt", "new").read_text() == "new"


def test_a_writer_that_chooses_by_suffix_sees_the_suffix(tmp_path: Path) -> None:
    seen = []
    write_atomically(tmp_path / "a.parquet", lambda temporary: seen.append(temporary.suffix))
    assert seen == [".parquet"]


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"it is a directory. Give a file name"):
        write_text(tmp_path, "text")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"there is no directory .*nowhere. Make it first"):
        write_text(tmp_path / "nowhere" / "a.txt", "text")


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(
        "tempfile.mkstemp", refuse
    )  # the tests may run as root, whom all folders let in
    with pytest.raises(OutputError, match=r"Cannot write .*a\.txt: Permission denied"):
        write_text(tmp_path / "a.txt", "text")


def test_json_is_strict() -> None:
    value = {"nan": np.nan, "inf": float("inf"), "array": np.arange(2), "number": np.float64(0.5)}
    expected = {"nan": None, "inf": None, "array": [0, 1], "number": 0.5}
    assert json.loads(to_json(value)) == expected


@pytest.mark.parametrize(
    "text",
    ["a,b\nx,0.5\n", "a;b\nx;0,5\n", "a;b\nx;0.5\n", "a\tb\nx\t0.5\n", "\ufeffa, b\nx, 0.5\n"],
)
def test_a_table_of_text_may_have_any_of_three_separators(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    assert read_delimited(path).to_dict("list") == {"a": ["x"], "b": [0.5]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"table\.csv is empty. Give a file with a header and one row a line."),
        (b"a,b\n1,2\n1,2,3,4\n", "header of 2 columns .* Expected 2 fields in line 3, saw 4"),
        (
            b"a,b\n1,2,3\n4,5,6\n",
            "rows that do not fit its header of 2 columns separated by ',': they have more values "
            "than it has names. Quote values that hold the separator.",
        ),
        (b"a,\xff\n1,2\n", "is not UTF-8 text .* Save it again as CSV in UTF-8."),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_delimited(path)


def test_a_compressed_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"\na;b\nx;0,5\n"))
    assert read_delimited(path).to_dict("list") == {"a": ["x"], "b": [0.5]}
