"""The commands `mix` and `cooldown`: from a CSV of pilot runs to a mixture and its schedule."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from scalekit.cli.main import build_app
from tests.test_mixture_laws import pilots


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(build_app(), [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pilots(20).to_csv(tmp_path / "pilots.csv", index=False)
    counts = {"source": ["web", "code", "books"], "tokens": ["1T", "50B", "2B"]}
    pd.DataFrame(counts).to_csv(tmp_path / "counts.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_three_commands_lead_from_pilots_to_a_schedule() -> None:
    assert run("mix", "pilots.csv", "--fit-only")[0] == 0
    limits = ["--counts", "counts.csv", "--budget", "100B", "--max-epochs", "4"]
    code, out, err = run("mix", "pilots.csv", *limits, "-o", "mixture.json", "-o", "mixture.png")
    assert code == 0
    assert "Predicted loss" in out
    assert "wrote mixture.png" in err
    code, out, _ = run("cooldown", "counts.csv", "--mixture", "mixture.json", "--budget", "100B",
                       "-o", "schedule.json", "--json")  # fmt: skip
    assert code == 0
    mixture = json.loads(Path("mixture.json").read_text())["shares"]
    last = json.loads(out)["phases"][-1]["shares"]
    assert last == pytest.approx(mixture, abs=1e-12)
    assert mixture["books"] <= 0.08 + 1e-9


def test_the_three_commands_of_the_guide_run_on_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parent.parent / "docs" / "mixtures.md").read_text()
    exec(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0], {})
    first = re.search(r"^```\n(scalekit.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert first is not None
    commands = first[1].replace("\\\n", " ").strip().splitlines()
    assert len(commands) == 3
    for command in commands:
        code, _, err = run(*shlex.split(command, comments=True)[1:])
        assert code == 0, f"{command}\n{err}"
    assert {"mixture.json", "mixture.png", "schedule.json"} <= {p.name for p in tmp_path.iterdir()}


@pytest.mark.usefixtures("folder")
def test_limits_are_given_on_the_command_line() -> None:
    code, out, _ = run("mix", "pilots.csv", "--cap", "web=0.3,text=0.6", "--group",
                       "text=web+books", "--minimum", "books=0.05", "--json")  # fmt: skip
    shares = json.loads(out)["shares"]
    assert code == 0
    assert shares["web"] <= 0.3 + 1e-9
    assert shares["books"] >= 0.05 - 1e-9
    assert shares["web"] + shares["books"] <= 0.6 + 1e-9


@pytest.mark.usefixtures("folder")
def test_a_source_without_data_goes_from_the_choice_to_the_schedule() -> None:
    counts = {"source": ["books", "web", "code"], "tokens": ["0", "1T", "50B"]}
    pd.DataFrame(counts).to_csv("some.csv", index=False)
    limits = ["--counts", "some.csv", "--budget", "100B"]
    code, _, err = run("mix", "pilots.csv", *limits, "-o", "mixture.json")
    assert (code, json.loads(Path("mixture.json").read_text())["shares"]["books"]) == (0, 0)
    assert "There is nothing of 'books'" in err
    header, *rows = run("mix", "pilots.csv", *limits, "--next", "2")[1].splitlines()
    assert {float(row.split(",")[header.split(",").index("books")]) for row in rows} == {0.0}
    code, _, err = run("cooldown", "some.csv", "--mixture", "mixture.json")
    assert (code, "Leave out a source without data" in err) == (1, True)
    pd.DataFrame(counts).iloc[1:].to_csv("some.csv", index=False)
    assert run("cooldown", "some.csv", "--mixture", "mixture.json")[0] == 0


@pytest.mark.usefixtures("folder")
def test_next_pilots_are_printed_as_csv() -> None:
    code, out, _ = run("mix", "pilots.csv", "--next", "2")
    assert code == 0
    assert out.splitlines()[0] == "web,code,books,expected_gain,deviation"
    assert len(out.splitlines()) == 3


@pytest.mark.usefixtures("folder")
def test_a_law_without_skill_exits_with_three() -> None:
    table = pilots(20)
    table["loss_web"] = table["loss_web"].sample(frac=1, random_state=0).to_numpy()
    table[["share_web", "share_code", "share_books", "loss_web"]].to_csv("bad.csv", index=False)
    assert run("mix", "bad.csv", "--fit-only")[0] == 3


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mix", "nowhere.csv"], "There is no file"),
        (["mix", "pilots.csv", "--cap", "web=much"], "--cap: 'much' (of 'web') is no number"),
        (["mix", "pilots.csv", "--cap", "wbe=0.1"], "Did you mean 'web'"),
        (["mix", "pilots.csv", "--next", "1", "--json"], "without --json"),
        (["mix", "pilots.csv", "--budget", "many"], "Cannot read 'many'"),
        (["cooldown", "counts.csv", "--unimax", "1"], "--unimax needs --budget"),
        (["cooldown", "counts.csv", "--unimax", "1", "--temperature", "2"], "not both"),
        (
            ["cooldown", "counts.csv", "--temperature", "2", "--mixture", "x"],
            "goes with a cooldown",
        ),
        (["cooldown", "counts.csv", "--mixture", "counts.csv"], "Cannot read"),
        (["cooldown", "pilots.csv"], "no column 'source'"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_one(words: list[str], message: str) -> None:
    code, _, err = run(*words)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("folder")
def test_schedules_of_all_kinds_and_configurations() -> None:
    code, out, err = run("cooldown", "counts.csv", "--unimax", "1", "--budget", "2T")
    assert (code, "stay unused" in err) == (0, True)
    assert "UniMax" in out
    assert "temperature 3.3" in run("cooldown", "counts.csv", "--temperature", "3.3")[1]
    assert "20 phase(s)" in run("cooldown", "counts.csv", "--dense")[1]
    assert "target_ratio" in run("cooldown", "counts.csv", "--config", "olmo")[1]
