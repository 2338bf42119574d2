"""Certificates of mixture transport: bounds, the nearest mixture, derivatives at the edge.

Targets: bounds hold in every case; nearest mixture to .01 % in at most 25 solves; error of the
directional derivative at 60 edge points under 1 %. POT's raw potentials stand beside.

    python benchmarks/transport_certificates.py
"""

from __future__ import annotations

import time

import numpy as np
import ot
from digits_sources import sources

from scalekit.selectors.simplex import simplex_grid
from scalekit.selectors.transport import mixture_transport
from scalekit.selectors.transport.mixture import MixtureTransport


def certificates() -> None:
    grid = simplex_grid(3, 10)
    print("problem                 bounds hold  gap 4/7/10 solves   nearest: solves  gap      cpu")
    for kind in ("imb", "noise"):
        for points in (100, 300, 600):
            disclosed, (x, y) = sources(kind, points, 0)
            target = (x[:points], y[:points])
            for cost in ("features", "labels", "sliced"):
                start = time.process_time()
                fresh = mixture_transport(disclosed, target, cost)
                near = fresh.closest(tolerance=1e-4)
                spent = time.process_time() - start
                problem = mixture_transport(disclosed, target, cost)
                truth = np.array([problem._cut(p).value for p in grid])
                gaps, hold = [], True
                for anchors in (4, 7, 10):
                    mapped = mixture_transport(disclosed, target, cost)
                    survey = mapped.survey(grid, anchors=anchors)
                    gaps.append(f"{survey.relative_gap:.1%}")
                    hold &= bool((survey.lower <= truth * (1 + 1e-9)).all())
                    hold &= bool((survey.upper >= truth * (1 - 1e-9)).all())
                hold &= near.lower <= truth.min() * (1 + 1e-9)
                print(
                    f"{kind:5} {points:4} {cost:9}      {hold!s:11} {' '.join(gaps):20} "
                    f"{near.solves:8} {near.gap:11.4%} {spent:6.2f} s",
                    flush=True,
                )


def raw_derivative(
    problem: MixtureTransport, cost: np.ndarray, p: np.ndarray, d: np.ndarray
) -> float:
    _, log = ot.emd2(problem.weights(p), problem.target.mass, cost, log=True, numItermax=10**7)
    raw = np.bincount(problem.source_of_point, weights=log["u"] * problem._within)
    return float(raw @ d)


def derivatives() -> None:
    disclosed, (x, _) = sources("imb", 300, 1)
    problem = mixture_transport({k: v[0] for k, v in disclosed.items()}, x[:300])
    cost = ot.dist(np.concatenate([s.features for s in problem.samples]), x[:300])
    rng, errors = np.random.default_rng(0), {"scalekit": [], "one gradient": [], "POT raw": []}
    for _ in range(60):
        p, absent = rng.dirichlet(np.ones(3)), rng.integers(3)
        p[absent] = 0
        p /= p.sum()
        towards = np.eye(3)[absent]
        direction, step = towards - p, 1e-6
        here = problem.solve(p).value
        truth = (problem._cut(p + step * direction).value - here) / step
        found = {
            "scalekit": problem.directional_derivative(p, towards),
            "one gradient": problem.gradient(p) @ direction,
            "POT raw": raw_derivative(problem, cost, p, direction),
        }
        for name, value in found.items():
            errors[name].append(abs(value - truth) / abs(truth))
    print("\nrelative error of the derivative into an absent source, 60 edge points")
    for name, values in errors.items():
        print(f"{name:14} median {np.median(values):.2%}  largest {np.max(values):.2%}")


if __name__ == "__main__":
    certificates()
    derivatives()
