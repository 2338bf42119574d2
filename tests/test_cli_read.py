"""`scalekit read`: data to stdout, notes to stderr, exit codes that a script can rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from scalekit.cli.read import read
from scalekit.data import read_runs

ROOT = Path(__file__).parent.parent
CSV = "size,tokens,val_loss,train_loss\n1,20e6,4.0,3.9\n10,200e6,3.5,3.4\n100,2e9,nan,3.0\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    path.write_text(CSV)
    return path


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(read)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


COLUMNS = "params=size:M,loss=val_loss"


def test_the_interpretation_goes_to_stdout_and_the_notes_to_stderr(table: Path) -> None:
    done = run(table, "--columns", COLUMNS)
    assert done.exit_code == 0
    assert done.stdout.startswith(
        "runs.csv: 2 rows used, 1 left out\n  params <- size, times 1e+06"
    )
    assert "[rows_left_out]" in done.stderr
    assert "[rows_left_out]" not in done.stdout


def test_json_is_the_whole_result_and_nothing_else(table: Path) -> None:
    values = json.loads(run(table, "--columns", COLUMNS, "--json").stdout)
    assert values["kind"] == "runs"
    assert values["provenance"]["rows_left_out"] == {"loss is missing or NaN": 1}
    assert values["readings"][0] == {
        "role": "params",
        "column": "size",
        "factor": 1e6,
        "remark": "unit M as you said; embeddings: unknown",
        "complement": 0.0,
    }
    assert values["ranges"]["params"] == [1e6, 1e7]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv"])
def test_the_table_is_written_as_it_was_read(table: Path, suffix: str) -> None:
    target = table.with_name("out" + suffix)
    done = run(table, "--columns", COLUMNS, "-o", target)
    assert f"wrote {target}" in done.stderr
    written = (
        pd.read_parquet(target)
        if suffix == ".parquet"
        else pd.read_csv(target, sep=None, engine="python")
    )
    assert written["params"].tolist() == [1e6, 1e7]
    assert list(written)[:4] == ["params", "tokens", "flops", "loss"]


def test_a_choice_that_is_missing_exits_with_1_and_says_how_to_choose(table: Path) -> None:
    done = run(table, "--columns", "params=size:M")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "error: runs.csv: 2 columns could be loss: val_loss, train_loss." in done.stderr
    assert "--columns 'loss=val_loss'" in done.stderr


def test_an_output_that_cannot_be_written_exits_with_1(table: Path) -> None:
    done = run(table, "--columns", COLUMNS, "-o", table.parent / "nowhere" / "out.csv")
    assert done.exit_code == 1
    assert "there is no directory" in done.stderr


def test_pairs_that_cannot_be_read_exit_with_1(table: Path) -> None:
    done = run(table, "--columns", "params")
    assert done.exit_code == 1
    assert "cannot read 'params'" in done.stderr


def test_no_table_is_wrong_usage() -> None:
    assert run().exit_code == 2


def test_the_last_step_of_each_run_can_be_asked_for(table: Path) -> None:
    table.write_text("run,step,params,loss\na,1,1e6,5\na,2,1e6,4\n")
    done = run(table, "--last-step", "--json")
    assert json.loads(done.stdout)["n_rows"] == 1


def test_the_remedy_for_several_steps_is_a_command_that_works(tmp_path: Path) -> None:
    curves = ROOT / "scalekit" / "data" / "examples" / "stdlib_curves.csv"
    told = run(curves, "--columns", "loss=val_loss").stderr
    assert "scalekit read FILE --last-step -o last.csv" in told
    last = tmp_path / "last.csv"
    assert run(curves, "--columns", "loss=val_loss", "--last-step", "-o", last).exit_code == 0
    assert "several logged steps" not in run(last).stderr


STATES = (
    "Name,State,n_params,n_tokens,eval/loss\n"
    "a,finished,1M,20M,4.0\nb,crashed,2M,40M,3.9\nc,running,4M,80M,3.7\nd,finished,8M,160M,3.5\n"
)


def test_runs_that_did_not_finish_are_told_and_how_to_leave_them_out(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(STATES)
    told = run(path).stderr
    assert "2 of 4 rows are of runs that did not finish, by column 'State': 1 crashed" in told
    assert "(data row 2, data row 3)" in told
    assert "--where 'State!=crashed' --where 'State!=running'" in told


def test_a_selection_judges_its_own_rows(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(STATES)
    runs = read_runs(path, quiet=True)
    kept = runs.where("State=finished", "n_params>1M")
    codes = [note.code for note in kept.notes]
    assert "unfinished_runs" not in codes
    assert "one_row" in codes
    assert "1 of 4 rows have State=finished and n_params>1M." in str(kept.notes)
    assert runs.where() is runs
