"""Ray hands out shards: the same scores, every id once, though workers and drivers are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import scalekit as sk
from scalekit.errors import InputError, OutputError

pytest.importorskip("ray", reason="ray is not installed (extra [ray])")
pytestmark = pytest.mark.filterwarnings("ignore")

RUN = """
import sys, time
import numpy as np, torch
import scalekit as sk

class Slow(torch.nn.Linear):
    def forward(self, x):
        time.sleep(0.2)
        return super().forward(x)

if __name__ == "__main__":
    x, y = np.random.default_rng(0).normal(size=(240, 4)).astype(np.float32), np.arange(240) % 3
    torch.manual_seed(0)
    sk.score((x, y), model=Slow(4, 3), scores=["el2n"], out=sys.argv[1], shard_rows=10,
             resume=True, engine="ray", workers=2)
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parent.parent)
    program = folder.parent / "run.py"
    program.write_text(RUN)
    return subprocess.Popen(
        [sys.executable, str(program), str(folder)],
        env={**os.environ, "PYTHONPATH": root, "RAY_AUTH_MODE": "disabled"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def wait_for_shards(run: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    until = time.monotonic() + 240
    while len(list(folder.glob("shard-*.parquet"))) < count:
        assert run.poll() is None, "ended before it could be disturbed"
        assert time.monotonic() < until
        time.sleep(0.02)


def workers_of(run: subprocess.Popen[bytes]) -> list[int]:
    """Processes of this run's session that are Ray actors holding the model."""
    psutil = pytest.importorskip("psutil", reason="psutil is not installed")
    children = psutil.Process(run.pid).children(recursive=True)
    return [child.pid for child in children if "MapWorker" in " ".join(child.cmdline())]


def test_a_killed_worker_and_a_killed_driver_lose_and_double_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    run = start(folder)
    wait_for_shards(run, folder, 3)
    found = workers_of(run)
    assert found
    os.kill(found[0], signal.SIGKILL)
    wait_for_shards(run, folder, 6)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert len(list(folder.glob("shard-*.parquet"))) < 24
    again = start(folder)
    assert again.wait(timeout=240) == 0
    assert sorted(sk.open_scores(folder).frame["id"]) == list(range(240))


def test_ray_needs_a_folder_and_a_length(tmp_path: Path) -> None:
    import torch

    data = (np.zeros((4, 2), np.float32), np.arange(4) % 2)
    options = {"model": torch.nn.Linear(2, 2), "scores": ["el2n"], "engine": "ray"}
    with pytest.raises(InputError, match="give out="):
        sk.score(data, **options)
    with pytest.raises(InputError, match=r"no stream|not a stream"):
        sk.score({0: {"x": [0.0, 1.0], "label": 0}}.values(), out=tmp_path / "s", **options)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(OutputError, match="not empty"):
        sk.score(data, out=tmp_path / "full", **options)
