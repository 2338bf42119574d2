"""The commands of the comparison room: what they print, write and return."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from scalekit.cli.main import build_app


def scalekit(*arguments: object) -> Result:
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with old.csv and new.csv (they cross at 2.4e19), both.csv and candidates.csv."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    x = np.geomspace(1e18, 2e20, 9)
    tables = {}
    for name, e, a in (("old", 1.8, 1.50), ("new", 1.687, 1.75)):
        loss = (e + a * (x / 1e18) ** -0.25) * np.exp(0.003 * rng.standard_normal(9))
        tables[name] = pd.DataFrame({"flops": x, "loss": loss})
        tables[name].to_csv(folder / f"{name}.csv", index=False)
    both = pd.concat([table.assign(recipe=name) for name, table in tables.items()])
    both.to_csv(folder / "both.csv", index=False)
    pd.DataFrame({"flops": ["1e20", "4e20", "1e21"]}).to_csv(folder / "offers.csv", index=False)
    return folder


def test_two_files_give_a_sentence_that_can_be_defended(folder: Path) -> None:
    done = scalekit("compare", folder / "old.csv", folder / "new.csv", "--at", "1e22",
                    "--resamples", "300")  # fmt: skip
    assert done.exit_code == 0, done.output
    first, second = done.stdout.splitlines()[:2]
    assert first.startswith("new overtakes old at ")
    assert second.startswith("At 1e+22 flops new ")
    assert "with probability" in second
    assert "[far_extrapolation]" in done.stderr


def test_one_file_with_a_column_says_the_same_as_two(folder: Path) -> None:
    two = scalekit("compare", folder / "old.csv", folder / "new.csv", "--json",
                   "--resamples", "100")  # fmt: skip
    one = scalekit("compare", folder / "both.csv", "--by", "recipe", "--json",
                   "--resamples", "100")  # fmt: skip
    first, second = (json.loads(done.stdout) for done in (two, one))
    assert first["crossover"] == second["crossover"]
    assert first["win_probability"] == second["win_probability"]
    assert second["systems"] == ["old", "new"]
    assert {"median", "ci_lower", "ci_upper", "probability", "status"} <= set(first["crossover"])


def test_crossover_looks_in_the_range_that_is_asked(folder: Path) -> None:
    done = scalekit("crossover", folder / "both.csv", "--by", "recipe", "--within", "1e18,1e21",
                    "--json", "--resamples", "200")  # fmt: skip
    found = json.loads(done.stdout)
    assert found["within"] == [1e18, 1e21]
    assert found["ci_lower"] < 2.4e19 < found["ci_upper"]
    wrong = scalekit("crossover", folder / "both.csv", "--by", "recipe", "--within", "1e18")
    assert wrong.exit_code == 1
    assert "--within takes two scales" in wrong.stderr


def test_a_saved_comparison_is_planned_for(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "duel.json"
    scalekit("compare", folder / "both.csv", "--by", "recipe", "--at", "flops=1e22",
             "--resamples", "200", "-o", saved, "-o", tmp_path / "duel.png")  # fmt: skip
    assert (tmp_path / "duel.png").stat().st_size > 10_000
    done = scalekit("next-runs", saved, folder / "offers.csv", "--budget", "2e21")
    assert done.exit_code == 0, done.output
    assert "FLOPs would bring the 95% interval" in done.stdout
    dear = scalekit("next-runs", saved, folder / "offers.csv", "--budget", "1e3")
    assert dear.exit_code == 1
    assert "the cheapest costs 1e+20" in dear.stderr


def test_a_saved_fit_gives_its_frontier(tmp_path: Path) -> None:
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = 1.8 + 450 / n**0.34 + 400 / d**0.3
    runs, saved = tmp_path / "runs.csv", tmp_path / "fit.json"
    pd.DataFrame({"params": n, "tokens": d, "loss": loss}).to_csv(runs, index=False)
    scalekit("fit", runs, "--resamples", "50", "-o", saved)
    done = scalekit("frontier", saved, "--flops", "1e21", "--flops", "1e22", "--json")
    found = json.loads(done.stdout)
    assert found["kind"] == "frontier"
    assert [row["flops"] for row in found["table"]] == [1e21, 1e22]
    assert found["params"]["params_exponent"]["estimate"] == pytest.approx(0.3 / 0.64, abs=1e-3)
    other = scalekit("frontier", runs, "--flops", "1e21")
    assert other.exit_code == 1


def test_isoflop_finds_the_exponent_or_refuses(tmp_path: Path) -> None:
    c, ratio = np.repeat([1e18, 1e19, 1e20], 5), np.tile([0.3, 0.55, 1, 1.8, 3.3], 3)
    loss = (c / 1e18) ** -0.05 * (3 + 0.1 * np.log(ratio) ** 2)
    runs = tmp_path / "iso.csv"
    table = pd.DataFrame({"flops": c, "params": 1e8 * (c / 1e18) ** 0.5 * ratio, "loss": loss})
    table.to_csv(runs, index=False)
    done = scalekit("isoflop", runs, "--json")
    assert json.loads(done.stdout)["params"]["params_exponent"]["estimate"] == pytest.approx(0.5)
    refused = scalekit("isoflop", runs, "--where", "flops<5e19")
    assert refused.exit_code == 1
    assert "exponent needs 3" in refused.stderr


def test_an_unknown_column_is_an_error_with_a_hint(folder: Path) -> None:
    done = scalekit("compare", folder / "both.csv", "--by", "recpe")
    assert done.exit_code == 1
    assert "'recipe'" in done.stderr


def test_a_scale_that_is_named_decides_what_is_compared_along(folder: Path) -> None:
    both = ("compare", folder / "old.csv", folder / "new.csv", "--resamples", "60")
    assert "At 1e+22 flops" in scalekit(*both, "--at", "flops=1e22").stdout
    done = scalekit(*both, "--at", "params=7B")
    assert done.exit_code == 1
    assert "params" in done.stderr
    done = scalekit(*both, "--along", "flops", "--at", "params=7B")
    assert "along one scale, here flops" in done.stderr


def test_a_scale_far_below_the_runs_is_doubted(folder: Path) -> None:
    done = scalekit("compare", folder / "old.csv", folder / "new.csv", "--at", "7B",
                    "--resamples", "60")  # fmt: skip
    assert "[below_the_runs]" in done.stderr


def test_a_column_that_no_file_has_is_refused(folder: Path) -> None:
    done = scalekit("compare", folder / "old.csv", folder / "new.csv", "--by", "optimizer")
    assert done.exit_code == 1
    assert "none of old, new has a column 'optimizer'" in done.stderr


def test_notes_are_told_once_and_name_the_file(folder: Path) -> None:
    table = pd.read_csv(folder / "old.csv")
    pd.concat([table, table.head(1)]).to_csv(folder / "twice.csv", index=False)
    done = scalekit("compare", folder / "twice.csv", folder / "new.csv", "--resamples", "60")
    assert done.output.count("[duplicate_rows]") == 1
    assert "twice: " in done.stderr
    crossing = scalekit("crossover", folder / "twice.csv", folder / "new.csv", "--resamples", "60")
    assert crossing.output.count("[duplicate_rows]") == 1


def test_a_saved_comparison_answers_again(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "duel.json"
    both = ("--by", "recipe", "--resamples", "100")
    first = scalekit("compare", folder / "both.csv", *both, "--at", "1e22", "-o", saved)
    again = scalekit("compare", saved)
    assert again.stdout == first.stdout
    nearer = scalekit("compare", saved, "--at", "1e21")
    assert nearer.stdout == scalekit("compare", folder / "both.csv", *both, "--at", "1e21").stdout
    asked = ("--within", "1e18,1e21")
    crossing = scalekit("crossover", saved, *asked)
    assert crossing.stdout == scalekit("crossover", folder / "both.csv", *both, *asked).stdout
    other = scalekit("compare", saved, "--law", "power")
    assert other.exit_code == 1
    assert "is a saved comparison along flops" in other.stderr
    records = tmp_path / "runs.json"
    pd.read_csv(folder / "both.csv").to_json(records, orient="records")
    assert scalekit("compare", records, *both).stdout.startswith("new overtakes old at ")
