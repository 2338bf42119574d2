"""Where two curves cross: closed form, bracketing, and crossings followed through draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.fitters.crossings import crossings, followed_crossings, power_law_crossings

laws = st.tuples(st.floats(0.1, 3.0), st.floats(0.2, 20.0), st.floats(0.05, 1.0))


def value(law: tuple[float, float, float], x: np.ndarray) -> np.ndarray:
    constant, amplitude, exponent = law
    return constant + amplitude * x**-exponent


def test_pure_power_laws_cross_where_the_algebra_says() -> None:
    """x* = (A1 / A2)^(1 / (a1 - a2)): Xiao 2024, arXiv:2409.15156, section on crossover."""
    assert power_law_crossings((0, 8, 0.5), (0, 2, 0.25)) == pytest.approx([256.0])


def test_equal_exponents_cross_once_where_constants_make_up_for_amplitudes() -> None:
    expected = ((3.0 - 1.0) / (2.0 - 1.5)) ** (1 / 0.5)
    assert power_law_crossings((1.5, 3, 0.5), (2.0, 1, 0.5)) == pytest.approx([expected])


def test_crossings_far_from_the_extremum_are_found() -> None:
    first, second = (1.0, 2.0, 0.5234375), (2.0, 0.5, 0.5242889814885205)
    (root,) = power_law_crossings(first, second)
    assert value(first, np.array([root])) == pytest.approx(value(second, np.array([root])))


def test_crossings_that_no_float_can_hold_are_left_out() -> None:
    assert power_law_crossings((1.0, 1.0, 0.05), (1.0, 2.0, 0.05078125)) == []
    assert power_law_crossings((2.0, 1.0, 0.001), (1.0, 3e9, 0.001)) == []


@given(laws, laws)
@settings(max_examples=150, deadline=None)
def test_two_power_laws_cross_at_most_twice_and_agree_there(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    roots = [x for x in power_law_crossings(first, second) if 1e-8 < x < 1e12]
    assert len(roots) <= 2
    for root in roots:
        at = np.array([root])
        assert value(first, at) == pytest.approx(value(second, at), rel=1e-7)


@given(laws, laws)
@settings(max_examples=100, deadline=None)
def test_bracketing_finds_the_crossings_of_the_closed_form(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    low, high = 1e-3, 1e9
    exact = [x for x in power_law_crossings(first, second) if 1.01 * low < x < high / 1.01]
    if len(exact) == 2 and exact[1] < 1.05 * exact[0]:
        return  # nearly a touch: rounding decides
    found = crossings(lambda x: value(first, x) - value(second, x), low, high)
    inner = [x for x in found if 1.01 * low < x < high / 1.01]
    assert inner == pytest.approx(exact, rel=1e-5)


def test_two_roots_between_neighbouring_grid_points_are_found() -> None:
    roots = crossings(lambda x: (np.log(x) - 1.0) ** 2 - 1e-8, 1.0, 1e6, points=64)
    assert np.log(roots) == pytest.approx([1 - 1e-4, 1 + 1e-4], abs=1e-9)


def test_a_touch_without_crossing_is_no_root() -> None:
    assert len(crossings(lambda x: (np.log(x) - 1.0) ** 2 + 1e-9, 1.0, 1e6)) == 0


def test_a_draw_without_the_crossing_counts_on_the_side_where_it_would_lie() -> None:
    grid = np.geomspace(1, 1e4, 401)
    u = np.log10(grid)
    draws = np.stack([2 - u, -np.ones_like(u), np.ones_like(u), (u - 1) * (3 - u)])
    points = followed_crossings(draws, grid, 100.0)
    assert points[0] == pytest.approx(100.0)
    assert points[1] == 0.0
    assert points[2] == np.inf
    assert points[3] == pytest.approx(1000.0)
