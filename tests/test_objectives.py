"""What a fit makes small: values, slopes and curvatures of each objective."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import InputError
from scalekit.fitters.objectives import OBJECTIVES, Objective

CHOICES = [
    Objective("huber_log", 0.02),
    Objective("log_squares"),
    Objective("squares"),
    Objective("absolute_log"),
    Objective("huber_log", 0.02, overestimate_weight=10),
    Objective("squares", overestimate_weight=0.3),
]
choices = pytest.mark.parametrize("objective", CHOICES, ids=lambda each: each.describe())


def test_huber_is_squares_inside_delta_and_absolute_outside() -> None:
    """Huber 1964 as Hoffmann et al. 2022 use it: r^2 / 2, then delta (|r| - delta / 2)."""
    residual = np.array([0.0, 5e-4, -1e-3, 0.01])
    expected = [0.0, 1.25e-7, 5e-7, 1e-3 * (0.01 - 5e-4)]
    np.testing.assert_allclose(Objective("huber_log", 1e-3).rho(residual), expected)


def test_a_huge_delta_is_squares() -> None:
    residual = np.linspace(-1, 1, 9)
    found = Objective("huber_log", 10.0).rho(residual)
    np.testing.assert_allclose(found, Objective("log_squares").rho(residual))
    np.testing.assert_allclose(found, residual**2 / 2)


def test_absolute_is_the_size_of_the_residual() -> None:
    residual = np.array([-0.5, -0.01, 0.2])
    np.testing.assert_allclose(Objective("absolute_log").rho(residual), np.abs(residual), atol=1e-6)


@choices
@given(st.floats(-0.5, 0.5))
def test_the_first_derivative_is_the_limit_of_differences(objective: Objective, at: float) -> None:
    h = 1e-7
    around = np.array([at - h, at + h])
    low, high = objective.rho(around)
    bounds = objective.slopes(around)[0]
    slope = (high - low) / (2 * h)
    assert min(bounds) - 1e-6 <= slope <= max(bounds) + 1e-6


@choices
@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_the_curvature_majorises_the_objective(
    objective: Objective, here: float, there: float
) -> None:
    """rho(r) lies below the parabola that touches it at `here` (on the side of `here`)."""
    if here * there <= 0:
        return
    at = np.array([here])
    psi, _, curvature = objective.slopes(at)
    parabola = objective.rho(at) + psi * (there - here) + curvature * (there - here) ** 2 / 2
    assert objective.rho(np.array([there]))[0] <= parabola[0] + 1e-12


def test_an_overestimate_costs_more_where_asked() -> None:
    """An overestimate is a prediction above the observation: a negative residual."""
    plain, tilted = Objective("log_squares"), Objective("log_squares", overestimate_weight=10)
    assert tilted.rho(np.array([-0.1]))[0] == pytest.approx(10 * plain.rho(np.array([-0.1]))[0])
    assert tilted.rho(np.array([0.1]))[0] == plain.rho(np.array([0.1]))[0]


def test_only_squares_are_on_the_raw_scale() -> None:
    assert [name for name in OBJECTIVES if not Objective(name).on_log] == ["squares"]


def test_delta_is_needed_by_huber_alone() -> None:
    assert [name for name in OBJECTIVES if Objective(name).needs_delta] == ["huber_log"]
    assert Objective().with_delta(0.01) == Objective("huber_log", 0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "hubber_log"}, "no objective 'hubber_log'. Did you mean 'huber_log'"),
        ({"delta": 0.0}, "delta must be a positive number or None; got 0"),
        ({"delta": float("nan")}, "delta must be a positive number"),
        ({"overestimate_weight": -1.0}, "overestimate_weight must be a positive number; got -1"),
    ],
)
def test_an_objective_that_is_none_is_told(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Objective(**arguments)  # type: ignore[arg-type]


@choices
def test_an_objective_describes_itself(objective: Objective) -> None:
    words = objective.describe()
    assert ("delta 0.02" in words) == (objective.name == "huber_log")
    assert ("overestimates" in words) == (objective.overestimate_weight != 1)
