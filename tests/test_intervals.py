"""The draws behind every interval: repeatable, of the right kind, and of the right width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalekit.errors import InputError
from scalekit.fitters import Fit, Law, Objective, Parameter, fit, intervals
from scalekit.fitters.intervals import (
    choose_method,
    covariance,
    percentile_interval,
    resample_counts,
    small_sample_factor,
    student_factor,
)
from scalekit.fitters.laws import CATALOGUE
from scalekit.fitters.local_objective import local_model
from scalekit.fitters.model import to_internal
from scalekit.fitters.problem import Problem
from tests.reference.law_examples import EXAMPLES, PARAMS_TOKENS
from tests.reference.nist_strd import SETS

LAW = CATALOGUE["chinchilla"]
METHODS = ("pairs", "cluster", "wild", "delta")


def runs(noise: float = 0.005, seeds: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    scales = {name: np.repeat(scale, seeds) for name, scale in PARAMS_TOKENS.items()}
    loss = LAW.predict(EXAMPLES["chinchilla"], **scales)
    return scales | {"loss": loss * np.exp(noise * rng.standard_normal(len(loss)))}


def draws(method: str, rng: int = 0, resamples: int = 60) -> Fit:
    return fit(runs(), "chinchilla", interval=method, resamples=resamples, starts=4, rng=rng)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(method: str) -> None:
    first, again, other = draws(method), draws(method), draws(method, rng=1)
    assert first.draws.shape == (60, 5)
    assert first.draws.tobytes() == again.draws.tobytes()
    assert not np.array_equal(first.draws, other.draws)
    assert "60" in first.interval_method


@pytest.mark.parametrize("method", METHODS)
def test_draws_stay_inside_the_bounds_and_lie_about_the_estimate(method: str) -> None:
    found = draws(method, resamples=200)
    assert (found.draws >= found.problem.lower).all()
    low, high = np.quantile(found.draws, [0.1, 0.9], axis=0)
    assert ((low < found.theta) & (found.theta < high)).all()


def test_all_methods_agree_on_a_well_behaved_fit() -> None:
    """Independent normal noise, 180 rows: the four standard errors of the exponents are one."""
    table = runs(seeds=5)
    spreads = []
    for method in METHODS:
        found = fit(table, "chinchilla", objective="log_squares", interval=method, resamples=400,
                    starts=4)  # fmt: skip
        spreads.append(found.draws[:, [2, 4]].std(axis=0))
    assert np.max(spreads, axis=0) == pytest.approx(np.min(spreads, axis=0), rel=0.45)


def test_no_draws_where_none_are_asked_for() -> None:
    for found in (draws("none"), draws("auto", resamples=0)):
        assert found.draws.shape == (0, 5)
        assert np.isnan(found.interval("E").lower)
        assert "none computed" in found.summary()


@pytest.mark.parametrize(
    ("rows", "clusters", "repeated", "resamples", "method"),
    [
        (240, 240, False, 1000, "pairs"),
        (240, 80, True, 1000, "cluster"),
        (9, 9, False, 1000, "wild"),
        (60, 12, True, 1000, "wild"),
        (10_000_000, 10_000_000, False, 1000, "delta"),
        (240, 240, False, 0, "none"),
    ],
)
def test_auto_fits_the_method_to_the_table(
    rows: int, clusters: int, repeated: bool, resamples: int, method: str
) -> None:
    assert choose_method("auto", rows, clusters, repeated, resamples) == method


def test_a_method_that_is_none_is_told() -> None:
    with pytest.raises(InputError, match=r"no interval method 'pair'. Did you mean 'pairs'"):
        choose_method("pair", 10, 10, False, 10)


def test_resamples_count_as_many_rows_as_there_are() -> None:
    counts = resample_counts(np.arange(30), 50, np.random.default_rng(0))
    assert counts.shape == (50, 30)
    assert (counts.sum(axis=1) == 30).all()
    assert counts.mean() == 1


def test_rows_of_a_cluster_come_and_go_together() -> None:
    labels = np.repeat([7, 3, 5, 9], [1, 2, 3, 4])
    counts = resample_counts(labels, 40, np.random.default_rng(0))
    for label in np.unique(labels):
        block = counts[:, labels == label]
        assert (block == block[:, :1]).all()
    assert (counts[:, [0, 1, 3, 6]].sum(axis=1) == 4).all()


@pytest.mark.parametrize(("clusters", "parameters"), [(6, 3), (40, 5), (5, 5)])
def test_few_clusters_widen(clusters: int, parameters: int) -> None:
    """The classical factors: sqrt(n / (n - p)) and Student's quantile over the normal one."""
    from scipy import stats

    free = max(clusters - parameters, 1)
    assert small_sample_factor(clusters, parameters) == pytest.approx(np.sqrt(clusters / free))
    expected = stats.t.ppf(0.975, free) / stats.norm.ppf(0.975)
    assert student_factor(clusters, parameters, 0.95) == pytest.approx(expected)


