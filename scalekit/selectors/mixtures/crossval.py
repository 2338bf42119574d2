"""Held-out errors of mixing laws, and the choice among laws by the one-standard-error rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.selectors.mixtures.catalogue import MixingLaw, mixing_law, term_sum
from scalekit.selectors.mixtures.pilots import Pilots
from scalekit.selectors.mixtures.regressions import METHODS, train_regression
from scalekit.selectors.mixtures.training import Trained, TrainedSum, train

FOLDS, REPEATS = 20, 2


def train_law(law: MixingLaw, pilots: Pilots) -> Trained:
    """Return a law of the catalogue fitted to all targets of the pilots."""
    if law.build is not None:
        return train(pilots, term_sum(law, pilots.sources, tuple(pilots.scales)))
    base_name, plus, rest = law.name.partition("+")
    base = train_law(mixing_law(base_name), pilots) if plus else None
    assert base is None or isinstance(base, TrainedSum)
    return train_regression(pilots, METHODS[rest or base_name], base)


def held_out_residuals(
    trained: Trained, folds: int, repeats: int, rng: np.random.Generator
) -> np.ndarray:
    """Return observed minus predicted by fits without that mixture (repeats, targets, rows).

    Rows of one mixture share a fold. NaN where a target is missing.
    """
    pilots = trained.pilots
    clusters = pilots.clusters
    number = int(clusters.max()) + 1
    count = min(folds, number)
    fold = np.empty((repeats, number), dtype=int)
    for repeat in range(repeats):
        fold[repeat, rng.permutation(number)] = np.arange(number) % count
    of_row = fold[:, clusters]
    weights = of_row[:, None, :] != np.arange(count)[None, :, None]
    found = trained.refit(weights.reshape(repeats * count, -1).astype(float)).predict(
        pilots.shares, pilots.scales
    )
    member = of_row + count * np.arange(repeats)[:, None]
    held = found[member, :, np.arange(len(pilots))]  # (repeats, rows, targets)
    return np.asarray(pilots.losses - np.moveaxis(held, 2, 1))


def compare_laws(
    names: Sequence[str], pilots: Pilots, folds: int, repeats: int, rng: np.random.Generator
) -> tuple[str, Trained, np.ndarray, pd.DataFrame]:
    """Return the chosen law, its fit, its held-out residuals, and the table of all laws.

    The error of a law is the mean squared residual over the variance of the target, averaged over
    targets. Chosen is the simplest law whose error is within one standard error (over mixtures)
    of the best one's: Breiman et al. 1984, section 3.4.3.
    """
    if not names:
        raise InputError("No mixing law was named. Take 'additive', or several to choose from.")
    spread = np.nanvar(pilots.losses, axis=1)[:, None]
    rows, fits = [], {}
    seed = int(rng.integers(2**31))
    for name in dict.fromkeys(names):
        law = mixing_law(name)
        trained = train_law(law, pilots)
        residuals = held_out_residuals(trained, folds, repeats, np.random.default_rng(seed))
        each = np.nanmean(residuals**2 / spread, axis=(0, 1))
        per_mixture = pd.Series(each).groupby(pilots.clusters).mean().to_numpy(float)
        error = float(np.nanmean(each))
        deviation = float(per_mixture.std(ddof=1) / np.sqrt(len(per_mixture)))
        fits[name] = (trained, residuals)
        rows.append({"law": name, "error": error, "standard_error": deviation,
                     "rmse": float(np.sqrt(np.nanmean(residuals**2))),
                     "complexity": law.complexity})  # fmt: skip
    table = pd.DataFrame(rows).sort_values("error", ignore_index=True)
    near = table[table["error"] <= table["error"][0] + table["standard_error"][0]]
    chosen = str(near.sort_values(["complexity", "error"])["law"].iloc[0])
    table["chosen"] = table["law"] == chosen
    return chosen, *fits[chosen], table
