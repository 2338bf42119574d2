"""Fit one peer to a CSV of params, tokens, loss, and print what it found as one JSON line.

`peers.run_peer` starts this file with the Python that has the peers; it imports nothing of ours but
the clocks. Usage: python peer_runner.py PEER CSV GRID_SIZE
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import timed


def chinchilla(table: pd.DataFrame, grid_size: int) -> tuple[Callable[[], Any], int]:
    """`chinchilla`: BFGS from each cell of its README's grid, with its Huber loss on log loss."""
    from chinchilla import Chinchilla
    from chinchilla._metrics import log_huber

    spans = {"E": (1, 2), "a": (1, 10), "b": (1, 10), "alpha": (0.1, 0.7), "beta": (0.1, 0.7)}
    folder = Path("project")  # it keeps its table and a plot there
    folder.mkdir()
    columns = {"C": 6 * table["params"] * table["tokens"], "N": table["params"]}
    columns |= {"D": table["tokens"], "loss": table["loss"]}
    pd.DataFrame(columns).to_csv(folder / "df.csv", index=False)
    peer = Chinchilla(
        str(folder),
        param_grid={name: np.linspace(*span, grid_size) for name, span in spans.items()},
        loss_fn=partial(log_huber, delta=1e-3),
        log_level=50,
    )

    def work() -> dict[str, float]:
        peer.fit()
        return peer.params

    return work, grid_size ** len(spans)


def simple_scaling_laws(table: pd.DataFrame, _: int) -> tuple[Callable[[], Any], int]:
    """`simple-scaling-laws`: variable projection, least squares on the loss itself."""
    import polars as pl
    import simple_scaling_laws as peer

    sizes, samples, target = "model_size__params", "dataset_size__tokens", "test_loss__nats"
    columns = {"training_run_id": np.arange(len(table))}
    for column, role in (("params", sizes), ("tokens", samples), ("loss", target)):
        columns[role] = table[column].to_numpy()
    frame = pl.DataFrame(columns)

    def work() -> dict[str, float]:
        model = peer.fit(frame, n_draws=1, seed=0)
        found, scales = model.params(target), model.observed_domain
        found["A"] *= scales[sizes]["reference"] ** found["alpha"]  # it fits x / reference
        found["B"] *= scales[samples]["reference"] ** found["beta"]
        return found

    return work, 1


PEERS = {"chinchilla": chinchilla, "simple-scaling-laws": simple_scaling_laws}


def main(name: str, path: str, grid_size: str) -> None:
    work, starts = PEERS[name](pd.read_csv(path), int(grid_size))
    params, spent = timed(work)
    found = {str(key): float(value) for key, value in params.items()}
    answer = {"params": found, "cpu": spent.cpu, "wall": spent.wall, "starts": starts}
    print(json.dumps(answer | {"version": version(name)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
