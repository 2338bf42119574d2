"""Ray against the plain runner: throughput at 1 and 2 workers, and what survives being killed.

`--kills 20` starts a run of two workers and kills, at random moments, a worker or the driver, that
many times in all; a dead driver is started again with resume. At the end every id must be there
exactly once, with the scores of an undisturbed run.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
import numpy as np
import pandas as pd
import torch
from measure import print_table

import scalekit as sk


class Slow(torch.nn.Linear):
    """Takes `seconds` a batch, as a real model would, without taking a core."""

    def __init__(self, seconds: float) -> None:
        super().__init__(16, 3)
        self.seconds = seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return super().forward(x)


def run(out: str, shards: int, engine: str, workers: int, seconds: float) -> pd.DataFrame:
    n = shards * 64
    x, y = np.random.default_rng(0).normal(size=(n, 16)).astype(np.float32), np.arange(n) % 3
    torch.manual_seed(0)
    table = sk.score((x, y), model=Slow(seconds), scores=["el2n"], out=out, shard_rows=64,
                     resume=True, engine=engine, workers=workers)  # fmt: skip
    return table.frame


def throughput(shards: int, seconds: float) -> None:
    rows = []
    for engine, workers in (("local", 1), ("ray", 1), ("ray", 2)):
        with tempfile.TemporaryDirectory() as home:
            start = time.perf_counter()
            run(f"{home}/s", shards, engine, workers, seconds)
            wall = time.perf_counter() - start
        ideal = shards * seconds / workers
        rows.append([f"{engine}, {workers} worker(s)", f"{wall:.1f} s", f"{ideal:.1f} s",
                     f"{shards * 64 / wall:.0f}"])  # fmt: skip
    print_table(["engine", "wall", "model alone", "examples/s"], rows)


def actors_of(pid: int) -> list[int]:
    import psutil

    try:
        children = psutil.Process(pid).children(recursive=True)
        return [c.pid for c in children if "MapWorker" in " ".join(c.cmdline())]
    except psutil.NoSuchProcess:
        return []


def torment(kills: int, shards: int, seconds: float) -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as home:
        out, done = Path(home) / "s", {"worker": 0, "driver": 0}
        command = [sys.executable, __file__, "--drive", str(out), str(shards), str(seconds)]
        driver = None
        while sum(done.values()) < kills:
            if driver is None or driver.poll() is not None:
                driver = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL)  # fmt: skip
            before = len(list(out.glob("shard-*"))) if out.exists() else 0
            while driver.poll() is None and len(list(out.glob("shard-*"))) == before:
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 1))
            workers = actors_of(driver.pid)
            if driver.poll() is not None:
                if len(list(out.glob("shard-*"))) == shards:
                    break
            elif rng.random() < 0.25:
                os.kill(driver.pid, signal.SIGKILL)
                driver.wait()
                done["driver"] += 1
            elif workers:
                os.kill(int(rng.choice(workers)), signal.SIGKILL)
                done["worker"] += 1
            print(f"killed {done}, {len(list(out.glob('shard-*')))} of {shards} shards",
                  file=sys.stderr, flush=True)  # fmt: skip
        if driver is not None:
            driver.wait()
        subprocess.run(command, check=True, capture_output=True)
        frame = sk.open_scores(out).frame
        plain = run(f"{home}/plain", shards, "local", 1, 0.0)
    once = bool((frame["id"].sort_values().to_numpy() == np.arange(shards * 64)).all())
    same = np.allclose(frame.sort_values("id")["el2n"], plain["el2n"])
    print(f"killed: {done}; every id exactly once: {once}; scores as undisturbed: {same}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=0.1, help="of the model, a batch of 64")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--drive", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        out, shards, seconds = options.drive
        run(out, int(shards), "ray", 2, float(seconds))
    elif options.kills:
        torment(options.kills, options.shards, options.seconds)
    else:
        throughput(options.shards, options.seconds)


if __name__ == "__main__":
    main()
