"""Shards of scores: resumable, checked, never mixed; models and weights from files; commands."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import scalekit as sk
from scalekit.cli.main import build_app
from scalekit.errors import InputError, OutputError
from scalekit.selectors.scores import shards
from scalekit.selectors.scores.store import fingerprint_of

ASKED = ["el2n", "grand", "sketch"]
FACTORY = """
import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Linear(4, 3)

def with_text():
    model = torch.nn.EmbeddingBag(128, 3)
    return model, lambda columns: torch.tensor([[ord(c) for c in t] for t in columns["text"]])

def broken():
    raise RuntimeError("no weights here")

def wrong():
    return 3
"""


def points(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32), np.arange(n) % 3


def model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(4, 3)


def run(out: Path, **options: Any) -> sk.ScalekitError | Any:
    return sk.score(points(), **{"model": model(), "scores": ASKED, "out": out, "shard_rows": 10,
                                 "resume": True, **options})  # fmt: skip


def test_shards_hold_the_scores_and_a_manifest_that_says_what_they_are(tmp_path: Path) -> None:
    table = run(tmp_path / "s")
    plain = sk.score(points(), model=model(), scores=ASKED)
    pd.testing.assert_frame_equal(table.frame, plain.frame, rtol=1e-5)
    np.testing.assert_allclose(table.vectors["sketch"], plain.vectors["sketch"], atol=1e-5)
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text())
    assert manifest["complete"]
    assert [shard["rows"] for shard in manifest["shards"]] == [10] * 4
    for name in ("model", "data", "dtype", "seed", "scores", "version"):
        assert manifest[name] is not None
    assert sk.open_scores(tmp_path / "s", ["el2n"]).scores == ["el2n"]


def test_a_folder_with_scores_is_not_written_over(tmp_path: Path) -> None:
    run(tmp_path / "s")
    with pytest.raises(OutputError, match="--resume"):
        run(tmp_path / "s", resume=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds no scores"):
        run(tmp_path / "other")


def test_resume_does_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "s")
    (tmp_path / "s" / "shard-00002.parquet").unlink()
    done: list[tuple[int, int]] = []
    score = shards.ShardScorer.score

    def watched(self: shards.ShardScorer, first: int, last: int) -> Any:
        done.append((first, last))
        return score(self, first, last)

    monkeypatch.setattr(shards.ShardScorer, "score", watched)
    assert len(run(tmp_path / "s")) == 40
    assert done == [(20, 30)]


@pytest.mark.parametrize(("change", "what"), [
    ({"model": model(1)}, "model"),
    ({"data": (points()[0] + 1, points()[1])}, "data"),
    ({"scores": ["el2n"]}, "scores"),
    ({"dtype": "float64"}, "dtype"),
    ({"seed": 5}, "seed"),
    ({"checkpoints": [model(1).state_dict()]}, "model"),
])  # fmt: skip
def test_another_run_is_not_mixed_in(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    run(tmp_path / "s")
    data = change.pop("data", points())
    options = {"model": model(), "scores": ASKED, "shard_rows": 10, **change}
    with pytest.raises(OutputError, match=f"begun with {what}"):
        sk.score(data, out=tmp_path / "s", resume=True, **options)


def test_a_shard_that_was_changed_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "s")
    shard = tmp_path / "s" / "shard-00001.parquet"
    frame = pd.read_parquet(shard)
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(shard)
    changed = pa.Table.from_pandas(frame.assign(el2n=0.0), preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), shard)
    with pytest.raises(OutputError, match=r"shard-00001.parquet was changed after the run"):
        sk.open_scores(tmp_path / "s")
    with pytest.raises(OutputError, match="was changed after it was written"):
        run(tmp_path / "s")
    shard.unlink()
    with pytest.raises(OutputError, match="missing"):
        sk.open_scores(tmp_path / "s")
    assert len(run(tmp_path / "s")) == 40


def test_half_a_shard_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "s")
    shard = tmp_path / "s" / "shard-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(OutputError, match="not a whole shard"):
        run(tmp_path / "s")


def test_an_incomplete_run_opens_with_an_error_note(tmp_path: Path) -> None:
    table = run(tmp_path / "s", worker=(1, 2))
    assert len(table) == 20
    assert [note.severity for note in table.notes] == ["error"]
    whole = run(tmp_path / "s", worker=(0, 2))
    assert len(whole) == 40
    assert not whole.notes


def test_whichever_worker_is_last_completes_the_run(tmp_path: Path) -> None:
    for rank in (2, 0, 1):
        run(tmp_path / "s", worker=(rank, 3))
    assert sk.open_scores(tmp_path / "s").notes == ()


class Counting:
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[Any]:
        x, y = points()
        return iter([{"x": x[i], "label": int(y[i])} for i in range(self.n)])


@pytest.mark.parametrize("n", [5, 10, 12, 20])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_workers_complete_a_stream_wherever_it_ends(
    tmp_path: Path, n: int, order: tuple[int, int]
) -> None:
    for rank in order:
        table = sk.score(Counting(n), model=model(), scores=["el2n"], out=tmp_path / "s",
                         shard_rows=5, worker=(rank, 2), resume=True)  # fmt: skip
    assert table.frame["id"].tolist() == list(range(n))
    assert table.notes == ()


def test_a_worker_without_a_shard_is_no_failure(tmp_path: Path) -> None:
    early = run(tmp_path / "s", worker=(4, 5))
    assert len(early) == 0
    assert early.notes[0].message == (
        "This worker had no shard to do, and the others have none yet."
    )
    assert early.summary().startswith("0 examples, no scores")


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OutputError, match=r"No space left on device.*make room"):
        run(tmp_path / "s")
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["manifest.json"]
    assert len(run(tmp_path / "s")) == 40


KILLED = """
import sys, time
import numpy as np, torch
import scalekit as sk

