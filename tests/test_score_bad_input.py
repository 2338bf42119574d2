"""Bad input to `score`: each message says what was found, what was expected and what to do."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import uuid
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
from scalekit.selectors.scores.passes import CheckError, GradientPass
from scalekit.selectors.scores.shards import OutOfMemoryError


def linear(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).eval()


def points(n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(n, 6)).astype(np.float32)
    return x, np.arange(n) % 3


def states(model: type[nn.Module] | Any = linear, count: int = 3) -> list[dict[str, torch.Tensor]]:
    found = []
    for seed in range(count):
        torch.manual_seed(seed)
        made = model(seed) if model is linear else model()
        found.append({k: v.clone() for k, v in made.state_dict().items()})
    return found


def frame(n: int = 30) -> pd.DataFrame:
    x, y = points(n)
    return pd.DataFrame({"x": list(x), "label": y, "id": [f"n{i}" for i in range(n)]})


# labels


@pytest.mark.parametrize("asked", [["alignment"], ["tracin_to_set", "el2n"]])
def test_a_label_out_of_range_is_named_by_scores_that_need_a_mean_gradient(asked: Any) -> None:
    x, y = points()
    y = y.copy()
    y[17] = 9
    reference = points(7) if "tracin_to_set" in asked else None
    with pytest.raises(InputError, match=r"Example id 17 .*Label 9 .*labels must be 0 to 2"):
        sk.score((x, y), model=linear(), scores=asked, reference=reference)


def test_a_bad_example_of_the_reference_set_is_named_or_left_out_with_a_note() -> None:
    x, y = points(7)
    reference = (x.copy(), y)
    reference[0][2] = np.nan
    options: dict[str, Any] = {"model": linear(), "scores": ["tracin_to_set"]}
    with pytest.raises(InputError, match=r"id 2 .*NaN or infinite logits"):
        sk.score(points(), reference=reference, **options)
    table = sk.score(points(), reference=reference, skip_bad=True, **options)
    told = {note.code: note.message for note in table.notes}
    assert told["reference_skipped"].startswith("1 examples of the reference set")
    clean = sk.score(points(), reference=(np.delete(x, 2, 0), np.delete(y, 2)), **options)
    np.testing.assert_allclose(table.frame["tracin_to_set"], clean.frame["tracin_to_set"], 1e-5)


def test_an_example_that_is_skipped_does_not_spoil_the_mean_gradient_of_the_others() -> None:
    x, y = points()
    x = x.copy()
    x[5] = np.nan
    table = sk.score((x, y), model=linear(), scores=["alignment"], skip_bad=True, batch_size=8)
    clean = sk.score((np.delete(x, 5, 0), np.delete(y, 5)), model=linear(), scores=["alignment"])
    np.testing.assert_allclose(table.frame["alignment"], clean.frame["alignment"], rtol=1e-4)


def test_coherence_names_a_bad_example_and_can_leave_it_out() -> None:
    x, y = points()
    x = x.copy()
    x[17] = np.nan
    with pytest.raises(InputError, match=r"id 17 .*NaN or infinite logits"):
        sk.gradient_coherence((x, y), model=linear(), batch_size=4)
    found = sk.gradient_coherence((x, y), model=linear(), batch_size=4, skip_bad=True)
    clean = sk.gradient_coherence((np.delete(x, 17, 0), np.delete(y, 17)), model=linear())
    assert found.alpha == pytest.approx(clean.alpha, rel=1e-4)
    assert found.provenance.n_rows == 29
    assert "17 (" in found.notes[0].message


@pytest.mark.parametrize("label", [-100, 3])
def test_a_label_that_counts_nothing_is_no_score_of_0(label: int) -> None:
    x, y = points()
    y = y.copy()
    y[4] = label
    with pytest.raises(InputError, match=r"id 4 .*labe"):
        sk.score((x, y), model=linear(), scores=["loss", "grand"])
    table = sk.score((x, y), model=linear(), scores=["loss"], skip_bad=True)
    assert 4 not in table.frame["id"].tolist()


def test_labels_that_are_names_are_told() -> None:
    named = frame().assign(label=["cat", "dog", "cow"] * 10)
    with pytest.raises(InputError, match=r"not numbers .*'cat'.*classes are 0..C-1"):
        sk.score(named, model=linear(), scores=["el2n"])


def test_a_null_names_its_column_and_its_example(tmp_path: Path) -> None:
    holed = frame()
    holed["label"] = holed["label"].astype("Int64")
    holed.loc[11, "label"] = None
    holed.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"Example id n11 .*column 'label' has no value"):
        sk.score(tmp_path / "a.parquet", model=linear(), scores=["el2n"])
    table = sk.score(tmp_path / "a.parquet", model=linear(), scores=["el2n"], skip_bad=True)
    assert len(table) == 29


# NaN


class NanGradient(nn.Module):
    """Finite logits whose gradient is NaN for inputs that begin with 0: the square root of 0."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        root = (self.scale * x[:, :1] + x[:, :1].abs()).sqrt()
        return self.fc(x) + root


