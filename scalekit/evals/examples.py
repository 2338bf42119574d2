"""A small measured log, so that everything runs offline."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

from scalekit.evals.reading import read_evals
from scalekit.evals.table import Evals


def example_evals(scales: bool = False) -> Evals:
    """Return item answers of digit classifiers: 4 recipes, 5 seeds, 6 steps, 3 benchmarks.

    Measured, not simulated (`benchmarks/make_example_evals.py`): small networks trained on 500 of
    scikit-learn's digits. Each of 240 test images is answered as it is ("digits"), with noise
    ("digits_noisy") and with a patch missing ("digits_patched"); metrics are acc and nll (natural
    log loss). With `scales`, the last step of networks of three sizes instead.

    >>> sorted(example_evals().frame["recipe"].unique())
    ['augmented', 'base', 'decay', 'noisy_labels']
    """
    path = files("scalekit") / "data" / "examples" / "digits_evals.parquet"
    with path.open("rb") as file:
        table = pd.read_parquet(file)
    chance = {str(name): 0.1 for name in table["benchmark"].unique()}
    if scales:
        last = table[table["step"] == table["step"].max()]
        return read_evals(last, chance=chance, scale="params")
    largest = table[table["params"] == table["params"].max()]
    return read_evals(largest.drop(columns="params"), chance=chance)
