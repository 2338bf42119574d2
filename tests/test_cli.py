"""The command line: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from scalekit.cli.main import build_app


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A CSV of 30 runs of a known law with one percent of noise."""
    rng = np.random.default_rng(0)
    params = np.repeat(np.geomspace(1e7, 3e9, 6), 5)
    tokens = params * np.tile([5.0, 10, 20, 40, 80], 6)
    loss = (1.8 + 480 / params**0.35 + 2100 / tokens**0.37) * np.exp(0.01 * rng.normal(size=30))
    path = tmp_path / "runs.csv"
    table = {"n_params": params, "n_tokens": tokens, "val_loss": loss, "recipe": ["a", "b"] * 15}
    pd.DataFrame(table).to_csv(path, index=False)
    return path


def scalekit(*arguments: object) -> Result:
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


def test_fit_prints_the_law_the_parameters_and_the_forecast(runs: Path) -> None:
    done = scalekit("fit", runs, "--law", "chinchilla", "--at", "params=70e9,tokens=1.4T")
    assert done.exit_code == 0
    assert "chinchilla: loss = E + A / params**alpha + B / tokens**beta" in done.stdout
    assert done.stdout.startswith("loss at params 70B, tokens 1.4T")
    assert "decades beyond the data in params" in done.stdout
    assert "[far_extrapolation]" in done.stderr
    assert "[far_extrapolation]" not in done.stdout


def test_json_is_exactly_the_result_and_has_the_fields_that_scripts_rely_on(runs: Path) -> None:
    done = scalekit("fit", runs, "--at", "params=1e10,tokens=1e12", "--json", "--seed", "3")
    found = json.loads(done.stdout)
    assert found["kind"] == "fit"
    assert set(found["params"]["alpha"]) == {"estimate", "ci_lower", "ci_upper"}
    assert found["objective"]["name"] == "huber_log"
    assert found["n_rows"] == 30
    assert found["provenance"]["seed"] == 3
    row = found["predictions"][0]
    assert row["obs_lower"] < row["ci_lower"] < row["predicted"] < row["ci_upper"]
    assert {"code", "severity", "message"} == set(found["notes"][0])


def test_a_saved_fit_predicts_what_the_fit_predicted(runs: Path, tmp_path: Path) -> None:
    saved = tmp_path / "fit.json"
    at = ("--at", "params=1e10,tokens=1e12")
    first = json.loads(scalekit("fit", runs, *at, "--json", "-o", saved).stdout)
    second = json.loads(scalekit("predict", saved, *at, "--json").stdout)
    assert second["predictions"] == first["predictions"]


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet", ".png", ".svg", ".html", ".txt"])
def test_output_is_written_in_the_format_of_its_suffix(
    runs: Path, tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"out{suffix}"
    done = scalekit("fit", runs, "--law", "chinchilla", "--resamples", 50, "-o", target)
    assert done.exit_code == 0, done.stderr
    assert target.stat().st_size > 200
    assert f"wrote {target}" in done.stderr


def test_the_same_seed_prints_the_same_bytes(runs: Path) -> None:
    first, second = (scalekit("fit", runs, "--seed", 5, "--json").stdout for _ in range(2))
    assert first == second
    assert scalekit("fit", runs, "--seed", 6, "--json").stdout != first


def test_rows_can_be_chosen_and_a_formula_given(runs: Path) -> None:
    done = scalekit("fit", runs, "--where", "recipe=a", "--law", "E + A / tokens**gamma", "--json")
    found = json.loads(done.stdout)
    assert found["n_rows"] == 15
    assert set(found["params"]) == {"E", "A", "gamma"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--law", "chinchila"], "Did you mean 'chinchilla'"),
        (["--law", "E + A / tokns**a"], "Did you mean 'tokens'"),
        (["--law", "E + A / unique_tokens**a"], "has no column 'unique_tokens'"),
        (["--law", "__import__('os')"], "outside the language|not in the language"),
        (["--columns", "params=size"], "size"),
        (["--at", "params=70e9,tokens"], "name=value pairs"),
        (["--at", "params=lots,tokens=1T"], "Cannot read 'lots' as a quantity"),
        (["--at", "width=3"], "needs params and tokens to predict; given are width"),
        (["--objective", "hubber"], "Did you mean 'huber_log'"),
        (["--interval", "bayes"], "no interval method"),
        (["--level", "95"], "between 0 and 1"),
        (["--where", "recipe=c"], "no row where recipe=c"),
        (["--where", "recip=a"], "Did you mean 'recipe'"),
        (["-o", "no/such/folder/fit.json"], "no directory"),
        (["-o", "fit.xyz"], "Cannot tell a format"),
    ],
)
def test_mistakes_end_with_one_message_and_exit_code_1(
    runs: Path, arguments: list[str], message: str
) -> None:
    done = scalekit("fit", runs, "--resamples", 20, *arguments)
    assert done.exit_code == 1, done.output
    assert done.stderr.splitlines()[-1].startswith("error: ")
    import re

    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.output


def test_wrong_usage_is_exit_code_2(runs: Path) -> None:
    assert scalekit("fit", runs, "--no-such-option").exit_code == 2
    assert scalekit("no-such-command").exit_code == 2


