"""DoReMi, Olmix, BiMix and scalekit side by side, truly trained: small byte models, four domains.

    python benchmarks/mixtures_trained.py [--seeds 6] [--pilots 15] [--pilot-steps 250]
                                          [--pilot-width 64] [--steps 1000] [--width 128]

Text and model are those of mixtures_cooldown.py, with more of the small domains, so that nothing
is seen twice. For each seed, pilots (by default half as wide, for a quarter of the steps) are
trained on drawn mixtures; each method turns them into one mixture, the large model is trained on
it, and its held-out loss is the mean over domains (nats a byte). With --pilot-steps 1000
--pilot-width 128 the pilots are as large as what they are for: then the methods differ in nothing
but what they make of the pilots. "Two lengths" has as many pilots again, a third as long, and
lets the joint law move the best mixture with the length. DoReMi needs no pilots but a reference
and a proxy: Xie et al. 2023, algorithm 1, written from the paper, with its step size 1 and
smoothing 1e-3. It aims at the worst excess loss, not at this mean; both are printed. Differences
to equal shares are paired by seed, with 95% t intervals.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measure import print_table, timed
from mixtures_cooldown import BATCH, CONTEXT, paired, read_texts, windows
from mixtures_olmix import KL, olmix

from scalekit.selectors.mixtures import fit_mixture, phases
from scalekit.selectors.mixtures.limits import make_limits
from scalekit.selectors.mixtures.optimum import minimise_convex
from scalekit.selectors.mixtures.terms import Point

if TYPE_CHECKING:
    import torch

SIZES = {"code": 600_000, "headers": 250_000, "prose": 250_000, "tables": 250_000}
NAMES = tuple(SIZES)
HELD = 20_000
SHORTER = 3  # how much shorter the second set of pilots is, for the joint law
STEP_SIZE, SMOOTHING = 1.0, 1e-3  # of DoReMi


class World:
    """The text of one seed, and how models are trained on it."""

    def __init__(self, texts: dict[str, bytes], seed: int) -> None:
        import torch

        rng = np.random.default_rng([seed, 11])
        self.seed, self.rows, self.held = seed, {}, {}
        for name, size in SIZES.items():
            text = np.frombuffer(texts[name], dtype=np.uint8)
            start = int(rng.integers(0, len(text) - size - HELD))
            self.rows[name] = windows(text[start : start + size])
            self.held[name] = torch.from_numpy(
                windows(text[start + size : start + size + HELD]).astype(np.int64)
            )
        self.data = torch.from_numpy(np.concatenate(list(self.rows.values())).astype(np.int64))
        ends = np.cumsum([len(rows) for rows in self.rows.values()])
        self.domain = torch.from_numpy(np.searchsorted(ends, np.arange(ends[-1]), side="right"))

    def model(self, width: int, run: int) -> torch.nn.Module:
        import torch

        torch.manual_seed(1000 * self.seed + run)
        return torch.nn.Sequential(
            torch.nn.Embedding(256, 24), torch.nn.Flatten(),
            torch.nn.Linear(24 * CONTEXT, width), torch.nn.GELU(),
            torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.Linear(width, 256),
        )  # fmt: skip

    def train(
        self, shares: np.ndarray, steps: int, width: int, run: int,
        reference: torch.nn.Module | None = None,
    ) -> tuple[torch.nn.Module, np.ndarray]:  # fmt: skip
        """Return a model trained on a mixture; with a reference, DoReMi's proxy and weights."""
        import torch

        model = self.model(width, run)
        optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, 3e-4)
        mixture = dict(zip(NAMES, shares / shares.sum(), strict=True))
        schedule = phases({name: float(size) for name, size in SIZES.items()}, [(1.0, mixture)])
        sampler = schedule.sampler(self.rows, steps * BATCH, seed=100 * self.seed + run)
        indices = torch.from_numpy(np.fromiter(sampler, dtype=np.int64))
        weights = torch.full((len(NAMES),), 1 / len(NAMES))
        total = torch.zeros(len(NAMES))
        for batch in indices.split(BATCH):
            part = self.data[batch]
            loss = self.losses(model, part)
            if reference is not None:
                member = torch.nn.functional.one_hot(self.domain[batch], len(NAMES)).float()
                count = member.sum(0).clamp(min=1)
                with torch.no_grad():
                    excess = (loss - self.losses(reference, part)).clamp(min=0)
                    weights = weights * torch.exp(STEP_SIZE * (excess @ member / count))
                    weights = (1 - SMOOTHING) * weights / weights.sum() + SMOOTHING / len(NAMES)
                total += weights
                loss = (loss @ member / count) @ weights
            optimiser.zero_grad()
            loss.mean().backward()
            optimiser.step()
            decay.step()
        return model, (total / total.sum().clamp(min=1e-9)).numpy().astype(float)

    @staticmethod
    def losses(model: torch.nn.Module, part: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.nn.functional.cross_entropy(model(part[:, :-1]), part[:, -1], reduction="none")

    def held_out(self, model: torch.nn.Module) -> np.ndarray:
        import torch

        with torch.no_grad():
            return np.array([float(self.losses(model, part).mean()) for part in self.held.values()])


def bimix(shares: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return BiMix's best mixture: each domain's loss a power of its own share alone.

    L_i = A_i / r_i**alpha_i (one scale), a line in logarithms; the mean loss is convex.
    """
    slopes, levels = np.array([
        np.polyfit(np.log(shares[:, k]), np.log(losses[:, k]), 1) for k in range(len(NAMES))
    ]).T  # fmt: skip
    alpha, level = np.maximum(-slopes, 0.0), np.exp(levels)

    def mean(mixture: np.ndarray) -> Point:
        r = np.maximum(mixture, 1e-12)
        each = level * r**-alpha
        bend = (alpha * (alpha + 1) * each / r**2)[:, :, None] * np.eye(len(NAMES))
        return Point(each.mean(axis=1), -alpha * each / r / len(NAMES), bend / len(NAMES))

    return minimise_convex(mean, make_limits(NAMES), 1).shares[0]


def mixtures(
    world: World, steps: int, width: int, pilots: int, large: int
) -> dict[str, np.ndarray]:
    """Return each method's mixture for a model of `large` steps, found with small runs only."""
    rng = np.random.default_rng([world.seed, 12])
    equal = np.full(len(NAMES), 1 / len(NAMES))
    natural = np.array(list(SIZES.values())) / sum(SIZES.values())
    shares = rng.dirichlet(np.ones(len(NAMES)), pilots)
    tables = []
    for length in (max(steps // SHORTER, 2), steps):
        losses = np.array([
            world.held_out(world.train(mixture, length, width, 1 + run)[0])
            for run, mixture in enumerate(shares)
        ])  # fmt: skip
        tables.append(pd.DataFrame(shares, columns=[f"share_{name}" for name in NAMES]))
        tables[-1][[f"loss_{name}" for name in NAMES]] = losses
        tables[-1]["steps"] = float(length)
    table = tables[-1].drop(columns="steps")
    additive = fit_mixture(table, draws=60)
    lengths = pd.concat(tables, ignore_index=True)
    joint = fit_mixture(lengths, law="joint", scales=["steps"], draws=60)
    linear = fit_mixture(table, law="loglinear", draws=2, folds=2, repeats=1)
    linear = replace(linear, trained=olmix(linear.pilots, 20))
    pull = {"prior": dict(zip(NAMES, natural, strict=True)), "kl": KL}
    best = {
        "scalekit": additive.choose(),
        "scalekit, KL": additive.choose(**pull),
        "two lengths": joint.choose(at={"steps": float(large)}),
        "two lengths, KL": joint.choose(at={"steps": float(large)}, **pull),
        "Olmix, no KL": linear.choose(),
        "Olmix": linear.choose(**pull),
    }
    found = {
        "equal": equal,
        "in proportion": natural,
        "best pilot": shares[losses.mean(1).argmin()],
    }
    found |= {name: np.array(list(choice.shares.values())) for name, choice in best.items()}
    found["BiMix"] = bimix(shares, losses)
    reference, _ = world.train(equal, steps, width, 900)
    found["DoReMi"] = world.train(equal, steps, width, 901, reference)[1]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6, help="2 or more")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--pilots", type=int, default=15, help="3 (m + 1) is the advice")
    parser.add_argument("--pilot-steps", type=int, default=250)
    parser.add_argument("--pilot-width", type=int, default=64)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    texts = read_texts()
    chosen: dict[str, list[np.ndarray]] = {}
    losses: dict[str, list[np.ndarray]] = {}
    for seed in range(arguments.seeds):
        world = World(texts, seed)

        def one(world: World = world) -> None:
            small = arguments.pilot_steps, arguments.pilot_width
            found = mixtures(world, *small, arguments.pilots, arguments.steps)
            for name, shares in found.items():
                model, _ = world.train(shares, arguments.steps, arguments.width, 999)
                chosen.setdefault(name, []).append(shares)
                losses.setdefault(name, []).append(world.held_out(model))

        _, spent = timed(one)
        print(f"  seed {seed}: {spent.cpu:.0f} CPU s", flush=True)
    base = np.array(losses["equal"])
    rows = []
    for name, found in losses.items():
        each, shares = np.array(found), np.mean(chosen[name], axis=0)
        gap = "" if name == "equal" else paired(each.mean(axis=1), base.mean(axis=1))
        worst = (each - base).max(axis=1).mean()
        rows.append([name, *[f"{share:.2f}" for share in shares], *[f"{v:.3f}" for v in
                     each.mean(axis=0)], f"{each.mean():.4f}", gap, f"{worst:+.3f}"])  # fmt: skip
    print(f"\nHeld-out loss of the large model (nats a byte), {arguments.seeds} seeds; "
          f"{arguments.pilots} pilots of {arguments.pilot_steps} steps, width "
          f"{arguments.pilot_width}; DoReMi 2 such runs")  # fmt: skip
    print_table(["method", *[f"% {name}" for name in NAMES], *NAMES, "mean", "to equal shares",
                 "worst domain"], rows)  # fmt: skip


if __name__ == "__main__":
    main()
