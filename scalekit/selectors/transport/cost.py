"""What it costs to move a point: by features, by features and labels, by label shares alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.selectors.transport.samples import Sample, check_same_features

if TYPE_CHECKING:
    import torch

CLASS_POINTS = 300  # of a class, in the distances between classes
DOMINANT = 0.95
BLOCK_BYTES = 64e6  # temporaries stay below this, whatever the number of points


def feature_cost(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return squared Euclidean distances between the rows of x (n, d) and y (m, d), float64.

    Features are centred first, so that a large common offset costs no digits. Squared
    distances make the transport cost W2 squared.

    >>> feature_cost(np.array([[0.0], [3.0]]), np.array([[1.0]]))
    array([[1.],
           [4.]])
    """
    centre = y.mean(axis=0)
    x, y = x - centre, y - centre
    cost = np.empty((len(x), len(y)))
    x_norms, y_norms = (x**2).sum(axis=1), (y**2).sum(axis=1)
    rows = max(1, int(BLOCK_BYTES / (8 * len(y))))
    for start in range(0, len(x), rows):
        block = slice(start, start + rows)
        np.matmul(x[block], y.T, out=cost[block])
        cost[block] *= -2
        cost[block] += x_norms[block, None]
        cost[block] += y_norms[None]
    np.maximum(cost, 0, out=cost)
    return cost


def feature_cost_torch(x: np.ndarray, y: np.ndarray, device: str = "cpu") -> torch.Tensor:
    """Return the squared Euclidean distances (n, m) as a float32 tensor on `device`.

    Blocks are float64 before they are rounded, so that points which are near to each other and
    far from the centre keep their digits (but for Apple's GPUs, which have no float64).
    """
    import torch

    check_device(device)
    centre, kind = y.mean(axis=0), torch.float32 if device.startswith("mps") else torch.float64
    left = torch.as_tensor(x - centre, dtype=kind, device=device)
    right = torch.as_tensor(y - centre, dtype=kind, device=device)
    norms = (right**2).sum(dim=1)
    cost = torch.empty((len(x), len(y)), dtype=torch.float32, device=device)
    rows = max(1, int(BLOCK_BYTES / (8 * len(y))))
    for start in range(0, len(x), rows):
        part = left[start : start + rows]
        block = (part @ right.T).mul_(-2).add_((part**2).sum(dim=1)[:, None]).add_(norms)
        cost[start : start + rows] = block.clamp_(min=0)
    return cost


def check_device(device: str) -> None:
    """Raise InputError where torch cannot compute on `device` here."""
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"Cannot compute on device '{device}': {reason.rstrip('.')}. Use 'cpu'."
        ) from error


