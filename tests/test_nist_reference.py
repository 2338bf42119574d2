"""The typed-in NIST problems are right: at the certified values the certified numbers come out."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference.nist_strd import SETS, NistSet

# Its certified sum, 1.4e-25, is smaller than what eleven printed digits of the parameters leave.
NEARLY_EXACT = "Lanczos1"
problems = pytest.mark.parametrize(
    "problem", [SETS[name] for name in SETS if name != NEARLY_EXACT], ids=lambda each: each.name
)


def certified_jacobian(problem: NistSet) -> np.ndarray:
    """Return d formula / d parameter at the certified values, exact by complex step."""
    columns = []
    for name, value in problem.certified.items():
        step = 1e-30 * abs(value)
        moved = problem.evaluate(problem.certified | {name: complex(value, step)})
        columns.append(np.broadcast_to(np.imag(moved) / step, problem.y.shape))
    return np.column_stack(columns)


def test_all_27_nonlinear_problems_are_there() -> None:
    assert len(SETS) == 27


@problems
def test_the_certified_values_give_the_certified_sum_of_squares(problem: NistSet) -> None:
    found = problem.sum_of_squares(problem.certified)
    assert found == pytest.approx(problem.residual_sum_of_squares, rel=2e-10)


def test_the_nearly_exact_problem_is_reproduced_as_far_as_its_printed_digits_go() -> None:
    problem = SETS[NEARLY_EXACT]
    assert problem.sum_of_squares(problem.certified) < 1e-20


@pytest.mark.parametrize("problem", SETS.values(), ids=SETS)
def test_the_residual_standard_deviation_belongs_to_the_sum(problem: NistSet) -> None:
    freedom = len(problem.y) - len(problem.certified)
    found = np.sqrt(problem.residual_sum_of_squares / freedom)
    assert found == pytest.approx(problem.residual_standard_deviation, rel=1e-9)


@pytest.mark.parametrize("problem", SETS.values(), ids=SETS)
def test_the_certified_standard_deviations_follow_from_the_jacobian(problem: NistSet) -> None:
    _, triangle = np.linalg.qr(certified_jacobian(problem))
    inverse = np.linalg.inv(triangle)
    found = problem.residual_standard_deviation * np.sqrt((inverse**2).sum(axis=1))
    certified = np.array(list(problem.standard_deviations.values()))
    np.testing.assert_allclose(found, certified, rtol=1e-5)


@pytest.mark.parametrize("problem", SETS.values(), ids=SETS)
def test_both_starts_name_every_parameter_and_differ(problem: NistSet) -> None:
    first, second = problem.starts
    assert list(first) == list(second) == list(problem.certified)
    assert first != second
