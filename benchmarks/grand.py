"""Full GraNd: its price in forward+backward passes, peers beside, errors and memory.

Times are processor seconds on the CPU (one thread) and seconds on a GPU, the least of several
repeats taken in turn, as ratios to one ordinary forward+backward on the same batch.
"""

from __future__ import annotations

import argparse
import copy
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch
from measure import print_table
from score_cases import CASES, WAYS, forward_backward, loop, make

warnings.filterwarnings("ignore")


def clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def least(ways: dict[str, Callable[[], Any]], repeats: int, device: str) -> dict[str, float]:
    """Return the least seconds of each way; the ways take turns."""
    return {name: min(seconds) for name, seconds in turns(ways, repeats, device).items()}


def turns(ways: dict[str, Callable[[], Any]], repeats: int, device: str) -> dict[str, list[float]]:
    """Return the seconds of each way in each turn; the ways take turns."""
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            start = clock(device)
            run()
            seconds[name].append(clock(device) - start)
    return seconds


def time_case(case: str, options: argparse.Namespace) -> list[list[str]]:
    model, x, y = make(case, options.device)
    exact = loop(model, x, y, "float32")()
    runs: dict[str, Callable[[], Any]] = {
        "F+B": forward_backward(model, x, y, options.dtype),
        "forward": forward_only(model, x, options.dtype),
    }
    failed, errors = {}, {}
    for name in options.ways:
        try:
            run = WAYS[name](copy.deepcopy(model), x, y, options.dtype)
            found = run()
            errors[name] = float(((found - exact).abs() / exact).max())
            runs[name] = run
        except Exception as error:
            failed[name] = type(error).__name__
    seconds = least(runs, options.repeats, options.device)
    rate = len(y) / seconds["F+B"]
    rows = [[case, "F+B", "1.00", "", f"{seconds['F+B'] * 1e3:.1f} ms, {rate:.0f} examples/s"]]
    rows.append(["", "forward", f"{seconds['forward'] / seconds['F+B']:.2f}", "", ""])
    for name in options.ways:
        if name in failed:
            rows.append(["", name, "fails", "", failed[name]])
            continue
        asked = f"asked: {CASES[case][3]}" if name == "scalekit" else ""
        ratio = seconds[name] / seconds["F+B"]
        rows.append(["", name, f"{ratio:.2f}", f"{errors[name]:.0e}", asked])
    return rows


def forward_only(model: Any, x: Any, dtype: str) -> Callable[[], Any]:
    def run() -> None:
        with (
            torch.no_grad(),
            torch.autocast(x.device.type, torch.bfloat16, enabled=dtype == "bfloat16"),
        ):
            model(x)

    return run


def peak_of(case: str, way: str, device: str) -> float:
    """Return MiB at the peak of one way, in a process of its own."""
    command = [sys.executable, __file__, "--peak", case, way, "--device", device]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def print_peak(case: str, way: str, device: str) -> None:
    model, x, y = make(case, device)
    run = (forward_backward if way == "F+B" else WAYS[way])(model, x, y, "float32")
    run()
    run()
    if device == "cpu":
        status = Path("/proc/self/status").read_text()  # ru_maxrss would keep the parent's
        print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    else:
        print(torch.cuda.max_memory_allocated() / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--memory", nargs="*", metavar="CASE", help="cases whose peak is measured")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print_peak(*options.peak, options.device)
        return
    name = "one CPU thread" if options.device == "cpu" else torch.cuda.get_device_name()
    print(f"{name}, {options.dtype}, torch {torch.__version__}")
    rows = []
    for case in options.cases:
        try:
            rows += time_case(case, options)
        except ImportError as error:
            rows.append([case, "left out", "", "", str(error)])
    print_table(["model", "way", "x F+B", "error", ""], rows)
    for case in options.memory or []:
        base = peak_of(case, "F+B", options.device)
        for way in ("scalekit", "vmap(grad)"):
            extra = peak_of(case, way, options.device) - base
            print(f"{case}: {way} takes {extra:.0f} MiB more than F+B at the peak")


if __name__ == "__main__":
    main()