def test_a_note_of_severity_error_is_exit_code_3(tmp_path: Path) -> None:
    """Loss that grows with size: the term of the law vanishes, the pipeline must stop."""
    path = tmp_path / "rising.csv"
    params = np.geomspace(1e6, 1e9, 12)
    pd.DataFrame({"params": params, "loss": 2 + 0.1 * np.log(params)}).to_csv(path, index=False)
    done = scalekit("fit", path, "--law", "power_constant", "--along", "params")
    assert done.exit_code == 3
    assert "error:" in done.stderr


def test_published_laws_predict_and_are_listed() -> None:
    done = scalekit("predict", "published:hoffmann2022_rounded", "--at", "params=70B,tokens=1.4T")
    assert "1.9366" in done.stdout
    assert "[rounded_constants]" in done.stderr
    listed = scalekit("laws", "--published").stdout
    assert "published:besiroglu2024" in listed
    assert "0.33917084" in listed


def test_laws_are_listed_with_formula_and_source() -> None:
    assert "E + A / params**alpha + B / tokens**beta" in scalekit("laws").stdout
    one = json.loads(scalekit("laws", "bnsl2", "--json").stdout)
    assert one[0]["parameters"].startswith("E, b, c0")


def test_predict_says_what_is_wrong_with_its_source(runs: Path, tmp_path: Path) -> None:
    at = ("--at", "params=1e9,tokens=1e10")
    told = scalekit("predict", runs, *at).stderr
    assert "runs.csv is a table, not a saved result" in told
    assert "scalekit fit runs.csv -o fit.json" in told
    assert "is no saved fit" in scalekit("frontier", runs, "--flops", "1e22").stderr
    rolled, choice = tmp_path / "rolled.json", tmp_path / "choice.json"
    scalekit("heldout", runs, "--law", "chinchilla", "-o", rolled)
    scalekit("choose-law", runs, "--law", "chinchilla", "-o", choice)
    told = scalekit("predict", rolled, *at).stderr
    assert "of kind 'roll_out', and a fit is needed" in told
    told = scalekit("frontier", choice, "--flops", "1e22").stderr
    assert "of kind 'choice', and a fit is needed" in told
    assert "scalekit fit runs.csv -o fit.json" in told
    assert "saved result" in scalekit("predict", tmp_path / "none.json", *at).stderr
    assert "--at" in scalekit("predict", "published:hoffmann2022").stderr
    saved = tmp_path / "fit.json"
    scalekit("fit", runs, "-o", saved)
    saved.with_suffix(".npz").unlink()
    assert "Copy both" in scalekit("predict", saved, *at).stderr


def test_arrays_are_never_saved_over_a_file_of_the_user(runs: Path, tmp_path: Path) -> None:
    features = tmp_path / "validation.npz"
    features.write_bytes(b"of the user")
    for _ in range(2):
        scalekit("fit", runs, "-o", tmp_path / "validation.json")
    assert features.read_bytes() == b"of the user"
    assert (tmp_path / "validation.arrays.npz").exists()
    done = scalekit("predict", tmp_path / "validation.json", "--at", "params=1e9,tokens=1e10")
    assert done.exit_code == 0, done.output


def test_demo_fits_the_bundled_runs_and_draws_them(tmp_path: Path) -> None:
    done = scalekit("demo", "--folder", tmp_path / "demo")
    assert done.exit_code == 0, done.output
    assert "loss at params" in done.stdout
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {
        "demo.png", "demo.svg", "demo.json", "demo.npz"
    }  # fmt: skip


def test_frontier_takes_budgets_with_commas_and_names_the_option(
    runs: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "fit.json"
    scalekit("fit", runs, "--where", "recipe=a", "--resamples", "50", "-o", saved)
    done = scalekit("frontier", saved, "--flops", "1e21,2e21", "--flops", "4e21", "--json")
    assert [row["flops"] for row in json.loads(done.stdout)["table"]] == [1e21, 2e21, 4e21]
    assert (
        "error: --flops: Cannot read 'lots'"
        in scalekit("frontier", saved, "--flops", "lots").stderr
    )


def test_predict_reads_what_choose_law_saved(runs: Path, tmp_path: Path) -> None:
    saved, at = tmp_path / "choice.json", ("--at", "params=1e10,tokens=1e11")
    chosen = scalekit("choose-law", runs, "--where", "recipe=a", *at, "-o", saved)
    assert scalekit("predict", saved, *at).stdout.strip() == chosen.stdout.partition("\n")[0]


def test_each_note_is_said_once_and_commands_to_copy_are_quoted(runs: Path) -> None:
    table = pd.read_csv(runs)
    table["recipe"] = table["recipe"].map({"a": "long lr", "b": "short lr"})
    table.loc[0, "val_loss"] = np.nan
    table.to_csv(runs, index=False)
    done = scalekit("fit", runs, "--resamples", "50")
    assert done.stderr.count("[rows_left_out]") == 1
    assert done.stderr.startswith("runs.csv: 29 rows used, 1 left out")
    assert "--where 'recipe=long lr'" in done.stderr


@pytest.mark.parametrize("target", ["fit.xlsx", "no/such/folder/fit.json"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(runs: Path, target: str) -> None:
    done = scalekit("fit", runs, "-o", target)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: Cannot ")
    assert "rows" not in done.stderr


def test_a_condition_that_is_no_number_is_named(runs: Path) -> None:
    told = scalekit("fit", runs, "--where", "n_tokens>=lots").stderr
    assert "'n_tokens' holds numbers, in 'n_tokens>=lots': Cannot read 'lots'" in told
