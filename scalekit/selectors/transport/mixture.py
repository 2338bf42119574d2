"""Optimal transport from every mixture of sources to one target, on one pooled support.

The points of all sources are kept once; a mixture p only re-weights them, a_j = p_i / n_i for
the points of source i. Then OT(p) is convex and piecewise linear in p, and needs one cost matrix.
Each solve at some p gives potentials that are feasible for *all* mixtures, hence a cut:
OT(q) >= q . slope + offset for every q. Many cuts bound OT from below everywhere, convexity
bounds it from above. Potentials are tightened, so slopes are right at the edge of the simplex.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.simplex import MixtureLike, as_mixtures
from scalekit.selectors.transport.budget import estimate_cost
from scalekit.selectors.transport.cost import cost_notes
from scalekit.selectors.transport.exact import Solution
from scalekit.selectors.transport.problems import Cost, make_solver, solver_method
from scalekit.selectors.transport.samples import Sample, as_named_samples, as_sample

if TYPE_CHECKING:
    from scalekit.selectors.transport.closest import ClosestMixture
    from scalekit.selectors.transport.survey import MixtureSurvey

Solver = Callable[[np.ndarray, np.ndarray], Solution]
TIGHT = 1e-9
TELL_ABOVE_SECONDS = 10.0


@dataclass(frozen=True)
class Cut:
    """One solve: OT(q) >= q @ slope + offset for every mixture q, with equality at `mixture`.

    `value` is the cost of the plan found, `f` (n,) and `g` (m,) are the potentials.
    """

    mixture: np.ndarray
    value: float
    slope: np.ndarray
    offset: float
    f: np.ndarray
    g: np.ndarray


class MixtureTransport:
    """The transport costs of all mixtures of some sources to one target; made by
    `mixture_transport`. Every solve is kept as a cut and sharpens the bounds."""

    def __init__(
        self, samples: Sequence[Sample], target: Sample, solver: Solver, cost: str,
        notes: tuple[Note, ...], provenance: Provenance,
    ) -> None:  # fmt: skip
        """Keep the parts; `mixture_transport` checks them."""
        self.samples, self.target, self.cost = tuple(samples), target, cost
        self.sources = tuple(sample.name for sample in samples)
        self.notes, self.provenance = notes, provenance
        self.source_of_point = np.repeat(np.arange(len(samples)), [len(s) for s in samples])
        self._within = np.concatenate([sample.mass for sample in samples])
        self._solver = solver
        self.cuts: list[Cut] = []

    def weights(self, mixture: np.ndarray) -> np.ndarray:
        """Return the weight of every pooled point under one mixture (m,), shape (n,)."""
        result: np.ndarray = mixture[self.source_of_point] * self._within
        return result

    def solve(self, mixture: MixtureLike) -> Cut:
        """Return the solution at one mixture; a mixture solved before is not solved again."""
        (point,) = as_mixtures(mixture, self.sources)
        for cut in self.cuts:
            if np.array_equal(cut.mixture, point):
                return cut
        cut = self._cut(point)
        self.cuts.append(cut)
        return cut

    def _cut(self, point: np.ndarray) -> Cut:
        solution = self._solver(self.weights(point), self.target.mass)
        slope = np.bincount(
            self.source_of_point, solution.f * self._within, minlength=len(self.sources)
        )
        offset = float(solution.g @ self.target.mass)
        return Cut(point, solution.value, slope, offset, solution.f, solution.g)

    def gradient(self, mixture: MixtureLike) -> np.ndarray:
        """Return a subgradient of OT in the mixture, centred to mean zero, shape (m,).

        Differences between its entries say what moving mass from one source to another does;
        it is right at the edge of the simplex too. At a kink it is one of several.
        """
        slope = self.solve(mixture).slope
        result: np.ndarray = slope - slope.mean()
        return result

    def directional_derivative(self, mixture: MixtureLike, towards: MixtureLike) -> float:
        """Return the one-sided derivative of OT at `mixture` in the direction to `towards`.

        Exact also at kinks: a cut taken a small step away whose potentials are optimal at
        `mixture` too has the slope of the first linear piece.
        """
        (start,) = as_mixtures(mixture, self.sources)
        (end,) = as_mixtures(towards, self.sources)
        value, direction, best = self.solve(start).value, end - start, np.inf
        for step in (1e-3, 1e-4, 1e-5, 1e-6):
            cut = self._cut(start + step * direction)
            best = min(best, float(cut.slope @ direction))
            if start @ cut.slope + cut.offset >= value - TIGHT * abs(value):
                break
        return best

    def lower(self, mixtures: MixtureLike) -> np.ndarray:
        """Return certified lower bounds from the cuts so far, shape (k,)."""
        points = as_mixtures(mixtures, self.sources)
        self._require_cuts()
        slopes = np.array([cut.slope for cut in self.cuts])
        offsets = np.array([cut.offset for cut in self.cuts])
        result: np.ndarray = (points @ slopes.T + offsets).max(axis=1)
        return result

    def upper(self, mixtures: MixtureLike) -> np.ndarray:
        """Return certified upper bounds (k,): the lower convex hull of the solved mixtures.

        Infinite for a mixture outside the hull; solve the vertices first (`solve_vertices`).
        """
        from scipy.optimize import linprog

        self._require_cuts()
        anchors = np.array([cut.mixture for cut in self.cuts])
        values = np.array([cut.value for cut in self.cuts])
        points = as_mixtures(mixtures, self.sources)
        bounds = np.full(len(points), np.inf)
        scale = values.max() or 1.0  # the tolerances of the linear program are absolute
        for row, point in enumerate(points):
            found = linprog(values / scale, A_eq=anchors.T, b_eq=point, bounds=(0, None))
            if found.status == 0 and found.fun is not None:
                bounds[row] = scale * found.fun
        return bounds

    def solve_vertices(self) -> None:
        """Solve at every single source and at the uniform mixture: then all bounds are finite."""
        count = len(self.sources)
        for point in [*np.eye(count), np.full(count, 1 / count)]:
            self.solve(point)

    def announce(self, solves: int) -> None:
        """Say on stderr what at most `solves` solves take, where that is over ten seconds."""
        if self.cost == "sliced":
            return
        n, m = len(self.source_of_point), len(self.target)
        each = estimate_cost(n, m, self.target.dim, solver_method(n, m))
        if solves * each.seconds > TELL_ABOVE_SECONDS:
            print(
                f"{each.method} transport of {n:,} pooled points to {m:,} ({self.cost}): at most "
                f"{solves} solves of about {each.seconds:.1g} s of one CPU core each",
                file=sys.stderr,
            )

    def survey(
        self, mixtures: MixtureLike | None = None, parts: int = 10, anchors: int = 10
    ) -> MixtureSurvey:
        """Return bounds on a grid of mixtures (steps of 1/parts), `anchors` new solves at most."""
        from scalekit.selectors.transport.survey import survey

        return survey(self, mixtures, parts, anchors)

    def closest(self, tolerance: float = 1e-4, max_solves: int = 60) -> ClosestMixture:
        """Return the mixture of least cost, with a certified relative gap below `tolerance`."""
        from scalekit.selectors.transport.closest import closest

        return closest(self, tolerance, max_solves)

    def resampled_cuts(self, count: int, rng: RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Return slopes (count + 1, k, m) and offsets (count + 1, k) under resampled samples.

        Row 0 is the samples as they are; the others are bootstrap draws of every source and of
        the target. Potentials stay feasible whatever the weights, so each row bounds the costs
        of its own draw from below, and to first order equals them (the delta method).
        """
        self._require_cuts()
        rng = as_generator(rng)
        f = np.array([cut.f for cut in self.cuts])
        g = np.array([cut.g for cut in self.cuts])
        slopes = np.empty((count + 1, len(self.cuts), len(self.sources)))
        for i, sample in enumerate(self.samples):
            draws = _bootstrap_weights(sample, count, rng)
            slopes[:, :, i] = draws @ f[:, self.source_of_point == i].T
        return slopes, _bootstrap_weights(self.target, count, rng) @ g.T

    def _require_cuts(self) -> None:
        if not self.cuts:
            raise InputError("No mixture is solved yet. Call .solve(...) or .solve_vertices().")