def class_distances(
    a: Sample, b: Sample, max_points: int = CLASS_POINTS, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (classes of a, classes of b, W) with W the squared W2 between their class samples.

    This is the inner distance of OTDD (Alvarez-Melis and Fusi, NeurIPS 2020), solved exactly.
    A class with more than `max_points` points is represented by that many, drawn by `rng`.
    Raises InputError where only one side has labels.
    """
    from scalekit.selectors.transport.exact import solve_exact

    check_labels(a, b)
    check_same_features(a, b)
    generator = np.random.default_rng(0) if rng is None else rng
    left, right = (_class_samples(sample, max_points, generator) for sample in (a, b))
    table = np.empty((len(left), len(right)))
    for i, x in enumerate(left.values()):
        for j, y in enumerate(right.values()):
            table[i, j] = solve_exact(feature_cost(x, y)).value
    return np.array(list(left)), np.array(list(right)), table


def _class_samples(
    sample: Sample, max_points: int, rng: np.random.Generator
) -> dict[object, np.ndarray]:
    parts = {}
    for label in sample.classes:
        rows = np.flatnonzero(sample.known_labels == label)
        if len(rows) > max_points:
            rows = rng.choice(rows, max_points, replace=False)
        parts[label] = sample.features[rows]
    return parts


def label_cost(
    a: Sample,
    b: Sample,
    feature_weight: float = 1.0,
    label_weight: float = 1.0,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Return feature_weight * |x - x'|^2 + label_weight * W2^2(class of x, class of x'), (n, m).

    The ground cost of OTDD, as projektor uses it with both weights 1 (arXiv 2307.02460).
    """
    cost = feature_cost(a.features, b.features)
    cost *= feature_weight
    add_class_cost(cost, a, b, label_weight, rng)
    return cost


def add_class_cost(
    cost: Any,
    a: Sample,
    b: Sample,
    label_weight: float = 1.0,
    rng: np.random.Generator | None = None,
) -> None:
    """Add label_weight * W2^2(class of x, class of x') to a cost (n, m), in place, by blocks.

    `cost` is an array or a tensor on any device, and stays there.
    """
    rows, columns, table = class_distances(a, b, rng=rng)
    of_a, of_b = np.searchsorted(rows, a.known_labels), np.searchsorted(columns, b.known_labels)
    wide: Any = (label_weight * table)[:, of_b]  # (classes of a, m)
    if not isinstance(cost, np.ndarray):
        wide = cost.new_tensor(wide)
    step = max(1, int(BLOCK_BYTES / (8 * len(of_b))))
    for start in range(0, len(of_a), step):
        cost[start : start + step] += wide[of_a[start : start + step]]


def cost_notes(samples: Sequence[Sample], target: Sample, cost: str) -> list[Note]:
    """Say where one feature drowns the others, and where classes are represented by some points."""
    notes = []
    spread = np.mean([s.features.var(axis=0) for s in (*samples, target)], axis=0)
    largest = int(spread.argmax())
    if target.dim > 1 and spread[largest] > DOMINANT * spread.sum():
        named = f"'{target.columns[largest]}'" if target.columns else str(largest)
        message = (
            f"Feature {named} has {spread[largest] / spread.sum():.1%} of the variance of all "
            f"{target.dim}, so the distance hardly sees the others. Features are taken as they "
            "are: scale them alike, unless this is meant."
        )
        notes.append(Note("dominant-feature", "warning", message))
    if cost == "labels" and any(
        s.labels is not None and np.unique(s.labels, return_counts=True)[1].max() > CLASS_POINTS
        for s in (*samples, target)
    ):
        message = (
            f"Distances between classes use at most {CLASS_POINTS} points of each, drawn at random."
        )
        notes.append(Note("classes-drawn", "info", message))
    return notes


def label_shares(sample: Sample, classes: np.ndarray) -> np.ndarray:
    """Return the share of mass of each of `classes` in the sample, shape (k,)."""
    of_sample = np.searchsorted(classes, sample.known_labels)
    return np.bincount(of_sample, weights=sample.mass, minlength=len(classes))


def label_histogram_distance(a: Sample, b: Sample) -> float:
    """Return the total variation distance between the label shares of two samples, in [0, 1].

    A class that only one side has counts with its whole share.
    """
    check_labels(a, b)
    classes = np.union1d(a.classes, b.classes)
    return float(0.5 * np.abs(label_shares(a, classes) - label_shares(b, classes)).sum())


def check_labels(a: Sample, b: Sample) -> None:
    """Raise InputError unless both samples have labels, of one type."""
    without = [sample.name for sample in (a, b) if sample.labels is None]
    if without:
        raise InputError(
            f"A label-aware distance needs labels on both sides; '{without[0]}' has none. "
            "Give (features, labels) or a .npz file with both, or leave all labels out."
        )
    assert a.labels is not None
    assert b.labels is not None
    if (a.labels.dtype.kind in "OUS") != (b.labels.dtype.kind in "OUS"):
        raise InputError(
            f"The labels of '{a.name}' are {a.labels.dtype} and of '{b.name}' {b.labels.dtype}: "
            "one side names its classes, the other numbers them. Use the same."
        )
