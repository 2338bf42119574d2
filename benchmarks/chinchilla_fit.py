"""One fit of the Chinchilla law to 240 points: scalekit, the 4,500-start protocol, the peers.

    python benchmarks/chinchilla_fit.py [--quick] [--peer-python PATH]

Every row's parameters are scored with the same objective: the summed Huber loss, delta 1e-3, on
log-loss residuals.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from chinchilla_points import (
    NAMES,
    Array,
    Points,
    natural,
    objective,
    published_protocol,
    read_points,
)
from measure import Seconds, print_table, timed
from peers import run_peer

HEADER = ("method", "starts", "CPU s", "wall s", "objective", "E", "alpha", "beta")
PUBLISHED = (482.01, 2085.43, 1.8172, 0.3478, 0.3658)  # A, B, E, alpha, beta; Besiroglu et al.
PEERS = {"chinchilla": "Huber on log loss", "simple-scaling-laws": "least squares"}


def fit_with_scalekit(points: Points) -> tuple[Array, Seconds]:
    """Return (A, B, E, alpha, beta) of scalekit's fit without resamples, and its mean time."""
    import scalekit as sk

    runs = sk.read_runs(points.frame())

    def work() -> Any:
        return sk.fit(runs, law="chinchilla", objective="huber_log", delta=1e-3, resamples=0, rng=0)

    work()
    fit, seconds = timed(work, repeats=20)
    return np.array([fit.params[name] for name in NAMES]), seconds


def row(
    name: str, starts: str, seconds: Seconds | None, params: Array, points: Points
) -> list[str]:
    theta = np.concatenate([np.log(params[:3]), params[3:]])
    times = (f"{seconds.cpu:.4f}", f"{seconds.wall:.4f}") if seconds else ("-", "-")
    estimates = [f"{value:.6f}" for value in params[2:]]
    return [name, starts, *times, f"{objective(theta, points):.13e}", *estimates]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="92 of the 4,500 starts; 3^5 for peers"
    )
    parser.add_argument("--peers-only", action="store_true", help="leave scalekit out")
    parser.add_argument("--peer-python", default=sys.executable, help="Python that has the peers")
    options = parser.parse_args()
    points = read_points()
    rows = [row("published constants (rounded)", "-", None, np.array(PUBLISHED), points)]
    told = []
    every = 49 if options.quick else 1  # coprime with the grid, so that all of it is sampled
    (theta, starts, near), seconds = timed(lambda: published_protocol(points, every))
    name = "4,500-start protocol"
    told.append(f"{near} of {starts} protocol starts came within 0.1% of its best objective")
    if options.quick:
        name, seconds = "4,500-start protocol (extrapolated)", seconds.scaled(4500 / starts)
        told.append(f"quick: {starts} starts were run; the protocol's time is extrapolated")
    rows.append(row(name, str(starts), seconds, natural(theta), points))
    for peer, kind in PEERS.items():
        found = run_peer(peer, points.frame(), options.peer_python, 3 if options.quick else 5)
        if isinstance(found, str):
            told.append(f"{peer} skipped: {found}")
            continue
        params = np.array([found.params[key] for key in NAMES])
        label = f"{peer} {found.version} ({kind})"
        rows.append(row(label, str(found.starts), found.seconds, params, points))
    if not options.peers_only:
        params, ours = fit_with_scalekit(points)
        rows.append(row("scalekit (Huber on log loss)", "-", ours, params, points))
        told.append(
            f"scalekit is {seconds.cpu / ours.cpu:,.0f} times faster than the protocol (CPU)"
        )
    print_table(HEADER, rows)
    print("\n".join(told))


if __name__ == "__main__":
    main()
