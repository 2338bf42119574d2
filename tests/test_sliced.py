"""Sliced Wasserstein with control variates: unbiased enough, sharper, honest intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import ot
import pytest

from scalekit.errors import InputError
from scalekit.selectors.transport.sliced import (
    CONTROLS,
    estimate,
    random_directions,
    sample_moments,
    sliced_wasserstein,
    squared_w2_along,
)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(400, 5)), RNG.normal(size=(300, 5)) * 1.5 + 0.3


def test_slices_agree_with_pot_also_for_unequal_sizes() -> None:
    theta = random_directions(40, 5, np.random.default_rng(1))
    expected = ot.sliced_wasserstein_distance(X, Y, projections=theta.T, p=2) ** 2
    assert squared_w2_along(X, Y, theta).mean() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_estimates_the_same_quantity(control: str) -> None:
    truth = squared_w2_along(X, Y, random_directions(20_000, 5, np.random.default_rng(9))).mean()
    found = sliced_wasserstein(X, Y, 500, control, 0.999, rng=3)  # type: ignore[arg-type]
    assert truth in found.interval
    assert found.value == pytest.approx(truth, rel=0.05)


def test_a_pure_shift_leaves_no_noise_to_the_controls() -> None:
    """W2 along theta is (theta . shift)^2 exactly, which is one of the controls."""
    found = sliced_wasserstein(X, X + np.array([2.0, 0, 0, 0, 0]), 50, "joint")
    assert found.value == pytest.approx(4 / 5, rel=1e-4)
    assert found.standard_error < 1e-4


def test_the_standard_error_is_that_of_a_regression_on_the_controls() -> None:
    """Of the intercept, by statsmodels: the controls' coefficients are estimated too."""
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    theta = random_directions(12, 5, rng)
    slices, moments = squared_w2_along(X, Y, theta), sample_moments(X, Y)
    found = estimate(slices, theta, moments, "joint", 0.95, rng)
    controls = moments.forms(theta) - moments.means()
    fit = sm.OLS(slices, sm.add_constant(controls)).fit()
    assert found.value == pytest.approx(fit.params[0], rel=1e-6)
    assert found.standard_error == pytest.approx(fit.bse[0], rel=1e-6)
    assert (found.interval.lower, found.interval.upper) == pytest.approx(
        tuple(fit.conf_int()[0]), rel=1e-6
    )


def test_intervals_cover_at_their_level() -> None:
    theta = random_directions(20_000, 5, np.random.default_rng(9))
    truth, moments = squared_w2_along(X, Y, theta).mean(), sample_moments(X, Y)
    for control in ("none", "joint", "union"):
        hits = 0
        for seed in range(200):
            rng = np.random.default_rng(seed)
            some = random_directions(60, 5, rng)
            slices = squared_w2_along(X, Y, some)
            hits += truth in estimate(slices, some, moments, control, 0.9, rng).interval
        assert 0.83 <= hits / 200 <= 0.97, control


def test_published_controls_reduce_the_error_as_in_the_table(shared: Path) -> None:
    """shared/methods/mixtures.md section 1.2, shapes 32/33 at L = 100: 10.2, 10.1, 2.9 %."""
    clouds = np.load(shared / "cv_sw" / "reconstruct_random_50_shapenetcore55.npy").astype(float)
    x, y = clouds[32], clouds[33]
    truth = squared_w2_along(x, y, random_directions(5000, 3, np.random.default_rng(9))).mean()
    moments, errors = sample_moments(x, y), {c: [] for c in CONTROLS}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        theta = random_directions(100, 3, rng)
        slices = squared_w2_along(x, y, theta)
        for control, found in errors.items():
            found.append(estimate(slices, theta, moments, control, 0.95, rng).value / truth - 1)
    rmse = {control: float(np.sqrt(np.mean(np.square(e)))) for control, e in errors.items()}
    assert rmse["none"] == pytest.approx(0.102, abs=0.03)
    assert rmse["upper"] == pytest.approx(0.029, abs=0.012)
    assert rmse["union"] < rmse["joint"] < rmse["none"]


def test_the_same_seed_repeats_and_another_does_not() -> None:
    first, again = (sliced_wasserstein(X, Y, rng=1).value for _ in range(2))
    assert first == again != sliced_wasserstein(X, Y, rng=2).value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"directions": 2}, "directions must be at least 3"),
        ({"directions": 4, "control": "joint"}, "directions must be at least 8; got 4"),
        ({"control": "lcv"}, "Unknown control 'lcv'.*There are: none, lower"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sliced_wasserstein(X, Y, **arguments)
