"""Train the small language models whose logs are bundled in `scalekit/data/examples`.

The text is the Python standard library's own sources, so every installation has it. Each finished
training is one file under `OUT/trainings`; started again, the script trains only what is missing.

    python benchmarks/make_examples.py --out build/examples --workers 2
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import platform
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from examples_model import (
    BATCH_TOKENS,
    CONTEXT,
    VOCAB,
    Recipe,
    Trajectory,
    exact_flops,
    param_counts,
    train,
)
from torch import Tensor

SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idle_test"}
VAL_WINDOWS = 512
SEEDS = (0, 1, 2)
ENDS = (400, 800, 1600, 3200, 6400, 12800)  # steps
SIZES = {  # (layers, width): how many of ENDS; two fewer after the first seed
    (1, 16): 6,
    (1, 24): 6,
    (1, 32): 6,
    (2, 32): 6,
    (2, 48): 5,
    (2, 64): 5,
    (3, 64): 5,
    (3, 96): 4,
    (4, 128): 4,
}
COSINE = Recipe("cosine", base_lr=6e-3, by_width=True, final=0.1)
CONSTANT = Recipe("constant", base_lr=6e-3, by_width=False, final=1.0)


def source_files() -> list[Path]:
    """Standard library sources in sorted order, without tests and build-specific files."""
    root = Path(sysconfig.get_paths()["stdlib"])
    kept = [
        path
        for path in root.rglob("*.py")
        if not SKIPPED & set(path.relative_to(root).parts)
        and not path.name.startswith("_sysconfigdata")
    ]
    return sorted(kept, key=lambda path: path.relative_to(root).as_posix())


def in_validation(text: bytes) -> bool:
    """About one file in twenty, by the hash of its text."""
    return hashlib.sha256(text).digest()[0] < 13


def windows_of(texts: list[bytes]) -> Tensor:
    """Disjoint windows of CONTEXT + 1 bytes of the joined texts."""
    joined = np.minimum(np.frombuffer(b"".join(texts), np.uint8), VOCAB - 1)
    count = len(joined) // (CONTEXT + 1)
    return torch.from_numpy(joined[: count * (CONTEXT + 1)].reshape(count, -1).astype(np.int32))


@cache
def corpus() -> tuple[Tensor, Tensor, dict[str, object]]:
    """Training windows, the fixed validation windows, and a description of the text."""
    texts = list(dict.fromkeys(path.read_bytes() for path in source_files()))
    train_windows = windows_of([text for text in texts if not in_validation(text)])
    held_out = windows_of([text for text in texts if in_validation(text)])
    chosen = np.linspace(0, len(held_out) - 1, VAL_WINDOWS).astype(int)
    about = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "files": len(texts),
        "validation_files": sum(map(in_validation, texts)),
        "bytes": sum(map(len, texts)),
        "sha256": hashlib.sha256(b"".join(texts)).hexdigest(),
        "train_windows": len(train_windows),
        "validation_windows": VAL_WINDOWS,
    }
    return train_windows, held_out[chosen], about


def design(quick: bool) -> Iterator[Trajectory]:
    """All trainings, seed by seed.

    Cosine decay needs one training per end; a constant rate passes through all of them in one.
    The two largest budgets of each size, most of its cost, have the first seed only.
    """
    sizes = dict(list(SIZES.items())[:2]) if quick else SIZES
    seeds, ends = (SEEDS[:1], (50, 100)) if quick else (SEEDS, ENDS)
    for seed in seeds:
        for (layers, width), count in sizes.items():
            chosen = ends[: count if seed == SEEDS[0] else count - 2]
            yield Trajectory(CONSTANT, layers, width, chosen, seed)
            for end in reversed(chosen):
                yield Trajectory(COSINE, layers, width, (end,), seed)


def train_to_file(trajectory: Trajectory, folder: Path) -> str:
    """Train, and write the logged steps in one atomic move."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    log = train(trajectory, *corpus()[:2])
    record = {"seconds": round(time.perf_counter() - start, 2), "log": log}
    partial_file = folder / f"{trajectory.name}.part"
    partial_file.write_text(json.dumps(record))
    partial_file.replace(folder / f"{trajectory.name}.json")
    return trajectory.name


def run_rows(trajectory: Trajectory, log: list[dict]) -> Iterator[dict[str, object]]:
    """One row per reported run of a training."""
    layers, width, recipe = trajectory.layers, trajectory.width, trajectory.recipe
    params, params_total = param_counts(layers, width)
    for entry in log:
        if entry["step"] not in trajectory.ends:
            continue
        tokens = entry["tokens"]
        yield {
            "run": replace(trajectory, ends=(entry["step"],)).name,
            "trajectory": trajectory.name,
            "recipe": recipe.name,
            "seed": trajectory.seed,
            "params": params,
            "params_total": params_total,
            "layers": layers,
            "width": width,
            "tokens": tokens,
            "flops": float(6 * params * tokens),
            "flops_exact": exact_flops(layers, width, tokens),
            "steps": entry["step"],
            "batch_tokens": BATCH_TOKENS,
            "lr": recipe.peak(width),
            "train_loss": entry["train_loss"],
            "val_loss": entry["val_loss"],
            "val_loss_se": entry["val_loss_se"],
        }


def write_tables(trajectories: list[Trajectory], folder: Path, out: Path) -> None:
    """Collect the finished trainings in the two tables and a description."""
    runs, curves, seconds = [], [], []
    for trajectory in trajectories:
        file = folder / f"{trajectory.name}.json"
        if not file.exists():
            continue
        record = json.loads(file.read_text())
        seconds.append(record["seconds"])
        runs += run_rows(trajectory, record["log"])
        curves += [{"run": trajectory.name, **entry} for entry in record["log"]]
    order = ["recipe", "params", "seed", "tokens"]
    pd.DataFrame(runs).sort_values(order).to_csv(out / "stdlib_runs.csv", index=False)
    table = pd.DataFrame(curves).drop(columns="val_loss_se").sort_values(["run", "step"])
    table.to_csv(out / "stdlib_curves.csv", index=False)
    counts = {"runs": len(runs), "trainings": len(seconds), "training_seconds": round(sum(seconds))}
    about = {**corpus()[2], **counts}
    (out / "stdlib_about.json").write_text(json.dumps(about, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--workers", type=int, default=2, help="single-thread processes")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds")
    arguments = parser.parse_args()
    folder = arguments.out / "trainings"
    folder.mkdir(parents=True, exist_ok=True)
    trajectories = list(design(arguments.quick))
    missing = [t for t in trajectories if not (folder / f"{t.name}.json").exists()]
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        names = pool.imap_unordered(partial(train_to_file, folder=folder), missing)
        for done, name in enumerate(names, start=1):
            print(f"{done}/{len(missing)} {name}", flush=True)
    write_tables(trajectories, folder, arguments.out)


if __name__ == "__main__":
    main()
