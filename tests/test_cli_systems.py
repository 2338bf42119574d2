"""Reading the systems of a comparison from files: accuracies, metrics, unlike columns, gaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from scalekit.cli.main import build_app

SCALES = np.geomspace(1e18, 2e20, 9)


def scalekit(*arguments: object) -> Result:
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


def losses(name: str) -> np.ndarray:
    """Return losses of "old" or "new" along SCALES, which cross at 2.4e19."""
    e, a = {"old": (1.8, 1.50), "new": (1.687, 1.75)}[name]
    noise = 0.003 * np.random.default_rng(len(name) + int(e * 100)).standard_normal(9)
    return (e + a * (SCALES / 1e18) ** -0.25) * np.exp(noise)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("systems")
    for name in ("old", "new"):
        table = pd.DataFrame({"flops": SCALES, "val_loss": losses(name)})
        table.to_csv(folder / f"{name}.csv", index=False)
    both = pd.concat(
        pd.DataFrame({"optimizer": name, "flops": SCALES, "loss": losses(name) / 5})
        for name in ("old", "new")
    )
    both.to_csv(folder / "loss.csv", index=False)
    accuracy = both.assign(acc=1 - both["loss"]).drop(columns="loss")
    accuracy.to_csv(folder / "acc.csv", index=False)
    accuracy.assign(acc=100 * accuracy["acc"]).to_csv(folder / "percent.csv", index=False)
    return folder


QUICK = ("--resamples", "60")


def verdict(*arguments: object) -> dict[str, Any]:
    done = scalekit("compare", *arguments, "--json", *QUICK)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_an_accuracy_is_compared_by_its_error(folder: Path) -> None:
    by = ("--by", "optimizer", "--at", "1e21")
    loss = verdict(folder / "loss.csv", *by)
    for file, column in (("acc", "1-acc"), ("percent", "100-acc")):
        found = verdict(folder / f"{file}.csv", *by, "--columns", f"loss={column}")
        assert found["crossover"]["median"] == pytest.approx(loss["crossover"]["median"], rel=1e-3)
        assert found["win_probability"] == pytest.approx(loss["win_probability"], abs=0.02)


def test_an_accuracy_that_is_given_as_a_loss_is_refused(folder: Path) -> None:
    done = scalekit("compare", folder / "acc.csv", "--by", "optimizer", "--columns", "loss=acc")
    assert done.exit_code == 1
    assert "The loss rises with flops in every system" in done.stderr
    assert "--columns loss=1-COLUMN" in done.stderr
    unnamed = scalekit("compare", folder / "acc.csv", "--by", "optimizer")
    assert "'loss=1-COLUMN'" in unnamed.stderr


def test_rows_can_be_chosen_by_the_accuracy_itself(folder: Path) -> None:
    found = verdict(folder / "acc.csv", "--by", "optimizer", "--columns", "loss=1-acc",
                    "--where", "acc>=0.4", "--law", "power")  # fmt: skip
    table = pd.read_csv(folder / "acc.csv")
    assert found["n_rows"] == (table["acc"] >= 0.4).sum() < len(table)


def test_losses_of_other_names_and_computed_scales_are_asked_about(
    folder: Path, tmp_path: Path
) -> None:
    params = np.sqrt(SCALES / 120)
    other = pd.DataFrame({"N": params, "D": SCALES / 6 / params, "train_loss": losses("new")})
    other.to_csv(tmp_path / "other.csv", index=False)
    done = scalekit("compare", folder / "old.csv", tmp_path / "other.csv", *QUICK)
    assert done.exit_code == 0, done.output
    assert "from 'val_loss' in old, 'train_loss' in other" in done.stderr
    assert "flops is a column of some files, and in other it is 6 x params x tokens" in done.stderr
    same = scalekit("compare", folder / "old.csv", folder / "new.csv", *QUICK)
    assert "[losses_differ]" not in same.stderr


def test_rows_left_out_of_either_file_are_counted(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "old.csv")
    table["val_loss"] = table["val_loss"].where(table.index != 2)
    table.to_csv(tmp_path / "old.csv", index=False)
    found = verdict(tmp_path / "old.csv", folder / "new.csv")
    assert found["rows_left_out"] == {"loss is missing or NaN": 1}
    assert found["provenance"]["n_rows"] == 18
    notes = [note["message"] for note in found["notes"] if note["code"] == "rows_left_out"]
    assert len(notes) == 1
    assert notes[0].startswith("old: 1 of 9 rows are left out")


def test_the_verdict_is_asked_for_across_metrics(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "loss.csv")
    long = pd.concat(
        [table.assign(metric="c4"), table.assign(metric="code", loss=table["loss"] / 2)]
    )
    long.to_csv(tmp_path / "long.csv", index=False)
    wide = table.assign(acc=1 - table["loss"] / 2)
    wide.to_csv(tmp_path / "wide.csv", index=False)
    by = ("--by", "optimizer", "--at", "1e21", *QUICK)
    done = scalekit("compare", tmp_path / "long.csv", *by, "--across", "metric")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("at 1e+21 flops new is best on all 2 of metric")
    assert done.stderr.count("[far_extrapolation]") <= 1
    other = scalekit("compare", tmp_path / "wide.csv", *by, "--across", "loss,1-acc")
    assert other.stdout.startswith("at 1e+21 flops new is best on all 2 of metric")
    bad = scalekit("compare", tmp_path / "wide.csv", *by, "--across", "loss,acc")
    assert bad.exit_code == 1
    assert "metric 'acc': The loss rises" in bad.stderr


def test_candidates_are_read_as_runs_are(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "duel.json"
    scalekit("compare", folder / "loss.csv", "--by", "optimizer", "--at", "1e22", *QUICK,
             "--resamples", "200", "-o", saved)  # fmt: skip
    offers = pd.DataFrame({"n_params": ["1B", "2B"], "tokens_b": [40, 80], "optimizer": "new"})
    offers.to_csv(tmp_path / "offers.csv", index=False)
    done = scalekit("next-runs", saved, tmp_path / "offers.csv", "--json")
    assert done.exit_code == 0, done.output
    ranking = json.loads(done.stdout)["ranking"]
    assert {row["system"] for row in ranking} == {"new"}
    assert sorted(row["cost"] for row in ranking) == pytest.approx([2.4e20, 9.6e20])
    dear = offers.assign(price=["3e20", "1e21"])
    dear.to_csv(tmp_path / "dear.csv", index=False)
    done = scalekit("next-runs", saved, tmp_path / "dear.csv", "--columns", "cost=price", "--json")
    assert sorted(r["cost"] for r in json.loads(done.stdout)["ranking"]) == [3e20, 1e21]
    pd.DataFrame({"size": [1e9]}).to_csv(tmp_path / "none.csv", index=False)
    done = scalekit("next-runs", saved, tmp_path / "none.csv")
    assert done.exit_code == 1
    assert "--columns flops=COLUMN" in done.stderr


def test_pooled_recipes_are_told_by_isoflop(tmp_path: Path) -> None:
    budgets, ratio = np.repeat([1e18, 1e19, 1e20], 5), np.tile([0.3, 0.55, 1, 1.8, 3.3], 3)
    loss = (budgets / 1e18) ** -0.05 * (3 + 0.1 * np.log(ratio) ** 2)
    table = pd.DataFrame(
        {"flops": budgets, "params": 1e8 * (budgets / 1e18) ** 0.5 * ratio, "loss": loss}
    )
    both = pd.concat([table.assign(recipe="a"), table.assign(recipe="b")])
    both.to_csv(tmp_path / "iso.csv", index=False)
    assert "[recipes_pooled]" in scalekit("isoflop", tmp_path / "iso.csv").stderr
    one = scalekit("isoflop", tmp_path / "iso.csv", "--where", "recipe=a")
    assert "[recipes_pooled]" not in one.stderr


def test_no_option_of_frontier_is_ignored(tmp_path: Path) -> None:
    runs = tmp_path / "runs.csv"
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    pd.DataFrame({"params": n, "tokens": d, "loss": 1.8 + 450 / n**0.34 + 400 / d**0.3}).to_csv(
        runs, index=False
    )
    both = scalekit("frontier", runs, "--approaches", "--flops", "1e21", "--params", "1B")
    assert both.exit_code == 1
    assert "--params goes with a saved fit" in both.stderr
    alone = scalekit("frontier", runs, "--flops", "1e21", "--where", "params>1e8")
    assert "--where goes with runs and --approaches" in alone.stderr
    saved = tmp_path / "fit.json"
    noisy = pd.read_csv(runs)
    noisy["loss"] *= np.exp(0.01 * np.random.default_rng(0).standard_normal(len(noisy)))
    noisy.to_csv(runs, index=False)
    scalekit("fit", runs, "--resamples", "60", "-o", saved)
    wide, narrow = (
        json.loads(scalekit("frontier", saved, "--flops", "1e21", "--json", *more).stdout)
        for more in ((), ("--level", "0.5"))
    )
    assert narrow["table"][0]["params_upper"] < wide["table"][0]["params_upper"]