def test_percentiles_are_widened_about_the_estimate() -> None:
    values = np.random.default_rng(0).normal(3, 1, (4000, 1))
    low, high = percentile_interval(values, np.array([3.0]), 0.9)
    assert (low[0], high[0]) == pytest.approx((3 - 1.645, 3 + 1.645), abs=0.1)
    wide_low, wide_high = percentile_interval(values, np.array([3.0]), 0.9, 2.0)
    assert wide_high[0] - 3 == pytest.approx(2 * (high[0] - 3))
    assert 3 - wide_low[0] == pytest.approx(2 * (3 - low[0]))


def nist_at_the_answer(name: str) -> tuple[Problem, np.ndarray, np.ndarray]:
    """Return the problem, the certified parameters and their certified standard deviations."""
    problem = SETS[name]
    parameters = tuple(Parameter(each, lower=-np.inf) for each in problem.certified)
    law = Law(name, problem.formula, scales=tuple(problem.predictors), parameters=parameters)
    values = np.array([problem.certified[each] for each in law.names])
    deviations = np.array([problem.standard_deviations[each] for each in law.names])
    posed = Problem.of(law.model, problem.predictors, problem.target(), Objective("squares"))
    return posed, to_internal(values[None], law.parameters)[0], deviations


@pytest.mark.parametrize("name", ["Misra1a", "Chwirut2", "Gauss1", "Rat43"])
def test_the_hessian_gives_the_certified_standard_deviations(name: str) -> None:
    """Classical errors, sigma^2 (J'J)^-1; the Hessian differs from J'J by the residuals' bend."""
    problem, theta, certified = nist_at_the_answer(name)
    rows = np.ones(len(problem.target))
    value, _, hessian = local_model(problem, theta, rows)
    variance = 2 * value / (len(rows) - len(theta))
    found = np.sqrt(np.diag(variance * np.linalg.inv(hessian)))
    np.testing.assert_allclose(found, certified, rtol=0.12)


@pytest.mark.parametrize("name", ["Chwirut1", "Gauss1", "Gauss2"])
def test_the_sandwich_is_near_the_certified_deviations_on_many_rows(name: str) -> None:
    """214 and 250 rows; Chwirut's noise is not constant, and only the sandwich knows of that."""
    problem, theta, certified = nist_at_the_answer(name)
    count = len(problem.target)
    found = np.sqrt(np.diag(covariance(problem, np.ones(count), theta, np.arange(count))))
    assert (found / certified == pytest.approx(1, abs=0.25)) == (name != "Chwirut1")


def test_a_parameter_at_a_bound_does_not_vary_in_the_sandwich() -> None:
    problem, theta, _ = nist_at_the_answer("Misra1a")
    held = replace(problem, lower=np.array([theta[0], -np.inf]))
    matrix = covariance(held, np.ones(14), theta, np.arange(14))
    assert (matrix[0] == 0).all()
    assert matrix[1, 1] > 0


def test_portions_do_not_change_what_is_drawn_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many resamples are refitted in portions that bound the memory."""
    monkeypatch.setattr(intervals, "ELEMENTS", 36 * 20)
    found = draws("pairs")
    assert found.draws.shape == (60, 5)
    assert found.draws[:, 2].std() == pytest.approx(draws("wild").draws[:, 2].std(), rel=0.7)


def test_residuals_are_widened_by_their_leverage() -> None:
    """HC3: 1 / (1 - h), with h from the hat matrix of a straight line; at most a factor of five."""
    x = np.array([1.0, 2, 3, 4, 5, 20])
    law = Law("line", "a + b * x", parameters=(Parameter("a", -9), Parameter("b", -9, 9)))
    problem = Problem.of(law.model, {"x": x}, 1 + x, Objective("squares"))
    theta = to_internal(np.array([[1.0, 1.0]]), law.parameters)[0]
    design = np.stack([np.ones(6), x], axis=1)
    hat = np.diag(design @ np.linalg.inv(design.T @ design) @ design.T)
    found = intervals._leverage_factor(problem, np.ones(6), theta, np.arange(6))
    np.testing.assert_allclose(found, np.minimum(1 / (1 - hat), 5))
    together = intervals._leverage_factor(problem, np.ones(6), theta, np.array([0, 0, 1, 2, 3, 4]))
    np.testing.assert_allclose(together[:2], 1 / (1 - hat[0] - hat[1]))
    held = replace(problem, lower=np.array([1.0, -9]))
    slope_alone = intervals._leverage_factor(held, np.ones(6), theta, np.arange(6))
    np.testing.assert_allclose(slope_alone, np.minimum(1 / (1 - x**2 / (x**2).sum()), 5))
