"""Solvers of optimal transport: exact, entropic, refined, on the line; POT is the oracle."""

from __future__ import annotations

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.errors import FitError, InputError
from scalekit.selectors.transport.arcs import refine
from scalekit.selectors.transport.cost import (
    class_distances,
    feature_cost,
    feature_cost_torch,
    label_cost,
    label_histogram_distance,
)
from scalekit.selectors.transport.entropic import (
    self_term,
    sinkhorn_divergence,
    solve_entropic,
)
from scalekit.selectors.transport.exact import solve_exact
from scalekit.selectors.transport.measure import distance
from scalekit.selectors.transport.one_dimension import (
    matching,
    potentials,
    squared_w2_sorted,
)
from scalekit.selectors.transport.samples import as_sample


def clouds(n: int, m: int, d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.5


def weights(n: int, zeros: int, seed: int) -> np.ndarray:
    w = np.random.default_rng(seed).random(n)
    w[:zeros] = 0
    return w / w.sum()


# --- costs


def test_costs_agree_with_pot_also_far_from_the_origin() -> None:
    x, y = clouds(40, 30)
    np.testing.assert_allclose(feature_cost(x + 1e6, y + 1e6), ot.dist(x, y), rtol=1e-6)
    np.testing.assert_allclose(
        feature_cost_torch(x + 1e6, y + 1e6).numpy(), ot.dist(x, y), atol=1e-3
    )


def test_class_distances_are_exact_transport_between_classes() -> None:
    x, y = clouds(30, 24)
    a, b = as_sample((x, np.arange(30) % 3), "a"), as_sample((y, np.arange(24) % 2), "b")
    rows, columns, table = class_distances(a, b)
    assert rows.tolist() == [0, 1, 2]
    assert columns.tolist() == [0, 1]
    expected = ot.emd2([], [], ot.dist(x[np.arange(30) % 3 == 2], y[np.arange(24) % 2 == 1]))
    assert table[2, 1] == pytest.approx(expected)
    np.testing.assert_allclose(
        label_cost(a, b, 2.0, 0.5)[2, 1], 2 * ot.dist(x, y)[2, 1] + 0.5 * table[2, 1]
    )


def test_label_shares_alone_give_total_variation() -> None:
    x, y = clouds(10, 10)
    a = as_sample((x, list("aaaaabbbbb")), "a")
    b = as_sample((y, list("aacccccccc")), "b")
    assert label_histogram_distance(a, b) == pytest.approx(0.8)
    assert label_histogram_distance(a, a) == 0


def test_labels_on_one_side_only_are_refused() -> None:
    x, y = clouds(10, 10)
    with pytest.raises(InputError, match="labels on both sides; 'b' has none"):
        class_distances(as_sample((x, np.zeros(10)), "a"), as_sample(y, "b"))
    with pytest.raises(InputError, match="one side names its classes, the other numbers them"):
        label_histogram_distance(
            as_sample((x, np.zeros(10)), "a"), as_sample((y, list("aaaaabbbbb")), "b")
        )


# --- exact


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 1), st.integers(0, 10**6))
def test_exact_agrees_with_pot_and_its_potentials_are_feasible(
    n: int, m: int, zeros: int, seed: int
) -> None:
    x, y = clouds(n, m, seed=seed)
    cost, a, b = feature_cost(x, y), weights(n, zeros, seed), weights(m, zeros, seed + 1)
    found = solve_exact(cost, a, b)
    assert found.value == pytest.approx(ot.emd2(a, b, cost), rel=1e-9)
    assert found.lower == pytest.approx(found.value, rel=1e-9)
    assert (found.f[:, None] + found.g[None] <= cost + 1e-9).all()


