"""Peers from PyPI, each run in a process of its own, with the Python that has them installed."""

from __future__ import annotations

import json
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
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        table.to_csv(file.name, index=False)
        command = [python, str(RUNNER), name, file.name, str(grid_size)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        return f"{reason}; {INSTALL}" if "ModuleNotFoundError" in reason else reason
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    seconds = Seconds(answer["cpu"], answer["wall"])
    return PeerFit(answer["params"], answer["version"], answer["starts"], seconds)
