"""T3: seven crossed variance components, against the truth, the clock, and statsmodels MixedLM.

MixedLM runs at 10 x 200 x 10 with main effects (a minute); at 10 x 1000 x 20 it does not finish.

    python benchmarks/evals_components.py [--no-peer]
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import pandas as pd

from scalekit.evals import crossed_components

SDS = {"seed": 0.01, "item": 0.30, "step": 0.02, "seed:item": 0.10, "seed:step": 0.01,
       "item:step": 0.05, "residual": 0.35}  # fmt: skip
AXES = {"seed": 0, "item": 1, "step": 2}


def simulate(rng: np.random.Generator, shape: tuple[int, ...], sds: dict[str, float]) -> np.ndarray:
    y = np.full(shape, 0.5)
    for name, sd in sds.items():
        axes = range(3) if name == "residual" else [AXES[f] for f in name.split(":")]
        size = [shape[axis] if axis in axes else 1 for axis in range(3)]
        y = y + sd * rng.standard_normal(size)
    return y


def against_truth(reps: int) -> None:
    found, seconds = [], []
    for seed in range(reps):
        y = simulate(np.random.default_rng(seed), (10, 1000, 20), SDS)
        start = time.process_time()
        squares = crossed_components(y)
        rows = {name: (squares.estimate(name), *squares.interval(name)) for name in SDS}
        seconds.append(time.process_time() - start)
        found.append(rows)
    milliseconds = 1000 * np.median(seconds)
    print(f"10 x 1000 x 20, {reps} repetitions; median {milliseconds:.1f} ms with intervals")
    for name, sd in SDS.items():
        values = np.array([rows[name] for rows in found])
        mean, error = values[:, 0].mean(), values[:, 0].std(ddof=1) / np.sqrt(reps)
        covered = np.mean((values[:, 1] <= sd**2) & (sd**2 <= values[:, 2]))
        off = (mean - sd**2) / error
        print(f"  {name:10s} truth {sd**2:.6f} mean {mean:.6f} ({off:+.1f} MC SE), "
              f"interval covers {100 * covered:.0f}%")  # fmt: skip


def unbalanced() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        y = simulate(rng, (10, 2000, 1), {"seed": 0.01, "item": 0.3, "residual": 0.35})
        y[rng.random(y.shape) < 0.4] = np.nan
        squares = crossed_components(y)
        found.append((squares.estimate("seed"), *squares.interval("seed")))
    values = np.array(found)
    covered = np.mean((values[:, 1] <= 1e-4) & (values[:, 2] >= 1e-4))
    print(f"10 x 2000, 40% missing, 200 repetitions: seed {values[:, 0].mean():.6f} "
          f"(truth .000100), interval covers {100 * covered:.0f}%")  # fmt: skip
    y = simulate(rng, (10, 14000, 1), {"seed": 0.01, "item": 0.3, "residual": 0.35})
    y[rng.random(y.shape) < 0.4] = np.nan
    start = time.process_time()
    crossed_components(y)
    print(f"10 x 14000, 40% missing: {1000 * (time.process_time() - start):.1f} ms")


def beside_mixedlm(shape: tuple[int, int, int] = (10, 200, 10)) -> None:
    import statsmodels.formula.api as smf

    y = simulate(np.random.default_rng(2), shape, {"seed": 0.03, "item": 0.3, "step": 0.03,
                                                   "residual": 0.36})  # fmt: skip
    index = np.indices(shape)
    factors = {name: index[axis].ravel() for name, axis in AXES.items()}
    frame = pd.DataFrame({"y": y.ravel(), "one": 1, **factors})
    parts = {name: f"0 + C({name})" for name in AXES}
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = smf.mixedlm("y ~ 1", frame, groups="one", vc_formula=parts, re_formula="0").fit()
    peer = dict(zip(fit.model.exog_vc.names, fit.vcomp, strict=True)) | {"residual": fit.scale}
    seconds = time.process_time() - start
    start = time.process_time()
    ours = main_effects(y)
    print(f"{shape}: MixedLM {seconds:.1f} CPU-s (converged: {fit.converged}), "
          f"ours {1000 * (time.process_time() - start):.1f} ms")  # fmt: skip
    for name, value in peer.items():
        print(f"  {name:9s} MixedLM {value:.6f} ours {ours[name]:.6f} "
              f"(difference {abs(ours[name] - value):.1e})")  # fmt: skip


def main_effects(y: np.ndarray) -> dict[str, float]:
    """Pool the interactions into the residual: the model that MixedLM is given."""
    squares = crossed_components(y)
    names = list(squares.weights)
    interactions = [i for i, name in enumerate(names) if ":" in name or name == "residual"]
    df = squares.df[interactions]
    residual = float((squares.mean_squares[interactions] * df).sum() / df.sum())
    result = {"residual": residual}
    for name, axis in AXES.items():
        others = y.size / y.shape[axis]
        result[name] = (squares.mean_squares[names.index(name)] - residual) / others
    return result


if __name__ == "__main__":
    against_truth(40)
    against_truth(400)
    unbalanced()
    if "--no-peer" not in sys.argv:
        beside_mixedlm()
