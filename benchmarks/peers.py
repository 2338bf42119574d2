"""Peers from PyPI, each run in a process of its own, with the Python that has them installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from measure import Seconds

RUNNER = Path(__file__).with_name("peer_runner.py")
INSTALL = "see benchmarks/README.md for the command that installs the peers"


@dataclass(frozen=True)
class PeerFit:
    """What a peer found: natural parameters, its version, starts and the time of the fit alone."""

    params: dict[str, float]
    version: str
    starts: int
    seconds: Seconds


def run_peer(
    name: str, table: pd.DataFrame, python: str = sys.executable, grid_size: int = 5
) -> PeerFit | str:
    """Return what the peer found on columns params, tokens, loss, or why there is nothing."""
    found = shutil.which(python)
    if found is None:
        return f"there is no Python at {python}; {INSTALL}"
    with tempfile.TemporaryDirectory() as folder:  # a peer may write files where it runs
        table.to_csv(Path(folder) / "runs.csv", index=False)
        command = [str(Path(found).absolute()), str(RUNNER), name, "runs.csv", str(grid_size)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        return f"{reason}; {INSTALL}" if "ModuleNotFoundError" in reason else reason
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    seconds = Seconds(answer["cpu"], answer["wall"])
    return PeerFit(answer["params"], answer["version"], answer["starts"], seconds)
