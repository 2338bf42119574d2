"""Logs in the shape that W&B charts and the Hugging Face Trainer write are read as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scalekit.data import read_runs
from scalekit.errors import InputError
from scalekit.tables import RunTable

CHART = """\
"Step","a - eval/loss","a - eval/loss__MIN","a - eval/loss__MAX","b - x - eval/loss",\
"b - x - eval/loss__MIN","b - x - eval/loss__MAX"
"100","4.5","4.5","4.5","4.25","4.25","4.25"
"200","4.0","4.0","4.0","","",""
"300","","","","3.5","3.5","3.5"
"""


def read(table: object, **columns: str | None) -> RunTable:
    return read_runs(table, quiet=True, **columns)


def messages(runs: RunTable) -> dict[str, str]:
    return {note.code: note.message for note in runs.notes}


def test_a_chart_of_several_runs_becomes_a_row_a_value(tmp_path: Path) -> None:
    path = tmp_path / "wandb_export_2024-12-27T01_42_23.467+01_00.csv"
    path.write_text(CHART)
    runs = read(path)
    assert runs.frame[["run", "step", "loss"]].to_numpy().tolist() == [
        *(["a", 100, 4.5], ["a", 200, 4.0]),
        *(["b - x", 100, 4.25], ["b - x", 300, 3.5]),
    ]
    assert messages(runs)["chart_export"] == (
        "The table is a chart exported from Weights & Biases: 2 runs along Step, 4 values. Charts "
        "of more than 1,500 points are samples of the log."
    )


def test_a_row_of_a_chart_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text(CHART.replace('"3.5"', '"inf"'))
    runs = read(path)
    assert runs.provenance.rows_left_out == {"loss is infinite": 1}
    assert "data row 3" in messages(runs)["rows_left_out"]


def test_a_chart_without_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text("Step,a - loss,a - loss__MIN,a - loss__MAX\n1,,,\n")
    with pytest.raises(InputError, match=r"chart\.csv is a chart of 1 runs without a single value"):
        read(path)


def test_bounds_beside_a_loss_make_no_chart_of_a_table_of_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("params,tokens,loss,loss__MIN,loss__MAX\n1e6,2e7,4,3,5\n1e7,2e8,3,2,4\n")
    assert read(path).frame["loss"].tolist() == [4, 3]


LOG = [
    {"step": 10, "epoch": 0.5, "loss": 5.0, "num_input_tokens_seen": 1000000},
    {"step": 10, "epoch": 0.5, "eval_loss": 4.5, "eval_runtime": 1.0},
    {"step": 20, "epoch": 1.0, "loss": 4.0, "num_input_tokens_seen": 2000000},
    {"step": 20, "epoch": 1.0, "eval_loss": 3.5, "eval_runtime": 1.0},
    {"step": 20, "train_runtime": 9.0, "train_loss": 4.5, "total_flos": 1e15},
]


def test_a_trainers_state_is_read_one_row_a_step(tmp_path: Path) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"global_step": 20, "log_history": LOG, "stateful_callbacks": {}}))
    runs = read(path, loss="eval_loss")
    assert runs.frame["loss"].tolist() == [4.5, 3.5]
    assert runs.frame["tokens"].tolist() == [1e6, 2e6]
    assert runs.frame["step"].tolist() == [10, 20]
    assert "train_loss" not in runs.frame


def test_the_states_of_several_trainings_are_read_by_a_pattern(tmp_path: Path) -> None:
    for run in ("small", "large"):
        (tmp_path / run / "checkpoint-20").mkdir(parents=True)
        state = tmp_path / run / "checkpoint-20" / "trainer_state.json"
        state.write_text(json.dumps({"log_history": LOG}))
    runs = read_runs(
        f"{tmp_path}/*/checkpoint-20/trainer_state.json", quiet=True, last_step=True,
        loss="eval_loss",
    )  # fmt: skip
    assert runs.frame[["run", "loss"]].to_numpy().tolist() == [
        ["large/checkpoint-20", 3.5],
        ["small/checkpoint-20", 3.5],
    ]


def test_a_state_without_a_log_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_text('{"log_history": []}')
    with pytest.raises(InputError, match=r"trainer_state\.json has no rows"):
        read(path)
