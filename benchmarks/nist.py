"""NIST's 27 nonlinear regression problems: certified digits reached from both published starts.

    python benchmarks/nist.py

The digits are the smallest over the parameters, at most 11 (what is certified). scalekit is
started twice from each published start, as it stands and with the linear parameters refitted
(variable projection), and keeps the lower sum; scipy's curve_fit (Levenberg-Marquardt) is beside.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
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
METHODS = ("scalekit", "scipy")


def matching_digits(problem: NistSet, found: Array) -> float:
    """Return the log relative error of the worst parameter, between 0 and 11."""
    certified = np.array(list(problem.certified.values()))
    error = np.max(np.abs(found - certified) / np.abs(certified))
    if not np.isfinite(error):
        return 0.0
    return float(np.clip(-np.log10(max(error, 1e-300)), 0, MOST))


def fit_with_scalekit(problem: NistSet, start: dict[str, float]) -> Array:
    """Return the parameters that scalekit's solver reaches from one published start."""
    from scalekit.fitters import Law, Objective, Parameter
    from scalekit.fitters.model import to_internal, to_natural
    from scalekit.fitters.solver import Problem, solve
    from scalekit.fitters.starts import _with_linear

    parameters = tuple(Parameter(name, lower=-np.inf) for name in problem.certified)
    law = Law(
        problem.name, problem.formula, scales=tuple(problem.predictors), parameters=parameters
    )
    posed = Problem.of(law.model, problem.predictors, problem.target(), Objective("squares"))
    rows = np.ones(len(problem.y))
    given = to_internal(np.array([[start[name] for name in law.names]]), law.parameters)
    starts = [given, _with_linear(posed, given, rows)] if law.model.linear else [given]
    found = solve(posed, np.concatenate(starts), rows, max_iterations=5000, tolerance=1e-16)
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
