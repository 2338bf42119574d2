"""Profiles: the objective over one parameter, the others refitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import InputError
from scalekit.fitters import Fit, fit

X = np.geomspace(1e3, 1e7, 30)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    loss = (1.5 + 40 / X**0.3) * np.exp(np.random.default_rng(0).normal(0, 0.01, 30))
    return fit({"tokens": X, "loss": loss}, "power_constant", objective="log_squares",
               interval="delta", starts=6)  # fmt: skip


def test_a_profile_touches_the_objective_at_the_estimate_and_rises_from_there(fitted: Fit) -> None:
    profile = fitted.profile("alpha")
    objective = profile.table["objective"]
    assert objective.min() == pytest.approx(fitted.objective_value, rel=1e-9)
    best = int(objective.argmin())
    assert profile.table["value"][best] == pytest.approx(fitted.params["alpha"])
    assert (np.diff(objective[: best + 1]) < 0).all()
    assert (np.diff(objective[best:]) > 0).all()


def test_the_interval_is_where_the_objective_stays_below_the_threshold(fitted: Fit) -> None:
    profile = fitted.profile("E")
    inside = profile.table[profile.table["objective"] <= profile.threshold]["value"]
    assert profile.interval.lower <= inside.min()
    assert profile.interval.upper >= inside.max()
    assert fitted.params["E"] in profile.interval


def test_the_threshold_is_the_likelihood_ratio_of_normal_noise(fitted: Fit) -> None:
    """For squares: S/S_min = 1 + F(1, n-p)-like; here chi2 with the noise variance from n - p."""
    profile = fitted.profile("alpha")
    variance = 2 * fitted.objective_value / (30 - 3)
    expected = fitted.objective_value + 0.5 * 3.841459 * variance
    assert profile.threshold == pytest.approx(expected, rel=1e-6)


def test_profile_and_delta_intervals_are_alike_where_the_fit_is_good(fitted: Fit) -> None:
    by_profile, by_delta = fitted.profile("alpha").interval, fitted.interval("alpha")
    width = by_delta.upper - by_delta.lower
    assert by_profile.upper - by_profile.lower == pytest.approx(width, rel=0.5)


def test_a_flat_side_is_open_and_told() -> None:
    """A power law with no floor in sight: E has no lower end but its bound, x0 none at all."""
    loss = 10 / X**0.2 * np.exp(np.random.default_rng(1).normal(0, 0.01, 30))
    found = fit({"tokens": X, "loss": loss}, "shifted_power", interval="none", starts=6)
    profile = found.profile("x0")
    assert profile.interval.lower == 0
    assert "flat_profile" in {note.code for note in profile.notes}
    assert profile.table["value"].max() > 10 * profile.table["value"].min()


def test_what_has_no_profile_is_told(fitted: Fit) -> None:
    with pytest.raises(InputError, match=r"no parameter 'alhpa'. Did you mean 'alpha'"):
        fitted.profile("alhpa")
    held = fit({"tokens": X, "loss": fitted.loss}, "power_constant", fixed={"E": 1.5},
               interval="none", starts=4)  # fmt: skip
    with pytest.raises(InputError, match=r"E is held fixed at 1.5, so it has no profile"):
        held.profile("E")


def test_a_saved_profile_is_read_back_as_it_was(fitted: Fit, tmp_path: object) -> None:
    profile = fitted.profile("alpha", points=11)
    again = sk.load(profile.save(f"{tmp_path}/profile.json"))
    pd.testing.assert_frame_equal(again.to_frame(), profile.to_frame())
    assert again.to_dict() == profile.to_dict()
    assert again.summary() == profile.summary()