@pytest.mark.parametrize("unit", [1e-14, 1e-8, 1e16])
def test_exact_transport_is_exact_in_any_unit_of_the_cost(unit: float) -> None:
    """POT stops at an absolute tolerance; at 1e-14 it is 119 % off here by itself."""
    rng = np.random.default_rng(0)
    cost = feature_cost(rng.normal(size=(200, 4)), rng.normal(size=(180, 4)))
    plain, found = solve_exact(cost), solve_exact(cost * unit)
    assert found.value == pytest.approx(plain.value * unit, rel=1e-9, abs=0)
    assert found.lower == pytest.approx(plain.value * unit, rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("cost", "a", "message"),
    [
        (np.array([[0.0, np.nan], [1.0, 0.0]]), None, "not finite"),
        (np.eye(2), np.zeros(2), "first side has zero mass"),
        (np.eye(2), np.array([1.0, -1.0]), "negative or not finite"),
        (np.eye(2), np.ones(3), r"needs 2 and 2 weights; got \(3,\)"),
    ],
)
def test_problems_without_an_answer_are_refused(
    cost: np.ndarray, a: np.ndarray | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        solve_exact(cost, a)
    with pytest.raises(InputError, match=message):
        solve_entropic(cost, a)


# --- entropic


@pytest.mark.parametrize("epsilon", [0.05, 0.01])
def test_the_entropic_cost_agrees_with_pot(epsilon: float) -> None:
    x, y = clouds(60, 50)
    cost, a, b = feature_cost(x, y), weights(60, 0, 1), weights(50, 0, 2)
    reg = epsilon * cost.mean()
    _, log = ot.bregman.sinkhorn_log(a, b, cost, reg, numItermax=20_000, stopThr=1e-10, log=True)
    f, g = (reg * log[key] for key in ("log_u", "log_v"))
    expected = a @ (f - reg * np.log(a)) + b @ (g - reg * np.log(b))
    found = solve_entropic(cost, a, b, epsilon, tolerance=1e-5, last_steps=5000)
    assert found.converged
    assert found.regularised == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize("apart", [1e3, 1e4])
def test_clusters_far_apart_keep_the_digits_of_what_is_near(apart: float) -> None:
    """In float32 alone, |x|^2 - 2 x y + |y|^2 loses all digits of the distances within them."""
    x, y = clouds(100, 100)
    x[:50] += apart
    y[:50] += apart
    exact = solve_exact(feature_cost(x, y)).value
    found = distance(x, y, method="entropic")
    assert found.value == pytest.approx(exact, rel=1e-4)
    assert found.lower <= exact * (1 + 1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_refined_transport_is_optimal_in_any_unit_of_the_features(unit: float) -> None:
    x, y = clouds(100, 90)
    exact = solve_exact(feature_cost(x, y)).value
    found = distance(x * unit, y * unit, method="entropic")
    assert found.value == pytest.approx(exact * unit**2, rel=1e-5, abs=0)
    assert found.lower == pytest.approx(exact * unit**2, rel=1e-5, abs=0)


@settings(max_examples=15, deadline=None)
@given(st.integers(5, 60), st.integers(5, 60), st.integers(0, 3), st.integers(0, 10**6))
def test_entropic_bounds_hold_and_the_refined_plan_is_optimal(
    n: int, m: int, zeros: int, seed: int
) -> None:
    x, y = clouds(n, m, seed=seed)
    cost, a, b = feature_cost(x, y), weights(n, zeros, seed), weights(m, zeros, seed + 1)
    exact = ot.emd2(a, b, cost)
    start = solve_entropic(cost, a, b, epsilon=0.01)
    assert start.lower <= exact * (1 + 1e-5) + 1e-6
    import torch

    found = refine(torch.as_tensor(cost, dtype=torch.float32), start.g, a, b)
    assert found.upper == pytest.approx(exact, rel=2e-4)
    assert found.lower <= exact * (1 + 1e-5) + 1e-6
    assert found.lower == pytest.approx(exact, rel=5e-3)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_small_epsilon_neither_underflows_nor_depends_on_the_scale(scale: float) -> None:
    """POT's kernel form underflows here: at 0.001 it is 27 % low, with only a warning."""
    x, y = clouds(200, 200, d=16)
    cost = feature_cost(x * scale, y * scale)
    found = solve_entropic(cost, epsilon=0.001)
    assert found.lower == pytest.approx(ot.emd2([], [], cost), rel=2e-3)
    assert np.isfinite(found.f).all()
    assert np.isfinite(found.g).all()


def test_points_far_from_all_others_do_not_underflow() -> None:
    x, y = clouds(50, 50)
    y[0] += 1000.0
    cost = feature_cost(x, y)
    assert solve_entropic(cost, epsilon=0.001).lower == pytest.approx(
        ot.emd2([], [], cost), rel=2e-3
    )


def test_an_epsilon_too_small_for_float32_is_refused() -> None:
    with pytest.raises(InputError, match="relative to the mean cost and must be above 1e-6"):
        solve_entropic(np.eye(3), epsilon=0.0)


def test_a_divergence_that_has_not_converged_is_refused() -> None:
    x, y = clouds(60, 50)
    with pytest.raises(FitError, match=r"At epsilon 2e-06 the marginal is still .*% off after"):
        sinkhorn_divergence(
            feature_cost(x, y), feature_cost(x, x), feature_cost(y, y), epsilon=2e-6
        )


def test_the_divergence_of_a_sample_from_itself_is_zero() -> None:
    x, y = clouds(80, 70)
    xx, yy, xy = feature_cost(x, x), feature_cost(y, y), feature_cost(x, y)
    assert sinkhorn_divergence(xx, xx, xx, epsilon=0.02) == pytest.approx(0, abs=1e-3)
    whole = sinkhorn_divergence(xy, xx, yy, epsilon=0.02)
    kept = self_term(yy, None, 0.02 * float(xy.astype(np.float32).mean()))
    assert sinkhorn_divergence(xy, xx, kept, epsilon=0.02) == pytest.approx(whole, rel=1e-5)
    assert 0 < whole < ot.emd2([], [], xy)


# --- the line


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 10**6))
def test_transport_on_the_line_is_exact_for_any_sizes_and_weights(
    n: int, m: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.normal(size=n)), np.sort(rng.normal(size=m))
    cost = (x[:, None] - y[None]) ** 2
    uniform = squared_w2_sorted(x[None], y[None], matching(n, m))[0]
    assert uniform == pytest.approx(ot.emd2([], [], cost), abs=1e-9)
    a, b = weights(n, n // 3, seed), weights(m, 0, seed + 1)
    f, g = potentials(x, y, a, b)
    assert (f[:, None] + g[None] <= cost + 1e-9).all()
    assert f @ a + g @ b == pytest.approx(ot.emd2(a, b, cost), abs=1e-9)
