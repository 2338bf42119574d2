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
    plan = json.loads(run("mix", "pilots.csv", *limits, "--next", "2", "--json")[1])
    assert [pilot["books"] for pilot in plan["pilots"]] == [0.0, 0.0]
    code, out, err = run("cooldown", "some.csv", "--mixture", "mixture.json", "--json")
    assert (code, list(json.loads(out)["counts"])) == (0, ["web", "code"])
    assert "There is nothing of 'books', and the mixture draws nothing of it" in json.dumps(out)
    code, _, err = run("cooldown", "some.csv")
    assert (code, "Leave out a source without data" in err) == (1, True)


@pytest.mark.usefixtures("folder")
def test_next_pilots_are_a_table_with_what_they_are_worth() -> None:
    code, out, err = run("mix", "pilots.csv", "--next", "2", "-o", "next.csv", "-o", "next.png")
    assert code == 0
    assert "2 pilot(s) to run next" in out
    assert "knowing the law exactly would" in out
    assert "[no_limits]" in err
    written = pd.read_csv("next.csv")
    assert list(written) == ["web", "code", "books", "expected_gain", "deviation"]
    assert len(written) == 2


@pytest.mark.usefixtures("folder")
def test_caps_and_priors_may_stand_in_a_file() -> None:
    Path("caps.csv").write_text("source,cap\nweb,0.3\ncode,\nbooks,0.4\n")
    Path("prior.csv").write_text("source,share\nweb,0.2\ncode,0.4\nbooks,0.4\n")
    code, out, _ = run("mix", "pilots.csv", "--cap", "caps.csv", "--prior", "prior.csv", "--json")
    found = json.loads(out)
    assert (code, found["gain"]["against"]) == (0, "the prior")
    assert found["shares"]["web"] <= 0.3 + 1e-9
    assert found["shares"]["books"] <= 0.4 + 1e-9
    Path("caps.csv").write_text("source,cap\nwbe,0.3\n")
    code, _, err = run("mix", "pilots.csv", "--cap", "caps.csv")
    assert (code, "no source or group 'wbe'. Did you mean 'web'" in err) == (1, True)


@pytest.mark.usefixtures("folder")
def test_a_law_without_skill_warns_also_where_pilots_are_asked_for() -> None:
    table = pilots(20)
    table["loss_web"] = table["loss_web"].sample(frac=1, random_state=0).to_numpy()
    table[["share_web", "share_code", "share_books", "loss_web"]].to_csv("bad.csv", index=False)
    code, _, err = run("mix", "bad.csv", "--next", "1")
    assert (code, "no better than its mean" in err) == (3, True)


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
        (["mix", "pilots.csv", "--cap", "nocaps.csv"], "There is no file nocaps.csv"),
        (["mix", "pilots.csv", "--cap", "counts.csv"], "no column 'cap' (or share, weight)"),
        (["mix", "pilots.csv", "--budget", "many"], "Cannot read 'many'"),
        (["cooldown", "counts.csv", "--unimax", "1"], "--unimax needs --budget"),
        (["cooldown", "counts.csv", "--unimax", "1", "--temperature", "2"], "not both"),
        (
            ["cooldown", "counts.csv", "--temperature", "2", "--mixture", "x"],
            "goes with a cooldown",
        ),
        (["cooldown", "counts.csv", "--mixture", "counts.csv"], "not a saved result"),
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


TRACKED = """run,web,code/py,books,n_tokens,val_loss
p0,0.6,0.2,0.2,"400,000,000",3.912
p1,0.8,0.1,0.1,"400,000,000",3.951
p2,0.4,0.4,0.2,"400,000,000",3.902
p3,0.4,0.2,0.4,"400,000,000",3.930
p4,0.2,0.6,0.2,"400,000,000",3.945
p5,0.2,0.2,0.6,"400,000,000",3.990
p6,0.5,0.3,0.2,"400,000,000",3.898
p7,0.1,0.1,0.8,"400,000,000",nan
"""


def test_a_pilot_without_any_loss_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pilots.csv").write_text(TRACKED)
    Path("seven.csv").write_text(TRACKED.rpartition("p7")[0])
    named = ["--shares", "web,code/py,books", "--targets", "val_loss", "--json"]
    (code, out, _), (_, without, _) = (
        run("mix", "pilots.csv", *named),
        run("mix", "seven.csv", *named),
    )
    assert code == 0
    assert json.loads(out)["shares"] == json.loads(without)["shares"]
    assert "missing or infinite in 1 of 8 runs" in out


def test_columns_without_the_usual_prefixes_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pilots.csv").write_text(TRACKED)
    assert "--shares web,code/py,books" in run("mix", "pilots.csv")[2]
    found = run("mix", "pilots.csv", "--shares", "web,code/py,books")[2]
    assert "Is it val_loss? --targets val_loss" in found


def test_counts_separated_by_semicolons_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("counts.csv").write_text("source;count\nweb;1,2e9\ncode/py;2e8\n")
    code, out, _ = run("cooldown", "counts.csv", "--budget", "1e9")
    assert code == 0
    assert "1.2B" in out