def test_a_gradient_that_is_not_finite_is_told_not_written() -> None:
    x, y = points()
    x = x.copy()
    x[7, 0] = 0
    with pytest.raises(InputError, match=r"id 7 .*'grand' came out NaN or infinite"):
        sk.score((x, y), model=NanGradient(), scores=["el2n", "grand"])
    table = sk.score((x, y), model=NanGradient(), scores=["grand"], skip_bad=True, batch_size=8)
    assert len(table) == 29
    assert np.isfinite(table.frame["grand"]).all()


def test_a_model_whose_weights_are_nan_is_told_once_not_skipped_whole() -> None:
    model = linear()
    with torch.no_grad():
        model[2].bias[0] = torch.nan
    with pytest.raises(InputError, match=r"30 of 30 examples.*Check the inputs and the weights"):
        sk.score(points(), model=model, scores=["el2n"], skip_bad=True)


def test_a_norm_that_is_nan_where_autograd_is_not_is_a_mismatch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from scalekit.selectors.scores.uses import MatrixUse

    monkeypatch.setattr(MatrixUse, "norm2", lambda _: torch.full((5,), torch.nan))
    with pytest.raises(CheckError, match="plain autograd says"):
        GradientPass(nn.Linear(6, 3)).run(torch.randn(5, 6), torch.arange(5) % 3, torch.rand(5, 1))


# models that are not in eval mode


class Sized(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.fc = inner, nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)


@pytest.mark.parametrize("inner", [
    nn.MultiheadAttention(6, 2, dropout=0.1), nn.LSTM(6, 6, 2, dropout=0.1), nn.RReLU(),
], ids=lambda inner: type(inner).__name__)  # fmt: skip
def test_what_acts_at_random_in_training_mode_is_named(inner: nn.Module) -> None:
    with pytest.raises(InputError, match=r"'inner' .* acts at random.*model.eval\(\)"):
        sk.score(points(), model=Sized(inner), scores=["el2n"])
    assert len(sk.score(points(), model=Sized(inner).eval(), scores=["el2n"])) == 30


class DropsWithoutALayer(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.dropout(x, 0.5, self.training))


def test_an_output_that_does_not_repeat_in_training_mode_is_refused() -> None:
    model = DropsWithoutALayer(6, 3)
    with pytest.raises(InputError, match=r"returned other logits .* Call model.eval\(\) first"):
        sk.score(points(), model=model.train(), scores=["el2n"])
    assert len(sk.score(points(), model=model.eval(), scores=["el2n"])) == 30


def test_a_batch_norm_without_running_statistics_is_refused_even_in_eval_mode() -> None:
    model = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(InputError, match=r"'1' is a BatchNorm1d without running statistics"):
        sk.score(points(), model=model, scores=["el2n"])


# ids


class Named(torch.utils.data.Dataset):
    """A torch dataset of dictionaries, whose ids are known only when its items are read."""

    def __init__(self, **names: str) -> None:
        self.rows = frame().to_dict("records")
        for row, name in names.items():
            self.rows[int(row[1:])]["id"] = name

    def __len__(self) -> int:
        return 30

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.rows[row]


