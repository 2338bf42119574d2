"""Joint resamples of several systems: what two recipes share moves together in every draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalekit.fitters.intervals import FEW_CONFIGURATIONS, refit, small_sample_factor
from scalekit.fitters.problem import Problem, Solution
from scalekit.fitters.selection import selected_weights
from scalekit.fitters.solver import solve

WEBB = np.sqrt([0.5, 1.0, 1.5])


@dataclass(frozen=True)
class System:
    """One system's runs, ready for resampling.

    `problem` holds all rows, `solution` the fit to the selected ones. `keys` names each row's
    configuration; equal keys of two systems are the same configuration. `cells` numbers them.
    `noise` is the deviation of log loss of single runs.
    """

    problem: Problem
    solution: Solution
    weights: np.ndarray
    along: np.ndarray
    keys: tuple[object, ...]
    cells: np.ndarray
    noise: float


def choose_resampling(systems: Sequence[System], select: str) -> str:
    """Return "wild" where every row counts and configurations are few, else "pairs"."""
    fewest = min(int(system.cells.max()) + 1 for system in systems)
    return "wild" if select == "all" and fewest < FEW_CONFIGURATIONS else "pairs"


def joint_draws(
    systems: Sequence[System], select: str, method: str, resamples: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], float]:
    """Return parameter draws (resamples, parameters) of every system, and the share that is paired.

    The draw of a configuration (how often it is taken, or its residual's sign) is made once for
    all systems that have it: noise that they share, such as that of the data's order, cancels in
    their difference. Row b of every system belongs to the same resample.
    """
    keys = list(dict.fromkeys(key for system in systems for key in system.keys))
    place = {key: k for k, key in enumerate(keys)}
    where = [np.array([place[key] for key in system.keys]) for system in systems]
    present = np.array([np.isin(np.arange(len(keys)), rows) for rows in where])
    shared = float(present.all(axis=0).mean())
    if method == "wild":
        signs = np.concatenate([-WEBB, WEBB])[rng.integers(0, 6, size=(resamples, len(keys)))]
        return [_wild(s, signs[:, rows]) for s, rows in zip(systems, where, strict=True)], shared
    counts = [np.zeros((resamples, len(rows))) for rows in where]
    for pattern in np.unique(present, axis=1).T:
        # one multinomial for each set of systems that shares configurations
        members = np.flatnonzero((present == pattern[:, None]).all(axis=0))
        if select == "best":
            drawn = rng.standard_exponential((resamples, len(members)))
        else:
            drawn = rng.multinomial(
                len(members), np.full(len(members), 1 / len(members)), size=resamples
            ).astype(float)
        full = np.zeros((resamples, len(keys)))
        full[:, members] = drawn
        for system in np.flatnonzero(pattern):
            counts[system] += full[:, where[system]]
    return [_pairs(s, select, c, rng) for s, c in zip(systems, counts, strict=True)], shared


def _pairs(system: System, select: str, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Refit under counts of configurations; the selection is made anew in every resample."""
    target = system.problem.target
    if select == "best":
        chosen = counts * best_within(target, system.cells, system.noise, len(counts), rng)
    else:
        chosen = selected_weights(select, system.along, target, system.cells, counts)
    solution, _ = refit(system.problem, system.solution, chosen * system.weights)
    return solution.theta


def best_within(
    loss: np.ndarray, cells: np.ndarray, noise: float, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Return which run of each cell would be chosen as its best, (resamples, rows).

    In each resample every log loss moves by the noise of single runs: runs within noise of the
    best may be the best. Drawing runs with replacement instead would leave the best out in more
    than a third of the resamples, and so hold a wide sweep, whose next best run is far off,
    against the system.
    """
    moved = np.log(loss) + noise * rng.standard_normal((resamples, len(loss)))
    weights = np.zeros(moved.shape)
    for cell in range(int(cells.max()) + 1):
        rows = np.flatnonzero(cells == cell)
        weights[np.arange(resamples), rows[moved[:, rows].argmin(axis=1)]] = 1.0
    return weights


def _wild(system: System, signs: np.ndarray) -> np.ndarray:
    """Refit to fitted values plus signed residuals (Webb 2014), widened for the fit's own use."""
    problem, theta = system.problem, system.solution.theta
    fitted = problem.model.value(theta[:1], problem.scales)
    residual = problem.residual(theta[:1])[0]
    widening = small_sample_factor(int(system.cells.max()) + 1, theta.shape[1])
    moved = signs * residual * widening
    target = fitted * np.exp(moved) if problem.objective.on_log else fitted + moved
    part = Problem(
        problem.model, problem.scales, target, problem.objective, problem.lower, problem.upper
    )
    found = [solve(part, np.repeat(start[None], len(signs), axis=0), system.weights)
             for start in theta[:3]]  # fmt: skip
    best = np.stack([run.value for run in found]).argmin(axis=0)
    return np.stack([run.theta for run in found])[best, np.arange(len(signs))]
