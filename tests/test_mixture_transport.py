"""Transport from every mixture: convex, bounded from both sides, right at the edge."""

from __future__ import annotations

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.errors import InputError
from scalekit.selectors.simplex import simplex_grid
from scalekit.selectors.transport import budget, mixture, mixture_transport
from scalekit.selectors.transport.batched import EntropicMixtures
from scalekit.selectors.transport.cost import feature_cost
from scalekit.selectors.transport.mixture import MixtureTransport
from scalekit.selectors.transport.sliced import random_directions

NAMES = ["web", "code", "books"]


def world(seed: int, n: int = 25, m: int = 20) -> tuple[dict, tuple]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, 4)) * 2
    sources = {
        name: (centre + rng.normal(size=(n + 3 * i, 4)), rng.integers(0, 3, n + 3 * i))
        for i, (name, centre) in enumerate(zip(NAMES, centres, strict=True))
    }
    return sources, (rng.normal(size=(m, 4)), rng.integers(0, 3, m))


def problem(seed: int, cost: str = "features") -> MixtureTransport:
    sources, target = world(seed)
    return mixture_transport(sources, target, cost)  # type: ignore[arg-type]


def test_the_pooled_problem_is_plain_transport_with_weights() -> None:
    sources, target = world(0)
    p = np.array([0.5, 0.3, 0.2])
    a = np.concatenate(
        [np.full(len(x), s / len(x)) for s, (x, _) in zip(p, sources.values(), strict=True)]
    )
    cost = feature_cost(np.concatenate([x for x, _ in sources.values()]), target[0])
    assert problem(0).solve(p).value == pytest.approx(ot.emd2(a, [], cost))


def test_the_sliced_problem_is_the_mean_over_its_directions() -> None:
    sources, target = world(1)
    theta = random_directions(100, 4, np.random.default_rng(0))
    alone = mixture_transport(sources, target, "sliced", rng=0).solve([1.0, 0.0, 0.0]).value
    expected = ot.sliced_wasserstein_distance(sources["web"][0], target[0], projections=theta.T)
    assert alone == pytest.approx(expected**2)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["features", "labels", "sliced"]))
def test_certified_bounds_hold_for_every_mixture(seed: int, cost: str) -> None:
    transport, grid = problem(seed, cost), simplex_grid(3, 5)
    survey = transport.survey(grid, anchors=6)
    truth = np.array([transport._cut(p).value for p in grid])
    assert (survey.lower <= truth * (1 + 1e-9)).all()
    assert (survey.upper >= truth * (1 - 1e-9)).all()
    assert len(survey.anchors) <= 6


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
def test_the_nearest_mixture_is_found_with_a_true_certificate(seed: int) -> None:
    transport = problem(seed)
    found = transport.closest(tolerance=1e-4)
    truth = min(transport._cut(p).value for p in simplex_grid(3, 10))
    assert found.gap <= 1e-4
    assert found.lower <= truth * (1 + 1e-9)
    assert found.value <= truth * (1 + 1e-4)
    assert found.solves <= 25


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1e8])
def test_the_unit_of_the_features_changes_neither_the_mixture_nor_its_certificate(
    unit: float,
) -> None:
    sources, (x, y) = world(8)
    scaled = mixture_transport({k: (v * unit, c) for k, (v, c) in sources.items()}, (x * unit, y))
    plain, found = problem(8).closest(), scaled.closest()
    assert found.gap <= 1e-4
    assert found.lower <= plain.value * unit**2 * (1 + 1e-9)
    assert found.value == pytest.approx(plain.value * unit**2, rel=1e-4)
    fresh = problem(8)
    fresh.solve_vertices()
    scaled.solve_vertices()
    scaled.cuts = [cut for cut in scaled.cuts if cut.mixture.max() == 1 or np.ptp(cut.mixture) == 0]
    np.testing.assert_allclose(
        scaled.upper(simplex_grid(3, 4)), fresh.upper(simplex_grid(3, 4)) * unit**2, rtol=1e-6
    )


