"""One call for the distance between two data sets: `distance(a, b)`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Interval, Provenance, Result, check_level, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.transport.budget import CostEstimate, Method, check_memory
from scalekit.selectors.transport.cost import cost_notes
from scalekit.selectors.transport.samples import Sample, as_sample, check_same_features
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TELL_ABOVE_SECONDS = 2.0
GAP_TO_TELL = 1e-3
ENTROPIC_EPSILON, ENTROPIC_TOLERANCE = 0.003, 2e-2  # refined to the optimum afterwards


@dataclass(frozen=True, repr=False)
class Distance(Result):
    """The transport cost between two samples, how it was computed and how sure it is.

    `value` is the transport cost: W2 squared for cost "features", OTDD squared for "labels",
    squared *sliced* W2 for method "sliced". `lower` and `upper` bound the value between these
    two samples numerically; `interval` is about drawing other samples (or directions).
    """

    kind: ClassVar[str] = "distance"
    value: float
    lower: float
    upper: float
    interval: Interval
    method: str
    cost: str
    names: tuple[str, str]
    sizes: tuple[int, int]
    dim: int
    notes: tuple[Note, ...]
    provenance: Provenance

    @property
    def root(self) -> float:
        """The square root of the value: a distance in the units of the features."""
        return float(np.sqrt(max(self.value, 0.0)))

    def summary(self) -> str:
        """Return the distance, its bounds and its interval as text."""
        quantity = "squared sliced W2" if self.method == "sliced" else "transport cost"
        text = (
            f"{self.names[0]} to {self.names[1]}: {quantity} {self.value:.6g} "
            f"(root {self.root:.6g}), {percent(self.interval.confidence_level)} interval "
            f"{self.interval}"
            f"\nmethod {self.method}, cost {self.cost}, {self.sizes[0]:,} against "
            f"{self.sizes[1]:,} points, {self.dim} features"
            f"\ninterval: {self.interval.method}"
        )
        if self.method != "sliced":
            text += f"\nbetween these two samples it is within [{self.lower:.8g}, {self.upper:.8g}]"
        return with_notes(text, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row: names, method, value, bounds, interval."""
        return pd.DataFrame([self._row()])

    def payload(self) -> dict[str, Any]:
        """Return the value, the bounds, the interval and how they were made."""
        return self._row() | {
            "dim": self.dim,
            "interval_method": self.interval.method,
            "confidence_level": self.interval.confidence_level,
        }

    def _row(self) -> dict[str, Any]:
        return {
            "a": self.names[0],
            "b": self.names[1],
            "points_a": self.sizes[0],
            "points_b": self.sizes[1],
            "method": self.method,
            "cost": self.cost,
            "value": self.value,
            "ci_lower": self.interval.lower,
            "ci_upper": self.interval.upper,
            "lower": self.lower,
            "upper": self.upper,
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Distance:
        """Return the saved result."""
        interval = Interval(
            values["ci_lower"], values["ci_upper"], values["confidence_level"],
            values["interval_method"],
        )  # fmt: skip
        return cls(
            **{name: values[name] for name in ("value", "lower", "upper", "method", "cost", "dim")},
            interval=interval,
            names=(values["a"], values["b"]),
            sizes=(values["points_a"], values["points_b"]),
            notes=tuple(Note(**note) for note in values["notes"]),
            provenance=Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the value with its interval."""
        from scalekit.selectors.plots import draw_interval

        label = f"{self.names[0]} to {self.names[1]}\n({self.method}, {self.cost})"
        return draw_interval(self.value, self.interval, label, "transport cost", ax)


def distance(
    a: Any,
    b: Any,
    method: Method = "auto",
    cost: str = "features",
    *,
    directions: int = 100,
    a_weights: np.ndarray | None = None,
    b_weights: np.ndarray | None = None,
    device: str = "cpu",
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Distance:
    """Return the optimal-transport cost between two samples of data.

    `a` and `b` are arrays or tensors (n, d), pairs (features, labels), tables, or feature files
    (see `as_sample`). `method` "auto" takes the exact network simplex up to 5,000 points a side,
    the entropic solver refined to the optimum up to 20,000, and the sliced distance (another
    quantity, for ranking) above; notes say which and why. `cost` is "features" (squared
    Euclidean: the value is W2 squared) or "labels" (OTDD, needs labels on both sides).
    What takes more than two seconds is announced on stderr, with time and memory, before it
    starts. Raises InputError on samples that do not fit each other or the memory.

    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> round(distance(x, x + [2.0, 0.0, 0.0]).value, 6)
    4.0
    """
    left, right = as_sample(a, _name(a, "a"), a_weights), as_sample(b, _name(b, "b"), b_weights)
    check_same_features(left, right)
    if cost not in ("features", "labels"):
        raise InputError(f"Unknown cost '{cost}'. Use 'features' or 'labels'.")
    check_level(confidence_level)
    plan = check_memory(method, len(left), len(right), left.dim, directions)
    if plan.seconds > TELL_ABOVE_SECONDS:
        print(f"distance: {plan}", file=sys.stderr)
    if plan.method == "sliced":
        parts = _sliced(left, right, cost, directions, confidence_level, rng)
    else:
        parts = _transport(left, right, plan.method, cost, confidence_level, device, rng)
    value, lower, upper, interval = parts
    notes = (*_gap_notes(value, lower, plan.method), *_notes(left, right, plan, cost, device))
    return Distance(
        value, lower, upper, interval, plan.method, cost, (left.name, right.name),
        (len(left), len(right)), left.dim, notes,
        Provenance(f"{left.name}, {right.name}", f"{left.content_hash()}-{right.content_hash()}",
                   len(left) + len(right), seed=seed_of(rng)),
    )  # fmt: skip


def _name(value: Any, default: str) -> str:
    from pathlib import Path

    return Path(value).stem if isinstance(value, (str, Path)) else default


def _sliced(
    a: Sample, b: Sample, cost: str, directions: int, confidence_level: float, rng: RandomState
) -> tuple[float, float, float, Interval]:
    from scalekit.selectors.transport.sliced import sliced_wasserstein

    if cost == "labels":
        raise InputError(
            "The sliced distance knows no labels. Use method='exact' on a subsample, or "
            "label_histogram_distance for the labels alone."
        )
    found = sliced_wasserstein(a, b, directions, "union", confidence_level, rng)
    return found.value, found.interval.lower, found.interval.upper, found.interval


def _transport(
    a: Sample, b: Sample, method: str, cost: str, level: float, device: str, rng: RandomState
) -> tuple[float, float, float, Interval]:
    from scipy.special import ndtri

    from scalekit.selectors.transport.cost import (
        add_class_cost,
        check_labels,
        feature_cost,
        feature_cost_torch,
    )

    matrix: Any
    if cost == "labels":
        check_labels(a, b)
    if method == "exact":
        matrix = feature_cost(a.features, b.features)
    else:
        matrix = feature_cost_torch(a.features, b.features, device)
    if cost == "labels":
        add_class_cost(matrix, a, b, rng=as_generator(rng))
    value, lower, f, g = _solve(matrix, a.mass, b.mass, method)
    error = np.sqrt(_variance_of_mean(f, a.mass) + _variance_of_mean(g, b.mass))
    half = float(ndtri((1 + level) / 2) * error)
    how = (
        "delta method from the potentials (del Barrio and Loubes 2019): other samples of these "
        "sizes from the same two sources"
    )
    return value, lower, value, Interval(max(value - half, 0.0), value + half, level, how)


def _solve(
    matrix: Any, a: np.ndarray, b: np.ndarray, method: str
) -> tuple[float, float, np.ndarray, np.ndarray]:
    if method == "exact":
        from scalekit.selectors.transport.exact import solve_exact

        exact = solve_exact(np.asarray(matrix), a, b)
        return exact.value, min(exact.lower, exact.value), exact.f, exact.g
    import torch

    from scalekit.selectors.transport.arcs import refine
    from scalekit.selectors.transport.entropic import solve_entropic

    matrix = torch.as_tensor(matrix, dtype=torch.float32)
    start = solve_entropic(matrix, a, b, ENTROPIC_EPSILON, ENTROPIC_TOLERANCE)
    refined = refine(matrix, start.g, a, b)
    return refined.upper, refined.lower, refined.f, refined.g


def _variance_of_mean(potential: np.ndarray, mass: np.ndarray) -> float:
    centred = potential - potential @ mass
    return float((mass**2) @ centred**2)


def _gap_notes(value: float, lower: float, method: str) -> list[Note]:
    if method != "entropic" or value - lower <= GAP_TO_TELL * abs(value):
        return []
    message = (
        f"The bounds are {(value - lower) / abs(value):.1%} apart, as float32 has too few digits "
        "for such clusters or outliers. Use method='exact', on a subsample if need be."
    )
    return [Note("gap-open", "warning", message)]


def _notes(a: Sample, b: Sample, plan: CostEstimate, cost: str, device: str) -> tuple[Note, ...]:
    notes = [Note("method", "info", f"Estimated before the start: {plan}.")]
    if plan.method == "sliced":
        message = "Squared sliced W2 is about W2 squared / d or less; compare it only with itself."
        notes.append(Note("sliced-scale", "info", message))
    else:
        message = (
            "The cost between finite samples is above that between their sources, the more the "
            "fewer points; compare distances only at equal sample sizes."
        )
        notes.append(Note("finite-sample-bias", "info", message))
    notes += cost_notes([a], b, cost)
    if cost == "labels" and (alone := np.setxor1d(a.classes, b.classes)).size:
        message = (
            f"Only one side has points of class {', '.join(map(str, alone))}: its points go to "
            "other classes."
        )
        notes.append(Note("empty-class", "warning", message))
    if device != "cpu" and plan.method != "entropic":
        message = f"The {plan.method} method computes on the CPU; '{device}' was not used."
        notes.append(Note("device-unused", "warning", message))
    if a.content_hash() == b.content_hash():
        message = f"'{a.name}' and '{b.name}' hold the same points."
        notes.append(Note("identical-samples", "warning", message))
    return tuple(notes)
