"""Weights from standard errors: none, raw, shrunk, and those of the true noise.

    python benchmarks/noise_weights.py [--studies 200]

Eight sizes over two decades of tokens follow a power law with a constant; the loss of each is the
mean of three (or five) seeds, its standard error theirs. The law is fitted and asked ten times
beyond. Noise: falling as tokens^-0.5; one noisy rung; equal. Prints the root mean squared log
error of the forecast for each weighting. Raw weights hurt where the noise is equal; shrunk ones
(`weights="noise"`) must not.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from measure import print_table

from scalekit.fitters.batch import Members, fit_members
from scalekit.fitters.laws import as_law
from scalekit.fitters.model import Scales
from scalekit.fitters.objectives import Objective
from scalekit.moderation import noise_precision

TOKENS = np.geomspace(1e8, 1e10, 8)
LAW = as_law("power_constant").along("tokens")
NOISES = {
    "tokens^-0.5": 0.05 * (TOKENS / TOKENS[0]) ** -0.5,
    "one noisy rung": np.where(np.arange(8) == 6, 0.05, 0.005),
    "equal": np.full(8, 0.01),
}


def truth(tokens: np.ndarray) -> np.ndarray:
    return 1.8 + 40 * tokens**-0.18


def errors(noise: np.ndarray, seeds: int, studies: int, rng: np.random.Generator) -> list[float]:
    """Return the forecast error with no weights, raw, shrunk and true ones."""
    drawn = truth(TOKENS) * np.exp(noise * rng.standard_normal((studies, seeds, 8)))
    loss = drawn.mean(axis=1)
    relative = drawn.std(axis=1, ddof=1) / np.sqrt(seeds) / loss
    unit = float(np.exp(np.log(TOKENS).mean()))
    ways = {
        "none": np.ones((studies, 8)),
        "raw": relative**-2.0,
        "shrunk": np.stack([noise_precision(row, seeds - 1) for row in relative]),
        "true": np.tile(noise**-2.0, (studies, 1)),
    }
    found = []
    for weights in ways.values():
        weights = weights / weights.mean(axis=1, keepdims=True)
        scales = {"tokens": np.tile(TOKENS / unit, (studies, 1))}
        solution, _ = fit_members(LAW, Members(scales, loss, weights), Objective("huber_log"))
        beyond: Scales = {"tokens": np.full((studies, 1), 10 * TOKENS[-1] / unit)}
        forecast = np.log(LAW.model.value(solution.theta, beyond))[:, 0]
        found.append(float(np.sqrt(np.mean((forecast - np.log(truth(10 * TOKENS[-1]))) ** 2))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400)
    studies = parser.parse_args().studies
    rng, rows = np.random.default_rng(0), []
    for name, noise in NOISES.items():
        for seeds in (3, 5):
            found = errors(noise, seeds, studies, rng)
            rows.append([name, str(seeds), *(f"{value:.4f}" for value in found)])
    print_table(("noise", "seeds", "no weights", "raw", "shrunk", "true noise"), rows)


if __name__ == "__main__":
    main()
