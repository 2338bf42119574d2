"""Logs of one file a run: a directory, a pattern or a list of paths is one table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scalekit.cli.main import build_app
from scalekit.data import read_runs
from scalekit.errors import InputError
from scalekit.tables import RunTable

SMALL = "step,n_params,tokens,val_loss\n1,1e6,1e7,5\n2,1e6,2e7,4\n"
LARGE = "step,n_params,tokens,val_loss\n1,1e7,1e8,4\n2,1e7,2e8,3\n3,1e7,,2.9\n"


def read(table: object, **columns: str | None) -> RunTable:
    return read_runs(table, quiet=True, **columns)


def messages(runs: RunTable) -> dict[str, str]:
    return {note.code: note.message for note in runs.notes}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A directory with a log for each of two runs, and things that are no tables."""
    folder = tmp_path / "logs"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "190M-0.5xC.csv").write_text(SMALL)
    (folder / "1B-1xC.csv.gz").write_bytes(gzip.compress(LARGE.encode()))
    (folder / "loss.png").write_bytes(b"\x89PNG\r\n")
    (folder / ".hidden.csv").write_text("nothing")
    return folder


def test_a_directory_is_read_as_one_run_a_file(logs: Path) -> None:
    runs = read(str(logs))
    assert runs.frame["run"].tolist() == ["190M-0.5xC"] * 2 + ["1B-1xC"] * 2
    assert runs.frame["loss"].tolist() == [5, 4, 4, 3]
    assert messages(runs)["several_files"] == (
        "The rows of 2 files are read; run is the file's name, since no column says it."
    )


def test_a_row_left_out_is_named_by_its_file(logs: Path) -> None:
    runs = read(logs)
    assert runs.provenance.rows_left_out == {"tokens is missing or NaN": 1}
    assert any("1B-1xC.csv.gz, data row 3" in note.message for note in runs.notes)


def test_the_last_step_of_each_file_can_be_asked_for(logs: Path) -> None:
    runs = read_runs(logs, quiet=True, last_step=True)
    assert runs.frame["loss"].tolist() == [4, 3]


def test_files_called_alike_are_named_by_their_directory(tmp_path: Path) -> None:
    for version in ("version_0", "version_1"):
        (tmp_path / "logs" / version).mkdir(parents=True)
        (tmp_path / "logs" / version / "metrics.csv").write_text(SMALL)
    runs = read(tmp_path / "logs" / "*" / "metrics.csv")
    assert runs.frame["run"].tolist() == ["version_0"] * 2 + ["version_1"] * 2
    assert set(read(f"{tmp_path}/**/*.csv").frame["run"]) == {"version_0", "version_1"}


def test_a_list_of_paths_is_read_in_its_order(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(logs.parent)
    runs = read([Path("logs/1B-1xC.csv.gz"), str(logs / "190M-0.5xC.csv")])
    assert runs.frame["run"].tolist() == ["1B-1xC"] * 2 + ["190M-0.5xC"] * 2
    assert runs.provenance.source == "2 files"


def test_a_column_that_names_the_run_is_kept(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text(
            f'{{"run_name": "run {name}", "params": 1e6, "tokens": 2e7, "loss": 4}}\n'
        )
    runs = read(tmp_path)
    assert runs.frame["run"].tolist() == ["run a", "run b"]
    assert messages(runs)["several_files"] == "The rows of 2 files are read."


def test_columns_that_only_some_files_have_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("params,tokens,loss,lr\n1e6,2e7,4,.1\n")
    (tmp_path / "b.csv").write_text("params,tokens,loss\n1e7,2e8,3\n")
    assert messages(read(tmp_path))["columns_differ"] == (
        "Not all of the 2 files have the columns lr (1): in brackets how many have each. Elsewhere "
        "they are empty."
    )


def test_one_file_in_a_directory_is_one_run(tmp_path: Path) -> None:
    (tmp_path / "only.csv").write_text("params,tokens,loss\n1e6,2e7,4\n1e7,2e8,3\n")
    assert set(read(tmp_path).frame["run"]) == {"only"}


def test_a_folder_of_logs_is_fitted_at_one_command(tmp_path: Path) -> None:
    for k in range(5):
        tokens = 10 ** (6 + k)
        log = f"step,tokens,loss\n1,1e5,9\n2,{tokens},{40 * tokens**-0.25}\n"
        (tmp_path / f"run {k}.csv").write_text(log)
    done = CliRunner().invoke(
        build_app(), ["fit", str(tmp_path), "--last-step", "--law", "A / tokens**beta", "--json"]
    )
    found = json.loads(done.stdout)["params"]
    assert {name: one["estimate"] for name, one in found.items()} == pytest.approx(
        {"A": 40, "beta": 0.25}
    )


# bad input


def test_a_directory_without_a_table_names_its_directories(tmp_path: Path) -> None:
    (tmp_path / "logs" / "version_0").mkdir(parents=True)
    with pytest.raises(
        InputError,
        match=r"is a directory without a table \(.csv, .*\), with the directories version_0. Give "
        r"a file of runs, or a pattern that matches one file a run, such as '.*/\*/metrics.csv'",
    ):
        read(tmp_path / "logs")


def test_a_pattern_without_a_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No file matches .*/\*\.csv"):
        read(tmp_path / "*.csv")


def test_a_file_among_them_that_is_no_table_is_named(logs: Path) -> None:
    (logs / "empty.csv").touch()
    with pytest.raises(InputError, match=r"empty\.csv is empty"):
        read(logs)


def test_a_file_given_twice_is_refused(logs: Path) -> None:
    with pytest.raises(InputError, match=r"190M-0.5xC\.csv is given twice"):
        read([logs / "190M-0.5xC.csv", logs / "190M-0.5xC.csv"])
