"""NIST's Statistical Reference Datasets for nonlinear regression, with their certified values.

Source: NIST/ITL StRD, https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml, a work of the
United States government (public domain); the numbers were taken from the .dat files that lmfit
ships. One TOML file a set stands in `nist/`. The formulas are written in scalekit's language;
Roszman1 needs `arctan`, ENSO needs `cos` and `sin`. Nelson's certified sum is on log(y).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "nist"
FUNCTIONS = {"exp": np.exp, "log": np.log, "cos": np.cos, "sin": np.sin, "arctan": np.arctan}


@dataclass(frozen=True)
class NistSet:
    """One certified problem: formula, data, two published starts and the certified answer."""

    name: str
    source: str
    difficulty: str
    formula: str
    response: str
    predictors: dict[str, NDArray[np.float64]]
    y: NDArray[np.float64]
    starts: tuple[dict[str, float], dict[str, float]]
    certified: dict[str, float]
    standard_deviations: dict[str, float]
    residual_sum_of_squares: float
    residual_standard_deviation: float

    def evaluate(self, params: Mapping[str, complex]) -> NDArray[Any]:
        """Return the formula's values; `eval` is safe here, the text is our own."""
        names: dict[str, Any] = FUNCTIONS | self.predictors | dict(params)
        return np.asarray(eval(self.formula, {"__builtins__": {}}, names))

    def target(self) -> NDArray[np.float64]:
        """Return what the formula is fitted to: y, or log(y) for Nelson."""
        return np.log(self.y) if self.response == "log(y)" else self.y

    def sum_of_squares(self, params: Mapping[str, float]) -> float:
        """Return the sum that NIST minimises."""
        return float(np.sum((self.target() - self.evaluate(params)) ** 2))


def load_set(path: Path) -> NistSet:
    raw = tomllib.loads(path.read_text())
    rows = raw.pop("parameters")
    data = {name: np.array(values, float) for name, values in raw.pop("data").items()}
    certified, deviations, first, second = (
        {name: values[column] for name, values in rows.items()} for column in range(4)
    )
    return NistSet(
        **raw,
        y=data.pop("y"),
        predictors=data,
        starts=(first, second),
        certified=certified,
        standard_deviations=deviations,
    )


SETS = {path.stem: load_set(path) for path in sorted(FOLDER.glob("*.toml"))}