def test_a_source_that_is_the_target_is_nearest_at_distance_zero() -> None:
    sources, target = world(9)
    found = mixture_transport(sources | {"same": target}, target).closest()
    assert found.mixture["same"] == pytest.approx(1, abs=1e-6)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.gap == pytest.approx(0, abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 2))
def test_derivatives_are_right_where_a_source_has_no_mass(seed: int, absent: int) -> None:
    """POT's own gradients are NaN or wrong by hundreds of per cent there."""
    transport, rng = problem(seed), np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3))
    p[absent] = 0
    p /= p.sum()
    towards, step = np.eye(3)[absent], 1e-6
    moved = transport._cut(p + step * (towards - p)).value
    expected = (moved - transport.solve(p).value) / step
    assert transport.directional_derivative(p, towards) == pytest.approx(
        expected, rel=1e-5, abs=1e-5
    )


def test_gradients_are_subgradients_everywhere() -> None:
    transport, grid = problem(3), simplex_grid(3, 4)
    values = np.array([transport.solve(p).value for p in grid])
    for p, value in zip(grid, values, strict=True):
        slope = transport.gradient(p)
        assert (value + (grid - p) @ slope <= values + 1e-9).all()


def test_resampled_cuts_spread_like_resampled_solves() -> None:
    sources, target = world(4, n=60, m=60)
    transport = mixture_transport(sources, target)
    p = np.array([0.4, 0.3, 0.3])
    transport.solve(p)
    slopes, offsets = transport.resampled_cuts(300, 0)
    linear = (slopes @ p + offsets)[1:, 0]
    assert slopes[0] @ p + offsets[0] == pytest.approx(transport.solve(p).value)
    rng = np.random.default_rng(1)
    solved = []
    for _ in range(60):
        drawn = {k: x[rng.integers(0, len(x), len(x))] for k, (x, _) in sources.items()}
        other = target[0][rng.integers(0, 60, 60)]
        solved.append(mixture_transport(drawn, other).solve(p).value)
    assert np.std(linear) == pytest.approx(np.std(solved), rel=0.4)


def test_entropic_mixtures_in_a_batch_are_those_solved_alone() -> None:
    transport = problem(5)
    batch = EntropicMixtures(transport.samples, transport.target, epsilon=0.05, tolerance=1e-5)
    grid = simplex_grid(3, 3)
    values = batch.values(grid)
    for p, value in zip(grid, values, strict=True):
        a, b, cost = transport.weights(p), transport.target.mass, batch._cost.double().numpy()
        keep, reg = a > 0, batch.epsilon
        _, log = ot.bregman.sinkhorn_log(
            a[keep], b, cost[keep], reg, numItermax=5000, stopThr=1e-10, log=True
        )
        f = reg * (log["log_u"] - np.log(a[keep]))
        g = reg * (log["log_v"] - np.log(b))
        assert value == pytest.approx(a[keep] @ f + b @ g, rel=1e-3)
    exact = np.array([transport.solve(p).value for p in grid])
    assert np.corrcoef(batch.divergences(grid), exact)[0, 1] > 0.98


def test_entropic_mixtures_that_do_not_converge_are_counted() -> None:
    transport = problem(5)
    with pytest.raises(InputError, match="must be above 1e-6; got 0"):
        EntropicMixtures(transport.samples, transport.target, epsilon=0)
    fine = EntropicMixtures(transport.samples, transport.target, epsilon=0.05)
    fine.values(np.eye(3))
    assert fine.unfinished == 0
    coarse = EntropicMixtures(transport.samples, transport.target, epsilon=1e-5)
    coarse.values(np.eye(3))
    assert coarse.unfinished == coarse.alone == 3