def test_ids_of_items_that_are_not_unique_are_named() -> None:
    with pytest.raises(InputError, match=r"not unique.*n4"):
        sk.score(Named(n29="n4"), model=linear(), scores=["el2n"], batch_size=8)
    table = sk.score(Named(), model=linear(), checkpoints=states(), scores=["el2n"])
    assert table.frame["id"].nunique() == 30


def test_ids_that_two_workers_wrote_are_found_when_the_run_is_completed(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": linear(), "scores": ["el2n"], "out": tmp_path / "s",
                               "shard_rows": 10, "batch_size": 5, "resume": True}  # fmt: skip
    sk.score(Named(n14="n7"), worker=(1, 2), **options)
    with pytest.raises(OutputError, match=r"not unique.*shard-00001.*n7.*shard-00000"):
        sk.score(Named(n14="n7"), worker=(0, 2), **options)


# examples that raise


@pytest.mark.parametrize(("made", "message"), [
    (lambda i: bytes([i]), r"all of them texts; found np.bytes_"),
    (lambda i: uuid.UUID(int=i), r"all of them texts; found UUID"),
    (lambda i: np.datetime64("2020-01-01") + i, "all of them texts; found "),
    (lambda i: None if i in (3, 5) else str(i), r"2 examples have no id, .* rows \[3, 5\]"),
    (lambda i: np.nan if i == 4 else float(i), r"1 examples have no id, .* rows \[4\]"),
])  # fmt: skip
def test_ids_that_would_not_survive_a_file_are_refused_before_the_work(
    tmp_path: Path, made: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sk.score(points(), model=linear(), ids=[made(i) for i in range(30)], scores=["el2n"],
                 out=tmp_path / "s")  # fmt: skip
    items = [{"x": x, "label": y, "id": bytes([y])} for x, y in zip(*points(3), strict=True)]
    with pytest.raises(InputError, match="all of them texts"):
        sk.score(items, model=linear(), scores=["el2n"])


def test_texts_that_look_like_times_or_numbers_stay_texts(tmp_path: Path) -> None:
    ids = ["2020-01-01", "2020-01-02 10:00:00"]
    rows = [
        {"id": name, "text": "1999-12-31", "more": {"when": [name]}, "label": 1} for name in ids
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    seen: list[Any] = []

    def prepare(columns: Any) -> np.ndarray:
        seen.extend(
            (text, more["when"])
            for text, more in zip(columns["text"], columns["more"], strict=True)
        )
        return np.zeros((len(columns["text"]), 6), np.float32)

    options: dict[str, Any] = {"model": linear(), "scores": ["el2n"], "prepare": prepare}
    table = sk.score(tmp_path / "a.jsonl", out=tmp_path / "s", **options)
    assert table.frame["id"].tolist() == ids
    assert seen[-2:] == [("1999-12-31", [name]) for name in ids]
    zeros = frame(3).assign(id=["007", "07", "7"])
    zeros.to_parquet(tmp_path / "a.parquet")
    sk.score(tmp_path / "a.parquet", model=linear(), scores=["el2n"], out=tmp_path / "z")
    assert sk.open_scores(tmp_path / "z").frame["id"].tolist() == ["007", "07", "7"]


def test_the_index_of_a_frame_is_no_input(tmp_path: Path) -> None:
    x, y = points()
    columns = pd.DataFrame(x, columns=list("abcdef")).assign(label=y)
    columns[y > 0].to_parquet(tmp_path / "some.parquet")
    table = sk.score(tmp_path / "some.parquet", model=linear(), scores=["el2n"])
    expected = sk.score((x[y > 0], y[y > 0]), model=linear(), scores=["el2n"])
    np.testing.assert_allclose(table.frame["el2n"], expected.frame["el2n"], rtol=1e-6)


class Broken(torch.utils.data.Dataset):
    def __init__(self, *rows: int) -> None:
        self.x, self.y = points()
        self.rows = rows
        self.reads = 0

    def __len__(self) -> int:
        return 30

    def __getitem__(self, row: int) -> Any:
        self.reads += 1
        if row in self.rows:
            raise OSError("truncated image")
        return self.x[row], int(self.y[row])


@pytest.mark.parametrize("rows", [(3,), (28, 29), tuple(range(8, 16)), (0, 1, 2, 17)])
@pytest.mark.parametrize("count", [1, 3])
def test_bad_items_are_left_out_wherever_they_are(rows: tuple[int, ...], count: int) -> None:
    options: dict[str, Any] = {"model": linear(), "scores": ["el2n", "grand"], "batch_size": 8,
                               "checkpoints": states(count=count)}  # fmt: skip
    table = sk.score(Broken(*rows), skip_bad=True, **options)
    whole = sk.score(points(), **options).frame
    expected = whole[~whole["id"].isin(rows)].reset_index(drop=True)
    pd.testing.assert_frame_equal(table.frame, expected, rtol=1e-4)
    assert table.provenance.rows_left_out == {"could not be scored": len(rows)}


def test_one_bad_item_does_not_score_the_shard_anew() -> None:
    data = Broken(25)
    sk.score(data, model=linear(), scores=["el2n"], skip_bad=True, batch_size=5)
    assert data.reads < 80  # 30, the first batch and the hash beforehand, the culprit's batch


def test_all_examples_of_a_shard_may_be_bad(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": linear(), "scores": ["el2n"], "shard_rows": 10,
                               "batch_size": 5, "skip_bad": True}  # fmt: skip
    x, y = points()
    bad = x.copy()
    bad[10:20] = np.nan
    table = sk.score((bad, y), out=tmp_path / "most", **options)
    assert sk.open_scores(tmp_path / "most").frame["id"].tolist() == [*range(10), *range(20, 30)]
    assert table.provenance.rows_left_out == {"could not be scored": 10}
    with pytest.raises(OutputError, match="all 30 examples were left out"):
        sk.score((x * np.nan, y), out=tmp_path / "all", **{**options, "batch_size": 1})
    with pytest.raises(InputError, match="All 5 examples of the first batch fail in this way"):
        sk.score((x * np.nan, y), out=tmp_path / "none", **options)


class Stream:
    """Raises at its 14th item, as a file that ends in the middle of a record does."""

    def __iter__(self) -> Iterator[Any]:
        for row, item in enumerate(frame().to_dict("records")):
            if row == 13:
                raise OSError("broken record")
            yield item


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_stream_that_breaks_says_where_and_is_not_taken_for_its_end(skip_bad: bool) -> None:
    with pytest.raises(InputError, match=r"Item 13 of the stream .*broken record.*Mend it"):
        sk.score(Stream(), model=linear(), scores=["el2n"], batch_size=4, skip_bad=skip_bad)


def test_what_can_be_read_only_once_is_refused_not_read_in_part() -> None:
    with pytest.raises(InputError, match=r"type generator can be read only once.*starts anew"):
        sk.score((row for row in frame().to_dict("records")), model=linear(), scores=["el2n"])


def test_a_loader_of_batches_is_refused() -> None:
    loader = torch.utils.data.DataLoader(Named(), batch_size=3)
    with pytest.raises(InputError, match=r"yield batches, not examples.*loader.dataset"):
        sk.score(loader, model=linear(), scores=["el2n"])


# options that would have no effect


@pytest.mark.parametrize(("data", "options", "message"), [
    (points(), {"label": "y"}, "label cannot be applied: arrays have no columns"),
    (points(), {"prepare": lambda c: c}, "prepare cannot be applied"),
    (frame(), {"ids": np.arange(30)}, r"Name the column of ids with id="),
    (Broken(), {"inputs": ["x"]}, "pairs without names"),
    (Named(), {"inputs": ["pixels"]}, "no column 'pixels'"),
    (Named(), {"id": "name"}, "no column 'name'"),
    (Named(), {"label": "lable"}, "no label column 'lable'"),
    (Named(), {"prepare": lambda _: [[1.0, 2.0], [3.0]]}, "lists of different lengths"),
    (Named(), {"prepare": lambda _: np.zeros((2, 6))}, "30 examples and returned 2"),
    (frame()[["label", "id"]], {}, "no column of inputs"),
    ("train.parquet", {"labels": "y.npy"}, "go with a .npy file"),
])  # fmt: skip
def test_options_that_cannot_be_applied_are_told(data: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.score(data, model=linear(), scores=["el2n"], **options)


def test_inputs_are_chosen_by_name_in_data_sets_and_streams() -> None:
    plain = sk.score(points(), model=linear(), scores=["el2n"]).frame["el2n"]
    rows = [row | {"text": "more"} for row in frame().to_dict("records")]
    for data in (rows, dict(enumerate(rows)).values()):
        found = sk.score(data, model=linear(), scores=["el2n"], inputs=["x"]).frame["el2n"]
        np.testing.assert_allclose(found, plain, rtol=1e-5)


def test_prepare_may_return_lists_as_tokenizers_do() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.fc = nn.Embedding(9, 4), nn.Linear(4, 3)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.fc(self.table(ids).mean(1))

    table = sk.score(frame(), model=Tokens().eval(), scores=["grand"], batch_size=7,
                     prepare=lambda columns: {"ids": [[1, 2, 3]] * len(columns["id"])})  # fmt: skip
    assert len(table) == 30


# memory


class Hungry(nn.Module):
    """Runs out of memory above `limit` examples, from the call number `since` on."""

    limit, since = 4, 0

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if len(x) > self.limit and self.calls > self.since:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.fc(x)


@pytest.mark.parametrize("asked", [["el2n"], ["grand"], ["vog", "grand"], ["alignment"]])
@pytest.mark.parametrize("since", range(6))
def test_memory_may_run_out_anywhere_and_no_score_changes(
    asked: list[str], since: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any batch of any checkpoint, where parts of a batch were summed already."""
    monkeypatch.setattr(Hungry, "since", since)
    options: dict[str, Any] = {"checkpoints": states(Hungry), "scores": asked, "batch_size": 16}
    table = sk.score(points(), model=Hungry(), **options)
    monkeypatch.setattr(Hungry, "limit", 99)
    whole = sk.score(points(), model=Hungry(), **options)
    pd.testing.assert_frame_equal(table.frame, whole.frame, rtol=1e-3, atol=1e-5)
    assert any(note.code == "batch_halved" for note in table.notes)


def test_memory_may_run_out_while_coherence_is_measured() -> None:
    found = sk.gradient_coherence(points(), model=Hungry(), batch_size=16, blocks=2)
    assert [note.code for note in found.notes] == ["batch_halved"]


def test_where_one_example_is_too_large_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Hungry, "limit", 0)
    with pytest.raises(OutOfMemoryError, match=r"batch of one example.*20.00 GiB.*bfloat16"):
        sk.score(points(), model=Hungry(), scores=["grand"], skip_bad=True)


# files


def test_a_killed_write_leaves_nothing_that_is_taken_for_a_shard(tmp_path: Path) -> None:
    """The process is killed while it writes, between the temporary file and the rename."""
    program = """
import os, signal, sys
import numpy as np, torch, pyarrow.parquet as pq
import scalekit as sk
write, count = pq.write_table, [0]
def half(table, path, **options):
    write(table, path, **options)
    count[0] += 1
    if count[0] == 2:
        path.write_bytes(path.read_bytes()[:200])
        os.kill(os.getpid(), signal.SIGKILL)
pq.write_table = half
x, y = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32), np.arange(30) % 3
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).eval()
sk.score((x, y), model=model, scores=["el2n"], out=sys.argv[1], shard_rows=10)
"""
    root = str(Path(__file__).parent.parent)
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "s")],
                            env={**os.environ, "PYTHONPATH": root}, check=False)  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert [p.name for p in (tmp_path / "s").glob("shard-*")] == ["shard-00000.parquet"]
    assert list((tmp_path / "s").glob(".shard-00001*"))
    assert sk.open_scores(tmp_path / "s").notes[-1].code == "incomplete"
    table = sk.score(points(), model=linear(), scores=["el2n"], out=tmp_path / "s", shard_rows=10,
                     resume=True)  # fmt: skip
    assert table.frame["id"].tolist() == list(range(30))


def test_a_run_killed_before_its_manifest_was_there_can_begin_again(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / ".manifest-x1.json").write_text("{")
    assert len(sk.score(points(), model=linear(), scores=["el2n"], out=tmp_path / "s")) == 30


def test_a_disk_that_is_really_full_is_told_and_the_run_goes_on_later(tmp_path: Path) -> None:
    """The system refuses the write: a limit on the size of files stands for the full disk."""
    program = """
import resource, signal, sys
import numpy as np, torch
import scalekit as sk
from scalekit.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
x, y = np.random.default_rng(0).normal(size=(3000, 6)).astype(np.float32), np.arange(3000) % 3
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).eval()
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    sk.score((x, y), model=model, scores=["el2n"], out=sys.argv[1], resume=True)
except OutputError as error:
    sys.exit(f"told: {error}")
"""
    root = str(Path(__file__).parent.parent)

    def run(limit: int) -> Any:
        return subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "s"), str(limit)], text=True,
            env={**os.environ, "PYTHONPATH": root}, capture_output=True, check=False,
        )  # fmt: skip

    full = run(4096)
    assert full.returncode == 1, full.stderr
    assert "told: Cannot write" in full.stderr
    assert "make room" in full.stderr
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["manifest.json"]
    assert run(0).returncode == 0
    assert len(sk.open_scores(tmp_path / "s")) == 3000


def test_a_shard_under_another_name_is_refused(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": linear(), "scores": ["el2n"], "out": tmp_path / "s",
                               "shard_rows": 10, "resume": True}  # fmt: skip
    sk.score(points(), worker=(0, 2), **options)
    first = tmp_path / "s" / "shard-00000.parquet"
    (tmp_path / "s" / "shard-00001.parquet").write_bytes(first.read_bytes())
    with pytest.raises(OutputError, match=r"holds shard 0, not shard 1.*Delete it"):
        sk.score(points(), **options)
    with pytest.raises(OutputError, match="holds shard 0, not shard 1"):
        sk.open_scores(tmp_path / "s")


def test_a_shard_of_another_run_in_an_unfinished_one_is_refused(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        sk.score(points(), model=linear(seed), scores=["el2n"], out=tmp_path / name, shard_rows=10,
                 worker=(seed, 2))  # fmt: skip
    shard = "shard-00001.parquet"
    (tmp_path / "a" / shard).write_bytes((tmp_path / "b" / shard).read_bytes())
    with pytest.raises(OutputError, match="belongs to another run"):
        sk.open_scores(tmp_path / "a")


@pytest.mark.parametrize("text", ["[]", "{}", '{"kind": "fit", "complete": true}', "{"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(OutputError, match=r"no scores|not the manifest"):
        sk.open_scores(tmp_path)


@pytest.mark.parametrize(("lines", "message"), [
    ('[1, 2]\n', "line 1 holds a list; expected a JSON object"),
    ('oops\n', "line 1 is not JSON"),
    ('{"x": [0, 0, 0, 0, 0, 0], "label": 1}\noops\n', "lines 1 and on: cannot be read"),
])  # fmt: skip
def test_json_lines_that_cannot_be_read_are_told(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(lines)
    with pytest.raises(InputError, match=message):
        sk.score(tmp_path / "a.jsonl", model=linear(), scores=["el2n"])


def test_empty_lines_are_no_examples(tmp_path: Path) -> None:
    frame().to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    (tmp_path / "a.jsonl").write_text("\n" + "\n\n".join(lines) + "\n\n")
    assert len(sk.score(tmp_path / "a.jsonl", model=linear(), scores=["el2n"])) == 30


# pickles


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


@pytest.mark.parametrize("kind", ["weights.pt", "raw.pkl", "x.npy", "xy.npz", "x.safetensors"])
def test_a_pickle_is_never_run(tmp_path: Path, kind: str) -> None:
    path, sprung = tmp_path / kind, tmp_path / "sprung"
    trap = np.array([Trap(sprung)] * 30, dtype=object)
    if kind.endswith(".pt"):
        torch.save({"state_dict": linear().state_dict(), "more": Trap(sprung)}, path)
    elif kind.endswith(".npy"):
        np.save(path, trap, allow_pickle=True)
    elif kind.endswith(".npz"):
        np.savez(path, inputs=trap, labels=np.arange(30) % 3)
    else:
        path.write_bytes(pickle.dumps(Trap(sprung)))
    if kind.endswith(".safetensors"):
        pytest.importorskip("safetensors", reason="safetensors is not installed (extra [hf])")
    options: dict[str, Any] = {"model": linear(), "scores": ["el2n"]}
    given: Any = points()
    if kind.endswith((".npy", ".npz")):
        given = path
        options["labels"] = points()[1] if kind.endswith(".npy") else None
    else:
        options["checkpoints"] = [path]
    with pytest.raises(InputError, match=r"so (it was|they were) not|cannot be read as safetens"):
        sk.score(given, **options)
    assert not sprung.exists()


# the command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sizes.py").write_text("CLASSES = 3\n")
    (tmp_path / "models.py").write_text("""
from __future__ import annotations
from dataclasses import dataclass

import torch
from sizes import CLASSES

@dataclass
class Config:
    inputs: int = 6

def build():
    torch.manual_seed(0)
    return torch.nn.Linear(Config().inputs, CLASSES)

def narrow():
    return torch.nn.Linear(5, CLASSES)
""")
    frame().to_parquet(tmp_path / "train.parquet")
    return tmp_path


def command(folder: Path, *words: str, model: str = "build") -> Any:
    return CliRunner().invoke(build_app(), [
        "score", str(folder / "train.parquet"), "--model", f"{folder}/models.py:{model}",
        "--scores", "grand", "-o", str(folder / "s"), *words,
    ])  # fmt: skip


def test_a_model_file_may_hold_dataclasses_and_import_its_neighbours(folder: Path) -> None:
    done = command(folder, "--loop-params", "bias")
    assert done.exit_code == 0, done.output
    assert "counted by a loop" in done.output


@pytest.mark.parametrize(("words", "model", "message"), [
    (["--learning-rates", "0.1,fast"], "build", "--learning-rates '0.1,fast'"),
    ([], "narrow", "mat1 and mat2 shapes cannot be multiplied"),
    (["--labels", "y.npy"], "build", "go with a .npy file"),
    (["--checkpoints", "models.py"], "build", "no checkpoint"),
])  # fmt: skip
def test_the_command_tells_errors_in_words(
    folder: Path, words: list[str], model: str, message: str
) -> None:
    done = command(folder, *words, model=model)
    assert done.exit_code == 1, done.output
    assert done.output.startswith("error: ") or "\nerror: " in done.output
    assert message in done.output


def test_bad_examples_are_listed_by_the_command(folder: Path) -> None:
    bad = frame()
    bad.loc[8, "x"][:] = np.nan
    bad.to_parquet(folder / "train.parquet")
    told = command(folder)
    assert told.exit_code == 1
    assert "Example id n8" in told.output
    assert "--skip-bad" in told.output
    done = command(folder, "--resume", "--skip-bad")
    assert done.exit_code == 0, done.output
    assert "1 examples could not be scored" in done.output
    assert "n8" in (folder / "s" / "manifest.json").read_text()


def test_a_stream_has_its_plan_too(capsys: pytest.CaptureFixture[str]) -> None:
    rows = dict(enumerate(frame().to_dict("records"))).values()
    sk.score(rows, model=linear(), scores=["grand", "alignment"][:1], quiet=False)
    assert "a stream, for each 1,000 examples, about" in capsys.readouterr().err
