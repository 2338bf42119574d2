"""The benchmarks' own arithmetic gives the published numbers, without scalekit."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.reference import published_checks as checks

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmark(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> ModuleType:
    """Return a script of benchmarks/, imported with that folder on the path as it runs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("SCALEKIT_SHARED", str(shared.parent))
    return importlib.import_module(request.param)


def script(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("benchmark", [name], indirect=True)


@script("bootstrap_4000")
def test_the_published_resamples_are_recreated(benchmark: ModuleType) -> None:
    points = benchmark.read_points()
    published = benchmark.read_published()
    weights = benchmark.make_weights(len(points.log_loss))
    found = benchmark.objectives(published[list(benchmark.NAMES)].to_numpy(), points, weights)
    np.testing.assert_allclose(found, published["huber_objective"], rtol=1e-12)


@script("chinchilla_points")
def test_the_grid_has_the_published_number_of_starts(benchmark: ModuleType) -> None:
    assert np.prod([len(axis) for axis in benchmark.GRID]) == 4500


@script("chinchilla_points")
def test_the_two_objectives_of_the_benchmarks_agree(benchmark: ModuleType) -> None:
    points = benchmark.read_points()
    theta = np.array([6.2, 7.6, 0.6, 0.35, 0.37])
    weights = np.arange(len(points.log_loss), dtype=float)
    batched = importlib.import_module("bootstrap_4000").objectives(
        benchmark.natural(theta)[None], points, weights[None]
    )
    assert batched[0] == pytest.approx(benchmark.objective(theta, points, weights), rel=1e-12)


@script("muennighoff")
def test_the_published_repeated_data_fit_is_only_a_local_minimum(benchmark: ModuleType) -> None:
    runs = benchmark.read_runs()
    for rd, rn, value in checks.MUENNIGHOFF_MINIMA:
        assert benchmark.objective(np.array([rd, rn]), runs) == pytest.approx(value, abs=3e-9)
        at, reached = benchmark.polish(np.array([rd, rn]), runs)
        assert reached == pytest.approx(value, abs=6e-9)
        assert np.log(at / [rd, rn]) == pytest.approx(0, abs=0.01)


@script("muennighoff")
def test_the_published_repeated_data_fit_explains_what_the_paper_says(
    benchmark: ModuleType,
) -> None:
    runs = benchmark.read_runs()
    scales = (runs.params, runs.tokens, runs.unique)
    for name, at in (("published", benchmark.PUBLISHED), ("no_decay", benchmark.NO_DECAY)):
        found = benchmark.explained(benchmark.predict(*scales, *at), runs)
        assert found == pytest.approx(checks.MUENNIGHOFF_R2[name], abs=6e-8)


@script("gadre")
def test_the_over_training_fits_and_predictions_are_reproduced(benchmark: ModuleType) -> None:
    models = benchmark.read_models()
    for dataset, expected in checks.GADRE_LOSS.items():
        mine = models[models["dataset"] == dataset]
        five, _ = benchmark.choose_runs(mine)
        found = benchmark.fit_loss(five)
        np.testing.assert_allclose(found, expected, rtol=4e-6)
        for (trained_on, params, ratio), percent in checks.GADRE_MISS.items():
            if trained_on == dataset:
                row = mine[(mine["params"] == params) & (mine["ratio"] == ratio)].iloc[0]
                predicted = benchmark.loss_law(np.array([float(params), ratio]), *found)
                off = benchmark.percent_off(predicted, row["loss"])
                assert off == pytest.approx(percent, abs=6e-4)