def _bootstrap_weights(sample: Sample, count: int, rng: np.random.Generator) -> np.ndarray:
    counts = rng.multinomial(len(sample), np.full(len(sample), 1 / len(sample)), size=count)
    weights = counts * sample.mass
    return np.concatenate([sample.mass[None], weights / weights.sum(axis=1, keepdims=True)])


def mixture_transport(
    sources: Mapping[str, Any],
    target: Any,
    cost: Cost | Literal["features", "labels", "sliced"] = "features",
    rng: RandomState = 0,
) -> MixtureTransport:
    """Return the transport problem from all mixtures of `sources` to `target`.

    `sources` maps names to samples (see `as_sample`). `cost` is "features" (squared Euclidean,
    so that values are W2 squared), "labels" (OTDD: features and class-to-class distances, which
    needs labels on both sides) or "sliced" (squared sliced W2, 100 fixed directions).
    Raises InputError for fewer than two sources, other feature dimensions, labels on one side
    only, or a cost matrix that does not fit in memory (told before it is made).

    >>> rng = np.random.default_rng(0)
    >>> near, far = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 4
    >>> problem = mixture_transport({"near": near, "far": far}, rng.normal(size=(40, 2)))
    >>> problem.closest().mixture["near"] > 0.9
    True
    """
    goal = as_sample(target, "target")
    samples = list(as_named_samples(sources, goal).values())
    solver = make_solver(samples, goal, cost, as_generator(rng))
    provenance = Provenance(
        source=", ".join(sample.name for sample in [*samples, goal]),
        input_hash="-".join(s.content_hash()[:6] for s in [*samples, goal]),
        n_rows=sum(map(len, samples)) + len(goal),
        seed=seed_of(rng),
    )
    notes = (*cost_notes(samples, goal, cost), *_notes(samples, goal))
    return MixtureTransport(samples, goal, solver, cost, notes, provenance)


def _notes(samples: Sequence[Sample], target: Sample) -> tuple[Note, ...]:
    notes = []
    hashes: dict[str, str] = {}
    for sample in samples:
        twin = hashes.setdefault(sample.content_hash(), sample.name)
        if twin != sample.name:
            message = (
                f"Sources '{twin}' and '{sample.name}' hold the same points: no distance can "
                "tell their shares apart. Merge them."
            )
            notes.append(Note("identical-sources", "warning", message))
    if target.labels is not None and all(sample.labels is not None for sample in samples):
        known = np.unique(np.concatenate([sample.classes for sample in samples]))
        absent = np.setdiff1d(target.classes, known)
        if len(absent):
            message = (
                f"No source has a point of class {', '.join(map(str, absent))} of the target: "
                "no mixture can come close there."
            )
            notes.append(Note("empty-class", "warning", message))
    return tuple(notes)
