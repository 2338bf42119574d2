"""Coverage of the crossing's interval and Brier score of "B is better at 8 times the scale".

Two recipes follow power laws with constants; 7 or 14 sizes of each are run over two decades,
with log-normal noise, and the crossing lies inside or somewhat beyond them. A third setting bends
both curves (a slow second component), so that the law is wrong. Each setting is asked with the law
that is true (unless bent), and by default: three laws in equal parts.

    python benchmarks/crossing_simulation.py --pairs 200 --peer-python peers/bin/python

Beside: the sign at the largest run, the crossing of two point fits, and p_best of
simple-scaling-laws where a Python that has it is named (see benchmarks/README.md).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import scalekit as sk

FACTOR = 8.0


def law(x: np.ndarray, p: np.ndarray, bend: float) -> np.ndarray:
    """Return the true loss of a recipe p = (E, A, alpha) at compute x (in units of 1e18)."""
    slow = bend * p[1] * x ** -(0.35 * p[2])
    return p[0] + p[1] * x ** -p[2] + slow


def draw_pair(rng: np.random.Generator, bend: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return two recipes that cross once between 10 and 2,000 (units of 1e18 FLOPs), and where."""
    while True:
        a = np.array([rng.uniform(1.5, 2.0), rng.uniform(1.0, 2.5), rng.uniform(0.2, 0.4)])
        b = a * np.array([rng.uniform(0.9, 1.0), rng.uniform(0.95, 1.2), rng.uniform(0.9, 1.1)])
        grid = np.geomspace(1, 1e5, 4000)
        gap = law(grid, b, bend) - law(grid, a, bend)
        down = np.flatnonzero((gap[:-1] > 0) & (gap[1:] <= 0))
        changes = np.flatnonzero(gap[:-1] * gap[1:] < 0)
        if len(down) == 1 and len(changes) == 1 and 10 < grid[down[0]] < 2000:
            return a, b, float(grid[down[0]])


def main() -> None:
    """Print one line a setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--peer-python")
    options = parser.parse_args()
    pairs, peer = options.pairs, open_peer(options.peer_python)
    for sizes, noise, bend in (
        (7, 0.004, 0.0),
        (14, 0.004, 0.0),
        (14, 0.01, 0.0),
        (14, 0.004, 0.5),
    ):
        print_setting(sizes, noise, bend, "power_constant", pairs, peer)
        print_setting(sizes, noise, bend, None, pairs, open_peer(None))


def print_setting(
    sizes: int, noise: float, bend: float, one: str | None, pairs: int, peer: Callable[..., float]
) -> None:
    """Print how good the answers with the law `one` are over `pairs` drawn pairs."""
    rng = np.random.default_rng(1)
    rows, started = [], time.process_time()
    for k in range(pairs):
        a, b, place = draw_pair(rng, bend)
        x = np.geomspace(1, 100, sizes)
        target = 100 * FACTOR
        noisy = [law(x, p, bend) * np.exp(noise * rng.standard_normal(sizes)) for p in (a, b)]
        runs = pd.DataFrame({
            "recipe": ["a"] * sizes + ["b"] * sizes,
            "flops": np.tile(1e18 * x, 2),
            "loss": np.concatenate(noisy),
        })  # fmt: skip
        duel = sk.compare(runs, by="recipe", law=one, at=1e18 * target, rng=k)
        cross = duel.crossover(within=(1e17, 1e24))
        chance = float(duel.win_probability().set_index("system")["win_probability"]["b"])
        truth = float(law(np.array([target]), b, bend)[0] < law(np.array([target]), a, bend)[0])
        point = float(duel.difference(1e18 * target)["difference"].iloc[0] < 0)
        lower = 0.0 if cross.open_below else cross.interval.lower
        upper = np.inf if cross.open_above else cross.interval.upper
        rows.append({
            "covered": lower <= 1e18 * place <= upper,
            "open": cross.open_below or cross.open_above,
            "brier": (chance - truth) ** 2,
            "last": (float(noisy[1][-1] < noisy[0][-1]) - truth) ** 2,
            "point": (point - truth) ** 2,
            "peer": (peer(runs, 1e18 * target) - truth) ** 2,
            "said": max(chance, 1 - chance),
            "right": (chance > 0.5) == truth,
        })  # fmt: skip
    table = pd.DataFrame(rows).astype(float)
    mean = table.mean()
    print(
        f"{sizes} sizes, noise {noise:.1%}, {'bent' if bend else 'not bent'}, "
        f"law {one or 'default'}: 95% interval of the crossing covers {mean['covered']:.3f} "
        f"(open-ended {mean['open']:.2f}); Brier "
        f"scalekit {mean['brier']:.4f}, point crossing {mean['point']:.4f}, last value "
        f"{mean['last']:.4f}, simple-scaling-laws {mean['peer']:.4f}; said {mean['said']:.3f}, "
        f"right {mean['right']:.3f}; {pairs} pairs, {time.process_time() - started:.0f} s CPU",
        flush=True,
    )


def open_peer(python: str | None) -> Callable[[pd.DataFrame, float], float]:
    """Return a function (runs, target) -> the peer's p_best of "b"; NaN where there is no peer."""
    if python is None:
        return lambda _runs, _at: float("nan")
    script = str(Path(__file__).with_name("peer_p_best.py"))
    peer = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)  # fmt: skip
    assert peer.stdin is not None
    assert peer.stdout is not None

    def ask(runs: pd.DataFrame, at: float) -> float:
        rows = {name: list(part["loss"]) for name, part in runs.groupby("recipe")}
        x = list(runs.loc[runs["recipe"] == "a", "flops"] / 1e12)
        peer.stdin.write(json.dumps({"x": x, **rows, "at": at / 1e12}) + "\n")
        peer.stdin.flush()
        return float(json.loads(peer.stdout.readline()))

    return ask


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