def test_a_mixture_outside_the_range_of_the_shared_kernel_is_solved_alone() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 40
    transport = mixture_transport({"near": near, "far": far}, rng.normal(size=(30, 2)))
    batch = EntropicMixtures(transport.samples, transport.target, epsilon=0.002)
    values = batch.values(np.eye(2))
    assert np.isfinite(values).all()
    exact = [transport.solve(p).value for p in np.eye(2)]
    np.testing.assert_allclose(values, exact, rtol=0.02, atol=10 * batch.epsilon)


def test_identical_sources_and_absent_classes_are_told() -> None:
    sources, target = world(6)
    twins = sources | {"copy": sources["web"]}
    codes = [note.code for note in mixture_transport(twins, target).notes]
    assert codes == ["identical-sources"]
    lacking = {k: (x[y < 2], y[y < 2]) for k, (x, y) in sources.items()}
    (note,) = mixture_transport(lacking, target, "labels").notes
    assert note.code == "empty-class"
    assert "class 2 of the target" in note.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, t: ({"web": s["web"]}, t), "at least two sources; got 1"),
        (
            lambda s, t: (s | {"math": np.ones((5, 2))}, t),
            "'math' has 2 features and 'target' has 4",
        ),
        (lambda s, t: (s, t[0]), "labels on both sides; 'target' has none"),
        (lambda s, t: (list(s.values()), t), "mapping from names to samples.*got list"),
    ],
)
def test_problems_that_do_not_fit_are_refused(change: object, message: str) -> None:
    sources, target = change(*world(7))  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        mixture_transport(sources, target, "labels")


def test_a_cost_matrix_larger_than_memory_is_refused_before_it_is_made() -> None:
    big = np.zeros((3_000_000, 1)) + np.arange(3_000_000)[:, None]
    with pytest.raises(InputError, match=r"needs .*GB; .* are free. Use the sliced distance, or"):
        mixture_transport({"a": big, "b": big + 1}, big)


def test_many_solves_are_announced_before_they_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    transport = problem(8)
    transport.closest()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(mixture, "TELL_ABOVE_SECONDS", 0.0)
    transport.survey(anchors=7)
    assert capsys.readouterr().err == (
        "exact transport of 84 pooled points to 20 (features): at most 7 solves of about 4e-05 s "
        "of one CPU core each\n"
    )


def test_a_sliced_problem_larger_than_memory_is_refused_before_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budget, "available_memory", lambda: 4e8)
    few, many = np.zeros((10, 1)), np.zeros((100_000, 1))
    mixture_transport({"a": few, "b": few + 1}, few, "sliced")
    with pytest.raises(InputError, match=r"sliced transport of 200,000 .* needs .*random subsamp"):
        mixture_transport({"a": many, "b": many + 1}, many, "sliced")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda t: t.closest(max_solves=0), r"max_solves \(--solves\) must be at least 1; got 0"),
        (lambda t: t.closest(tolerance=-1), "tolerance is a relative gap, 0 or more; got -1"),
        (lambda t: t.survey(parts=0), "number of steps along an edge, at least 1; got 0"),
        (lambda t: t.solve([0.5, 0.5, 0.1]), "sums to 1.1, not to 1"),
    ],
)
def test_questions_without_an_answer_are_refused(ask: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ask(problem(8))  # type: ignore[operator]


def test_a_map_after_a_search_is_as_sharp_as_before_it() -> None:
    searched, fresh = problem(8), problem(8)
    searched.closest(tolerance=1e-6)
    assert searched.survey(anchors=8).relative_gap <= fresh.survey(anchors=8).relative_gap + 1e-9


def test_a_search_that_ends_early_says_how_far_it_came() -> None:
    found = problem(8).closest(tolerance=1e-12, max_solves=2)
    (note,) = found.notes
    assert note.message.startswith(f"The search ended at a certified gap of {100 * found.gap:.2g}")
    assert "after 2 solves" in note.message


def test_bounds_before_any_solve_are_refused() -> None:
    with pytest.raises(InputError, match="No mixture is solved yet"):
        problem(8).lower([1.0, 0.0, 0.0])
