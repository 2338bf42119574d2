"""4,000 robust refits of the Chinchilla law on the resamples of the published bootstrap.

    python benchmarks/bootstrap_4000.py

Each refit's objective is set beside that of the published protocol (our rerun, one BFGS start each,
139 s) on the same resample: seed 42, as in Besiroglu et al. 2024 (arXiv:2404.10102).
"""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from chinchilla_points import NAMES, Array, Points, read_points
from measure import print_table, public_table, timed

SEED, RESAMPLES, TOLERANCE = 42, 4000, 1e-9
PUBLISHED_SE = {"A": 124.52, "B": 1293.28, "E": 0.02566, "alpha": 0.0154, "beta": 0.0206}
Refit = Callable[[Array], tuple[Array, Array]]


def make_weights(n_rows: int, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """Return how often each row is drawn, (resamples, n_rows), in the published random stream."""
    stream = np.random.RandomState(seed)  # the legacy generator is what was published with
    draws = (stream.choice(n_rows, size=n_rows, replace=True) for _ in range(resamples))
    return np.array([np.bincount(draw, minlength=n_rows) for draw in draws], float)


def read_published() -> pd.DataFrame:
    """Return our rerun of the published protocol, a row a resample: parameters and objective."""
    table = pd.read_csv(public_table("chinchilla_epoch", "epoch_bootstrap_4000_seed42_rerun.csv"))
    amplitudes = {name: np.exp(table[f"log{name}"]) for name in ("A", "B", "E")}
    return table.assign(**amplitudes)[[*NAMES, "huber_objective"]]


def objectives(params: Array, points: Points, weights: Array) -> Array:
    """Return each refit's weighted Huber objective, recomputed here from its parameters."""
    amplitude_a, amplitude_b, irreducible, alpha, beta = params.T[:, :, None]
    by_params = amplitude_a * np.exp(-alpha * points.log_params)
    by_tokens = amplitude_b * np.exp(-beta * points.log_tokens)
    size = np.abs(points.log_loss - np.log(irreducible + by_params + by_tokens))
    each = np.where(size <= 1e-3, 0.5 * size**2, 1e-3 * (size - 0.5e-3))
    return (weights * each).sum(axis=1)


def compare(ours: Array, published: Array) -> list[list[str]]:
    """Return rows that say how our objectives stand to the published ones."""
    excess = ours - published
    lower, higher = excess < -TOLERANCE, excess > TOLERANCE
    return [
        ["lower by > 1e-9", f"{lower.mean():.2%} ({lower.sum()})"],
        ["higher by > 1e-9", f"{higher.mean():.2%} ({higher.sum()})"],
        ["largest excess", f"{excess.max():.2e}"],
        ["largest gain", f"{-excess.min():.2e}"],
    ]


def standard_errors(ours: Array, published: Array) -> list[list[str]]:
    """Return one row a parameter: our standard error, the rerun's, the printed one, its noise.

    The last column is the Monte Carlo standard error of the rerun's, from its fourth moment.
    """
    rows = []
    for column, name in enumerate(NAMES):
        draws = published[:, column]
        spread = draws.std(ddof=1)
        fourth = ((draws - draws.mean()) ** 4).mean()
        noise = np.sqrt((fourth / spread**4 - 1) / (4 * len(draws))) * spread
        values = (ours[:, column].std(ddof=1), spread, PUBLISHED_SE[name], noise)
        rows.append([name, *(f"{value:.6g}" for value in values)])
    return rows


def scalekit_refit(points: Points) -> Refit:
    """Return scalekit's refit: weights (R, n) to parameters (R, 5) in order NAMES, objectives (R,).

    It is what `scalekit.fit` does for a pairs bootstrap, with the resamples handed in; the fit
    that the refits start from is inside the time.
    """
    from scalekit.fitters import Objective, as_law
    from scalekit.fitters.intervals import refit
    from scalekit.fitters.model import to_natural
    from scalekit.fitters.problem import Problem, Solution
    from scalekit.fitters.solver import solve
    from scalekit.fitters.starts import propose_starts

    law, runs = as_law("chinchilla"), points.frame()
    scales = {name: runs[name].to_numpy() for name in ("params", "tokens")}
    columns = [law.names.index(name) for name in NAMES]

    def work(weights: Array) -> tuple[Array, Array]:
        objective = Objective("huber_log", delta=1e-3)
        problem = Problem.of(law.model, scales, runs["loss"].to_numpy(), objective)
        once = np.ones(len(runs))
        found = solve(problem, propose_starts(problem, once, 24), once)
        order = np.argsort(found.value)
        fitted = Solution(found.theta[order], found.value[order], found.converged[order])
        refits, _ = refit(problem, fitted, weights)
        return to_natural(refits.theta, law.parameters)[:, columns], refits.value

    return work


def report(refit: Refit, points: Points) -> None:
    """Time `refit` on the published resamples and print how it compares."""
    weights = make_weights(len(points.log_loss))
    published = read_published()
    published_params = published[list(NAMES)].to_numpy()
    published_objective = published["huber_objective"].to_numpy()
    recomputed = objectives(published_params, points, weights)
    drift = np.abs(recomputed - published_objective).max()
    (params, claimed), seconds = timed(lambda: refit(weights))
    ours = objectives(params, points, weights)
    print(f"{len(weights)} refits in {seconds.cpu:.2f} s of CPU, {seconds.wall:.2f} s of wall")
    print_table(("objective against the published", "refits"), compare(ours, published_objective))
    print(f"published objectives recomputed to within {drift:.1e}; ours as claimed to within "
          f"{np.abs(claimed - ours).max():.1e}")  # fmt: skip
    header = ("standard error", "ours", "published, rerun", "printed", "Monte Carlo error")
    print_table(header, standard_errors(params, published_params))


if __name__ == "__main__":
    report(scalekit_refit(read_points()), read_points())
