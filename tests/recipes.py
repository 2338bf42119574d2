"""Runs of two recipes that cross at a known scale."""

from __future__ import annotations

import numpy as np
import pandas as pd

TRUE_CROSSING = 1e18 * ((1.75 - 1.5) / (1.8 - 1.687)) ** 4


def two_recipes(
    sizes: int = 9, noise: float = 0.003, seed: int = 0, shared: float = 0.0
) -> pd.DataFrame:
    """Return runs of "old" and "new", which cross at 2.4e19 FLOPs (units of 1e18 inside)."""
    rng = np.random.default_rng(seed)
    x = np.geomspace(1, 200, sizes)
    common = shared * rng.standard_normal(sizes)
    parts = [
        pd.DataFrame({
            "recipe": name,
            "flops": 1e18 * x,
            "loss": (e + a * x**-0.25) * np.exp(common + noise * rng.standard_normal(sizes)),
        })
        for name, e, a in (("old", 1.8, 1.50), ("new", 1.687, 1.75))
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)
