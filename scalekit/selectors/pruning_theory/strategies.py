"""Which side to keep: crossovers between strategies, and the map of the best one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from scalekit.errors import InputError
from scalekit.selectors.pruning_theory.fields import SIDES
from scalekit.selectors.pruning_theory.perceptron_result import perceptron

FEWEST, MOST = 0.05, 300.0  # kept examples a dimension between which crossovers are looked for


def crossover(keep: float, angle: float = 0.0, against: str = "random") -> float:
    """Return the kept examples a dimension above which keeping the hard ones wins.

    Compared at equal numbers kept, with `against` "random" or "easy". Infinite where hard never
    wins up to 300 examples a dimension; 0 where it always does. Above a crossover the order may
    turn once more with an imperfect probe (`angle`): then the first one is meant.

    >>> round(crossover(0.5), 2), round(crossover(0.5, against="easy"), 2)
    (1.45, 2.52)
    """
    if against not in ("random", "easy"):
        raise InputError(f"against must be 'random' or 'easy'; got '{against}'.")
    if not 0 < keep < 1:
        raise InputError(f"keep must lie between 0 and 1; got {keep:g}.")

    def lead(log_kept: float) -> float:
        """Return the log of hard's error over the other's at this number kept."""
        total = float(np.exp(log_kept)) / keep
        hard = perceptron(total, keep, angle).error
        return float(np.log(hard / perceptron(total, keep, angle, against).error))

    grid = np.linspace(np.log(FEWEST), np.log(MOST), 18)
    leads = np.array([lead(at) for at in grid])
    if leads[0] < 0:
        return 0.0
    turns = np.flatnonzero((leads[:-1] >= 0) & (leads[1:] < 0))
    if not len(turns):
        return float(np.inf)
    k = int(turns[0])
    return float(np.exp(brentq(lead, grid[k], grid[k + 1], xtol=1e-8)))


def theory_map(
    examples_per_dimension: ArrayLike, keep: ArrayLike, angle: float = 0.0
) -> pd.DataFrame:
    """Return the error of every side on a grid, and the best side, one row a cell.

    `examples_per_dimension` (before pruning) and `keep` are the axes of the grid. Columns:
    examples_per_dimension, keep, hard, easy, random, best.
    """
    total, share = np.meshgrid(np.asarray(examples_per_dimension, float), np.asarray(keep, float))
    found = {side: perceptron(total, share, angle, side).table["error"] for side in SIDES}
    table = pd.DataFrame({"examples_per_dimension": total.ravel(), "keep": share.ravel(), **found})
    return table.assign(best=np.array(SIDES)[table[list(SIDES)].to_numpy().argmin(axis=1)])
