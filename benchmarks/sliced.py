"""Protocol F: sliced Wasserstein with control variates.

`python benchmarks/sliced.py table` relative RMSE of SW2^2 in per cent (published LCV and UCV are
`lower` and `upper`); `flow` the gradient flow of the paper, W2 at its checkpoints; `large` one
million points in 16 dimensions, target under 2.5 CPU-s. Without an argument all three.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from digits_sources import shared_data

from scalekit.selectors.transport.sliced import (
    CONTROLS,
    centred_controls,
    estimate,
    random_directions,
    sample_moments,
    sliced_wasserstein,
    squared_w2_along,
)

REPEATS = 100


def clouds() -> np.ndarray:
    path = shared_data() / "cv_sw" / "reconstruct_random_50_shapenetcore55.npy"
    return np.load(path).astype(float)


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    from sklearn.datasets import load_digits

    shapes, rng = clouds(), np.random.default_rng(777)
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    centres = rng.normal(size=(10, 64))
    uneven = np.array([0.24] * 4 + [0.04 / 6] * 6)

    def mixture(shares: np.ndarray) -> np.ndarray:
        return centres[rng.choice(10, 2000, p=shares / shares.sum())] + rng.normal(size=(2000, 64))

    return {
        "shapenet 32/33, d=3": (shapes[32], shapes[33]),
        "shapenet 2/42, d=3": (shapes[2], shapes[42]),
        "digits 0-4/5-9, d=64": (images[labels < 5][:890], images[labels >= 5][:890]),
        "Gauss mixture, d=64": (mixture(uneven), mixture(np.ones(10))),
    }


def table() -> None:
    print("relative RMSE of SW2^2, per cent, " + f"{REPEATS} repeats")
    print(f"{'case':22} {'L':>4} " + " ".join(f"{c:>9}" for c in CONTROLS))
    for name, (x, y) in cases().items():
        rng = np.random.default_rng(9)
        many = 20_000 if x.shape[1] == 3 else 6_000
        theta = random_directions(many, x.shape[1], rng)
        moments = sample_moments(x, y)
        # the reference takes out its own noise by the joint controls
        truth = estimate(squared_w2_along(x, y, theta), theta, moments, "joint", 0.95, rng).value
        for count in (10, 50, 100, 500):
            errors: dict[str, list[float]] = {c: [] for c in CONTROLS}
            for seed in range(REPEATS if count < 500 else REPEATS // 2):
                rng = np.random.default_rng(seed)
                theta = random_directions(count, x.shape[1], rng)
                slices = squared_w2_along(x, y, theta)
                for control, found in errors.items():
                    value = estimate(slices, theta, moments, control, 0.95, rng).value
                    found.append(value / truth - 1)
            rmse = [100 * np.sqrt(np.mean(np.square(e))) for e in errors.values()]
            print(f"{name:22} {count:4} " + " ".join(f"{r:9.2f}" for r in rmse), flush=True)


def flow(steps: int = 8000, directions: int = 10, rate: float = 0.01) -> None:
    """Gradient flow of SW2 from shape 32 to shape 33 (paper: shapes x 2 -+ 10, L = 10)."""
    import ot

    shapes = clouds()
    start, goal = shapes[32] * 2 - 10, shapes[33] * 2 + 10
    marks = (3000, 4000, 5000, 6000, 8000)
    print(f"gradient flow, W2 after {' '.join(f'{m:>9}' for m in marks)}   CPU s")
    for control in ("none", "lower", "upper", "joint"):
        rng, x = np.random.default_rng(1), start.copy()
        said, spent = [], time.process_time()
        for step in range(1, steps + 1):
            x -= rate * len(x) * sw_gradient(x, goal, directions, control, rng)
            if step in marks:
                paused = time.process_time()
                said.append(np.sqrt(ot.emd2([], [], ot.dist(x, goal), numItermax=10**8)))
                spent += time.process_time() - paused
        print(
            f"{control:22} "
            + " ".join(f"{w:9.4f}" for w in said)
            + f" {time.process_time() - spent:7.1f}",
            flush=True,
        )


def sw_gradient(
    x: np.ndarray, y: np.ndarray, directions: int, control: str, rng: np.random.Generator
) -> np.ndarray:
    """Return the gradient of SW2 (the root) in x, through the controls as autograd would."""
    theta = random_directions(directions, x.shape[1], rng)
    along_x, along_y = x @ theta.T, np.sort(y @ theta.T, axis=0)
    order = along_x.argsort(axis=0)
    gap = np.take_along_axis(along_x, order, axis=0) - along_y
    slices = (gap**2).mean(axis=0)
    moved = np.empty_like(gap)
    np.put_along_axis(moved, order, gap, axis=0)
    per_slice = np.full(directions, 1 / directions)
    value, extra = slices.mean(), 0.0
    if control != "none":
        moments = sample_moments(x, y)
        controls, _ = centred_controls(theta, moments, control, rng)
        gamma = np.linalg.lstsq(controls.T @ controls, controls.T @ (slices - value), rcond=1e-10)[
            0
        ]
        value -= gamma @ controls.mean(axis=0)
        extra = control_gradient(x, theta, moments.shift, control, gamma)
    gradient = 2 * (moved * per_slice) @ theta / len(x) - extra
    return gradient / (2 * np.sqrt(max(value, 1e-12)))


def control_gradient(
    x: np.ndarray, theta: np.ndarray, shift: np.ndarray, control: str, gamma: np.ndarray
) -> np.ndarray:
    """Return gamma . d mean(C - E C) / dx, gamma held fixed as in the official code."""
    n, d = x.shape
    outer = theta.T @ theta / len(theta) - np.eye(d) / d
    of_mean = 2 * np.broadcast_to(outer @ shift, x.shape) / n
    of_spread = 2 * (x - x.mean(axis=0)) @ outer / n
    if control == "lower":
        return gamma[0] * of_mean
    if control == "upper":
        return gamma[0] * (of_mean + of_spread)
    return gamma[0] * of_mean + gamma[1] * of_spread


def large(n: int = 1_000_000, d: int = 16) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d)) * 1.2 + 0.2
    exact = 0.2**2 + 0.2**2  # a shift of .2 and spreads of 1 and 1.2 in every direction
    for control in ("none", "joint", "union"):
        start = time.process_time()
        found = sliced_wasserstein(x, y, 100, control)
        spent = time.process_time() - start
        off, error = found.value / exact - 1, found.standard_error / exact
        print(f"n = {n:,}, d = {d}, 100 directions, {control:5}: {spent:.2f} CPU s;", end=" ")
        print(f"from the population value {off:+.2%}, standard error {error:.2%}")


if __name__ == "__main__":
    for part in sys.argv[1:] or ("table", "large", "flow"):
        {"table": table, "flow": flow, "large": large}[part]()
