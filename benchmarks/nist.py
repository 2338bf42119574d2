"""NIST's 27 nonlinear regression problems: certified digits reached from both published starts.

    python benchmarks/nist.py

The digits are the smallest over the parameters, at most 11 (what is certified); equal terms of a
sum (the exponentials of Lanczos and MGH17, the waves of ENSO) may change places. scalekit takes the
published start as `fit(start=...)` does: the middle of the ranges that it searches with 12 starts,
all parameters unbounded. scipy's curve_fit (Levenberg-Marquardt) is beside.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from itertools import permutations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from measure import print_table, timed
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from tests.reference.nist_strd import SETS, NistSet

Array = NDArray[np.float64]
ENOUGH, MOST = 6, 11
STARTS = 12
METHODS = ("scalekit", "scipy")


def equal_orders(problem: NistSet) -> list[list[int]]:
    """Return the orders of the parameters that give the same formula."""
    if problem.name.startswith("Lanczos"):
        return [[2 * k + i for k in order for i in (0, 1)] for order in permutations(range(3))]
    if problem.name == "ENSO":
        return [list(range(9)), [0, 1, 2, 6, 7, 8, 3, 4, 5]]
    if problem.name == "MGH17":  # a constant and two exponentials
        return [[0, 1, 2, 3, 4], [0, 2, 1, 4, 3]]
    return [list(range(len(problem.certified)))]


def matching_digits(problem: NistSet, found: Array) -> float:
    """Return the log relative error of the worst parameter, between 0 and 11."""
    certified = np.array(list(problem.certified.values()))
    error = min(np.max(np.abs(found[order] / certified - 1)) for order in equal_orders(problem))
    if not np.isfinite(error):
        return 0.0
    return float(np.clip(-np.log10(max(error, 1e-300)), 0, MOST))


def fit_with_scalekit(problem: NistSet, start: dict[str, float]) -> Array:
    """Return the best parameters that scalekit's solver finds around one published start."""
    from scalekit.fitters import Law, Objective, Parameter
    from scalekit.fitters.model import to_natural
    from scalekit.fitters.problem import Problem
    from scalekit.fitters.solver import solve
    from scalekit.fitters.starts import centred_on, propose_starts

    unbounded = [Parameter(name, lower=-np.inf) for name in problem.certified]
    law = Law(
        problem.name,
        problem.formula,
        scales=tuple(problem.predictors),
        parameters=tuple(centred_on(unbounded, start)),
    )
    posed = Problem.of(law.model, problem.predictors, problem.target(), Objective("squares"))
    rows = np.ones(len(problem.y))
    starts = propose_starts(posed, rows, STARTS)
    found = solve(posed, starts, rows, max_iterations=5000, tolerance=1e-16)
    best = to_natural(found.theta[[int(found.value.argmin())]], law.parameters)[0]
    return np.array([best[law.names.index(name)] for name in problem.certified])


def fit_with_scipy(problem: NistSet, start: dict[str, float]) -> Array:
    """Return what curve_fit reaches; NaN where it gives up."""

    def predict(_: Array, *values: float) -> Array:
        return problem.evaluate(dict(zip(start, values, strict=True)))

    first = list(start.values())
    try:
        found, _ = curve_fit(
            predict, np.arange(len(problem.y)), problem.target(), p0=first, maxfev=20_000,
            ftol=1e-15, xtol=1e-15, gtol=1e-15,
        )  # fmt: skip
    except RuntimeError:
        return np.full(len(first), np.nan)
    return np.asarray(found)


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    fitters = dict(zip(METHODS, (fit_with_scalekit, fit_with_scipy), strict=True))
    rows, digits = [], {method: [] for method in METHODS}
    seconds = dict.fromkeys(METHODS, 0.0)
    for problem in SETS.values():
        cells = []
        for method, fitter in fitters.items():
            for start in problem.starts:
                found, spent = timed(lambda fitter=fitter, at=start: fitter(problem, at))  # noqa: B023
                reached = matching_digits(problem, found)
                digits[method].append(reached)
                seconds[method] += spent.cpu
                cells.append(f"{reached:.1f}")
        rows.append([problem.name, problem.difficulty, *cells])
    header = [f"{method}, start {number}" for method in METHODS for number in (1, 2)]
    print_table(("problem", "difficulty", *header), rows)
    for method in METHODS:
        enough = sum(reached >= ENOUGH for reached in digits[method])
        total = len(digits[method])
        print(
            f"{method}: {enough} of {total} with {ENOUGH} or more digits, {seconds[method]:.2f} s"
        )


if __name__ == "__main__":
    main()