class Slow(torch.nn.Linear):
    def forward(self, x):
        time.sleep(0.05)
        return super().forward(x)

x, y = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32), np.arange(200) % 3
torch.manual_seed(0)
sk.score((x, y), model=Slow(4, 3), scores=["el2n"], out=sys.argv[1], shard_rows=10, resume=True)
"""


def test_a_killed_run_goes_on_with_every_id_exactly_once(tmp_path: Path) -> None:
    out = tmp_path / "s"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", KILLED, str(out)]
    started = subprocess.Popen(command, env=environment)
    while len(list(out.glob("shard-*.parquet"))) < 3:
        assert started.poll() is None, "finished before it could be killed"
        time.sleep(0.02)
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert len(list(out.glob("shard-*.parquet"))) < 20
    subprocess.run(command, env=environment, check=True)
    assert sorted(sk.open_scores(out).frame["id"]) == list(range(200))


# weights and models from files


def test_weights_are_read_but_pickles_are_not_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": model(1).state_dict()}, path)
    table = sk.score(points(), model=model(), checkpoints=[path], scores=["grand"])
    direct = sk.score(points(), model=model(1), scores=["grand"])
    pd.testing.assert_frame_equal(table.frame, direct.frame)
    torch.save(model(1), path)
    with pytest.raises(InputError, match="A pickle can run anything"):
        sk.score(points(), model=model(), checkpoints=[path], scores=["grand"])
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="A pickle can run anything"):
        sk.score(points(), model=model(), checkpoints=[path], scores=["grand"])


@pytest.mark.parametrize(("state", "message"), [
    ("nowhere.pt", "no checkpoint"), ({"weight": torch.zeros(9, 9)}, "does not fit the model"),
])  # fmt: skip
def test_weights_that_do_not_fit_are_told(state: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.score(points(), model=model(), checkpoints=[state], scores=["grand"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models.py").write_text(FACTORY)
    x, y = points()
    frame = pd.DataFrame(x, columns=list("abcd")).assign(label=y, id=[f"n{i}" for i in range(40)])
    frame.to_parquet(tmp_path / "train.parquet")
    text = pd.DataFrame({"text": ["good", "evil"] * 20, "label": [0, 1] * 20})
    text.to_json(tmp_path / "train.jsonl", orient="records", lines=True)
    return tmp_path


def command(*words: Any) -> Any:
    return CliRunner().invoke(build_app(), [str(word) for word in words])


def test_the_command_scores_a_parquet_file(folder: Path) -> None:
    words = ("score", folder / "train.parquet", "--model", f"{folder}/models.py:build",
             "--scores", "el2n,grand", "-o", folder / "s")  # fmt: skip
    dry = command(*words, "--dry-run")
    assert "ghost norms" in dry.output
    assert not (folder / "s").exists()
    done = command(*words)
    assert done.exit_code == 0, done.output
    assert "40 examples, 2 scores" in done.output
    again = command(*words)
    assert again.exit_code == 1
    assert "--resume" in again.output
    resumed = command(*words, "--resume", "--json")
    values = json.loads(resumed.stdout)
    assert values["kind"] == "scores"
    assert values["scores"]["el2n"]["higher_is"] == "hard"


def test_other_columns_or_another_model_file_are_not_mixed_in(folder: Path) -> None:
    data, file = folder / "train.parquet", folder / "models.py"
    pd.read_parquet(data).assign(other=0).to_parquet(data)
    words = ("score", data, "--model", f"{file}:build", "--scores", "el2n", "--resume",
             "--inputs", "a,b,c,d", "-o", folder / "s")  # fmt: skip
    assert command(*words).exit_code == 0
    assert command(*words).exit_code == 0
    other = command(*words, "--label", "other")
    assert other.exit_code == 1
    assert 's was begun with columns {"label": null,' in other.output
    file.write_text(
        FACTORY.replace("torch.nn.Linear(4, 3)", "torch.nn.Linear(4, 3).requires_grad_()")
    )
    changed = command(*words)
    assert changed.exit_code == 1
    assert 's was begun with model "Linear ' in changed.output


def test_what_was_noted_is_still_noted_after_a_run_that_had_nothing_to_do(tmp_path: Path) -> None:
    made = nn.Sequential(nn.Linear(4, 4), nn.PReLU(), nn.Linear(4, 3))
    notes = [run(tmp_path / "s", model=made).notes for _ in range(2)]
    assert [note.code for note in notes[0]] == ["looped"]
    assert notes[1] == notes[0]


def test_a_run_from_before_its_columns_were_kept_has_the_fingerprint_it_had() -> None:
    header = {
        "format": 1, "scores": ["el2n"], "model": "m", "checkpoints": [], "learning_rates": [],
        "dtype": "float32", "seed": 0, "data": "d", "reference": None, "n_rows": 2,
        "shard_rows": 2, "sketch_width": 32, "per_layer": False,
    }  # fmt: skip
    assert fingerprint_of(header) == "c958570448a122cb"
    assert fingerprint_of({**header, "columns": {"label": "y"}}) != fingerprint_of(header)


def test_a_model_with_another_activation_is_another_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights, data = nn.Linear(4, 3), points()
    options: dict[str, Any] = {"scores": ["el2n"], "out": tmp_path / "s", "resume": True}
    sk.score(data, model=nn.Sequential(weights, nn.ReLU()), **options)
    sk.score(data, model=nn.Sequential(weights, nn.ReLU()), **options)
    with pytest.raises(OutputError, match="begun with model"):
        sk.score(data, model=nn.Sequential(weights, nn.GELU()), **options)


def test_a_first_try_that_scored_nothing_does_not_block_the_folder(folder: Path) -> None:
    words = ("score", folder / "train.parquet", "--model", f"{folder}/models.py:build",
             "--scores", "el2n", "-o", folder / "s")  # fmt: skip
    wrong = command(*words, "--inputs", "a,b")
    assert wrong.exit_code == 1
    assert (folder / "s").is_dir()
    assert command(*words).exit_code == 0


def test_the_command_prepares_text(folder: Path) -> None:
    done = command("score", folder / "train.jsonl", "--model", f"{folder}/models.py:with_text",
                   "--scores", "grand", "-o", folder / "s")  # fmt: skip
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("name", "message"), [
    ("models.py:buld", "Did you mean 'build'"), ("models.py:broken", "no weights here"),
    ("models.py:wrong", "expected a torch module"), ("gone.py:build", "There is no file"),
    ("models.py", "expected file.py:function"),
])  # fmt: skip
def test_a_bad_factory_is_told(folder: Path, name: str, message: str) -> None:
    done = command("score", folder / "train.parquet", "--model", f"{folder}/{name}",
                   "--scores", "el2n", "-o", folder / "s")  # fmt: skip
    assert done.exit_code == 1
    assert message in done.output


def test_the_catalogue_is_listed() -> None:
    assert "|p - onehot(y)|_2" in command("scores").output
    assert json.loads(command("scores", "aum", "--json").stdout)[0]["higher_is"] == "easy"
    assert "Did you mean 'vog'" in command("scores", "vgo").output
