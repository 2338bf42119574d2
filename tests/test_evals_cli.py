"""The four commands: what they print, write and exit with."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from scalekit.cli.main import COMMANDS as ALL

COMMANDS = ["variance", "compare-models", "power", "signal"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    item = rng.standard_normal(60)
    rows = [
        {"model": m, "seed": s, "task": "arc_easy", "item": i,
         "acc": float(rng.random() < 1 / (1 + np.exp(-item[i] - 0.8 * (m == "b"))))}
        for m in "ab" for s in range(4) for i in range(60)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("log") / "log.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def build_app() -> typer.Typer:
    app = typer.Typer()
    for name in COMMANDS:
        module, function = ALL[name]
        app.command(name)(getattr(importlib.import_module(f"scalekit.cli.{module}"), function))
    return app


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(build_app(), [str(a) for a in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_the_whole_result_and_notes_go_to_stderr(command: str, table: Path) -> None:
    code, out, _ = run(command, table, "--json")
    assert code == 0
    assert {"kind", "version", "provenance", "params", "notes"} <= set(json.loads(out))
    code, out, err = run(command, table)
    assert code == 0
    assert "arc_easy" in out
    assert "info:" not in out
    assert "[wide-table]" in err or "arc_easy" in out


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("suffix", ["json", "csv", "png", "html", "txt"])
def test_results_are_written_by_suffix(
    command: str, suffix: str, table: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"result.{suffix}"
    code, _, err = run(command, table, "-o", path)
    assert code == 0
    assert f"wrote {path}" in err
    assert path.stat().st_size > 100


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_log_is_one_message_and_exit_code_one(command: str, tmp_path: Path) -> None:
    code, out, err = run(command, tmp_path / "nothing.csv")
    assert (code, out) == (1, "")
    assert "No file or folder" in err


def test_columns_name_the_roles(table: Path) -> None:
    assert run("variance", table, "--columns", "recipe=model,item=item")[0] == 0
    code, _, err = run("variance", table, "--columns", "recipe=modell")
    assert code == 1
    assert "Did you mean 'model'" in err


def test_compare_models_takes_one_log_or_two(table: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(table)
    for name in "ab":
        (tmp_path / name).mkdir()
        rows[rows["model"] == name].to_csv(tmp_path / name / "log.csv", index=False)
    one = json.loads(run("compare-models", table, "a", "b", "--json")[1])
    two = json.loads(run("compare-models", tmp_path / "a" / "log.csv", tmp_path / "b" / "log.csv",
                         "--json")[1])  # fmt: skip
    assert one["params"] == two["params"]
    assert two["systems"] == ["a", "b"]


def test_compare_models_takes_seed_noise_and_margin(table: Path) -> None:
    values = json.loads(
        run("compare-models", table, "--seed-sd", "0.01", "--margin", "0.5", "--json")[1]
    )
    assert "stated seed SD 0.01" in values["table"][0]["seed_source"]
    assert values["table"][0]["p_equivalent"] < 0.05
    assert run("compare-models", table, "--seed-sd", "gues")[0] == 1


def test_an_error_note_is_exit_code_three(table: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(table)
    both = pd.concat([rows, rows[rows["seed"] == 0].assign(task="mine")])
    both.to_csv(tmp_path / "log.csv", index=False)
    code, out, err = run("compare-models", tmp_path / "log.csv")
    assert code == 3
    assert "refused" in out
    assert "no-seed-noise" in err


def test_power_without_a_log_uses_the_published_table() -> None:
    code, out, err = run("power", "--benchmark", "mmlu", "--difference", "0.01")
    assert code == 0
    assert "10 seeds per recipe" in out
    assert "published-noise" in err
    code, _, err = run("power", "--benchmark", "mmlu", "--seeds", "two")
    assert code == 1
    assert "whole numbers" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_metric_of_unknown_direction_can_be_said_to_be_better_lower(
    command: str, table: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log.csv"
    pd.read_csv(table).rename(columns={"acc": "toxicity"}).to_csv(log, index=False)
    asked = (command, log, "--columns", "value=toxicity")
    plain, said = run(*asked), run(*asked, "--lower-is-better", "toxicity")
    told = (
        "warning: Not known whether higher is better for toxicity: taken as higher. Say "
        "lower_is_better=[...] (--lower-is-better NAME) if it is lower. [direction-assumed]"
    )
    assert told in plain[2]
    assert (said[0], "direction-assumed" in said[2]) == (0, False)


def test_a_second_log_that_is_not_there_is_said_to_be_missing(table: Path) -> None:
    code, _, err = run("compare-models", table, "other.csv")
    assert code == 1
    assert err == (
        "error: 'other.csv' is no second log: there is no such file. Give the log of the other "
        "recipe, or two names of recipes.\n"
    )


def test_a_plan_of_one_seed_says_that_the_seed_noise_is_taken_for_known() -> None:
    _, _, err = run("power", "--benchmark", "mmlu", "--seeds", "1,2")
    assert (
        "info: Designs of 1 seed take the seed SD for known, those of more estimate it: 1 seed may "
        "seem to find more than 2, and does as far as the SD is right. [one-seed-known]"
    ) in err
    assert "one-seed-known" not in run("power", "--benchmark", "mmlu", "--seeds", "2,3")[2]
