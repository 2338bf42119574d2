"""Does Cooldown help? Small byte models, truly trained on four domains of very different size.

    python benchmarks/mixtures_cooldown.py [--seeds 5] [--steps 1000] [--width 128]

The text is what every Python installation holds (no download): library code (large), C headers,
documentation prose, and code tables (tiny). An MLP reads 12 bytes and predicts the next one.
Schedules differ in nothing but the sampling; each seed changes initialisation, sampling and which
part of the text is drawn. Differences to temperature 1 and to temperature 5 are paired by seed,
with 95% t intervals. Low resource: the two smallest domains.
"""

from __future__ import annotations

import argparse
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from measure import print_table, timed
from scipy.stats import t as student

from scalekit.selectors.mixtures import Schedule, cooldown, temperature, unimax

SIZES = {"code": 1_000_000, "headers": 60_000, "prose": 15_000, "tables": 2_000}
HELD = 8_000
CONTEXT, BATCH = 12, 256
LARGE, SMALL = ("code", "headers"), ("prose", "tables")


def read_texts() -> dict[str, bytes]:
    """Return the text of each domain, from the Python that runs this."""
    library = Path(sysconfig.get_path("stdlib"))
    include = Path(sysconfig.get_path("include"))

    def join(paths: Iterator[Path], limit: int) -> bytes:
        found = b""
        for path in sorted(paths):
            found += path.read_bytes()
            if len(found) > limit:
                break
        return found

    prose = (library / "pydoc_data" / "topics.py").read_text(encoding="utf-8")
    return {
        "code": join(library.glob("[a-t]*.py"), 4_000_000),
        "headers": join(include.glob("**/*.h"), 1_000_000),
        "prose": prose.replace("\\n", "\n").encode()[:600_000],
        "tables": join((library / "encodings").glob("cp*.py"), 400_000),
    }


def split(
    texts: dict[str, bytes], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return training and held-out bytes of each domain, apart from each other."""
    rng = np.random.default_rng([seed, 7])
    train, held = {}, {}
    for name, size in SIZES.items():
        text = np.frombuffer(texts[name], dtype=np.uint8)
        start = int(rng.integers(0, len(text) - size - HELD))
        part = text[start : start + size + HELD]
        train[name], held[name] = part[:size], part[size:]
    return train, held


def windows(text: np.ndarray) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(text, CONTEXT + 1)


def run(
    schedule: Schedule, texts: dict[str, bytes], seed: int, steps: int, width: int
) -> dict[str, float]:
    """Return the held-out loss (nats a byte) of each domain after training by `schedule`."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    train, held = split(texts, seed)
    rows = {name: windows(text) for name, text in train.items()}
    data = torch.from_numpy(np.concatenate(list(rows.values())).astype(np.int64))
    model = torch.nn.Sequential(
        torch.nn.Embedding(256, 24), torch.nn.Flatten(),
        torch.nn.Linear(24 * CONTEXT, width), torch.nn.GELU(),
        torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.Linear(width, 256),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, 3e-4)
    sampler = schedule.sampler(rows, steps * BATCH, seed=seed)
    indices = torch.from_numpy(np.fromiter(sampler, dtype=np.int64))
    for batch in indices.split(BATCH):
        part = data[batch]
        loss = torch.nn.functional.cross_entropy(model(part[:, :-1]), part[:, -1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    found = {}
    with torch.no_grad():
        for name, text in held.items():
            part = torch.from_numpy(windows(text).astype(np.int64))
            found[name] = float(torch.nn.functional.cross_entropy(model(part[:, :-1]), part[:, -1]))
    return found


def paired(first: np.ndarray, second: np.ndarray) -> str:
    """Return mean difference and 95% t interval, paired by seed."""
    gap = first - second
    reach = student.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
    return f"{gap.mean():+.3f} [{gap.mean() - reach:+.3f}, {gap.mean() + reach:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--width", type=int, default=128)
    arguments = parser.parse_args()
    texts = read_texts()
    drawn = arguments.steps * BATCH
    counts = {name: float(size) for name, size in SIZES.items()}
    schedules = {
        "tau 1": temperature(counts, 1, budget=drawn),
        "tau 5": temperature(counts, 5, budget=drawn),
        "tau 100": temperature(counts, 100, budget=drawn),
        "UniMax, 4 epochs": unimax(counts, drawn, 4),
        "Cooldown 5 to 1": cooldown(counts, 5, 1, budget=drawn),
        "dense 5 to 1": cooldown(counts, 5, 1, dense=True, budget=drawn),
        "reversed 1 to 5": cooldown(counts, 1, 5, budget=drawn),
    }
    names = list(SIZES)
    losses: dict[str, np.ndarray] = {}
    for label, schedule in schedules.items():
        each, spent = timed(
            lambda schedule=schedule: [run(schedule, texts, seed, arguments.steps, arguments.width)
                                       for seed in range(arguments.seeds)]
        )  # fmt: skip
        losses[label] = np.array([[found[name] for name in names] for found in each])
        print(f"  {label}: {spent.cpu:.0f} CPU s", flush=True)
    large = [names.index(name) for name in LARGE]
    small = [names.index(name) for name in SMALL]
    rows = []
    for label, found in losses.items():
        epochs = schedules[label].epochs()
        rows.append([label, f"{epochs['tables']:.0f}", *[f"{v:.3f}" for v in found.mean(axis=0)],
                     f"{found.mean():.3f}"])  # fmt: skip
    print_table(["schedule", "epochs tables", *names, "mean"], rows)
    print(f"\nPaired differences over {arguments.seeds} seeds, 95% t intervals (negative: better)")
    rows = []
    for label, found in losses.items():
        if label in ("tau 1", "tau 5"):
            continue
        line = [label]
        for other in ("tau 1", "tau 5"):
            for part in (large, small):
                pair = (values[:, part].mean(axis=1) for values in (found, losses[other]))
                line.append(paired(*pair))
        rows.append(line)
    print_table(["schedule", "large, to tau 1", "small, to tau 1", "large, to tau 5",
                 "small, to tau 5"], rows)  # fmt: skip


if __name__ == "__main__":
    main()
