"""Plots of fits, predictions and profiles: axes in, axes out, and what was asked is drawn."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from scalekit.fitters import Fit, fit
from scalekit.fitters.laws import CATALOGUE
from tests.reference.law_examples import EXAMPLES, PARAMS_TOKENS, REPEATED

X = np.geomspace(1e3, 1e7, 20)
OPTIONS = {"interval": "delta", "resamples": 100, "starts": 6}


def one_scale() -> Fit:
    loss = (1.5 + 40 / X**0.3) * np.exp(np.random.default_rng(0).normal(0, 0.01, 20))
    return fit({"tokens": X, "loss": loss}, **OPTIONS)  # type: ignore[arg-type]


def two_scales() -> Fit:
    loss = CATALOGUE["chinchilla"].predict(EXAMPLES["chinchilla"], **PARAMS_TOKENS)
    noise = np.random.default_rng(0).normal(0, 0.01, len(loss))
    return fit(PARAMS_TOKENS | {"loss": loss * np.exp(noise)}, **OPTIONS)  # type: ignore[arg-type]


def three_scales() -> Fit:
    loss = CATALOGUE["repeated_data"].predict(EXAMPLES["repeated_data"], **REPEATED)
    held = {name: EXAMPLES["repeated_data"][name] for name in ("E", "A", "B", "alpha", "beta")}
    return fit(REPEATED | {"loss": loss}, "repeated_data", interval="none", fixed=held, starts=4)


FITS = {"one": one_scale, "two": two_scales, "three": three_scales}
makers = pytest.mark.parametrize("make", FITS.values(), ids=FITS)


def drawn_places(ax: Axes) -> np.ndarray:
    """Return the points of every line and every scatter of `ax`, (points, 2)."""
    lines = [line.get_xydata() for line in ax.lines]
    scatters = [np.asarray(c.get_offsets()) for c in ax.collections if len(c.get_offsets()) > 1]
    return np.concatenate([*lines, *scatters])


@makers
def test_axes_are_returned_and_given_axes_are_used(make: object) -> None:
    found: Fit = make()  # type: ignore[operator]
    assert isinstance(found.plot(), Axes)
    _, ax = plt.subplots()
    before = len(plt.get_fignums())
    assert found.plot(ax=ax) is ax
    assert len(plt.get_fignums()) == before
    assert ax.get_xlabel()
    assert "loss" in ax.get_ylabel()


def test_runs_and_asked_points_are_drawn_over_one_scale() -> None:
    found = one_scale().with_predictions(tokens=1e8)
    ax = found.plot()
    places = drawn_places(ax)
    for point in zip(X, found.loss, strict=True):
        assert np.isclose(places, point).all(axis=1).any()
    assert found.asked is not None
    assert np.isclose(places, (1e8, found.asked["predicted"][0])).all(axis=1).any()
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"one run, 95%", "mean, 95%", "runs", "forecast (one run)"} <= set(words)


def test_runs_and_asked_points_are_drawn_over_flops() -> None:
    found = two_scales().with_predictions(params=1e10, tokens=2e11)
    places = drawn_places(found.plot())
    flops = 6 * found.scales["params"] * found.scales["tokens"]
    for point in zip(flops, found.loss, strict=True):
        assert np.isclose(places, point).all(axis=1).any()
    assert found.asked is not None
    asked = (6 * 1e10 * 2e11, found.asked["predicted"][0])
    assert np.isclose(places, asked).all(axis=1).any()


def test_a_fit_without_draws_has_no_band() -> None:
    found = fit({"tokens": X, "loss": 1.5 + 40 / X**0.3}, interval="none", starts=4)
    words = [text.get_text() for text in found.plot().get_legend().get_texts()]
    assert "fitted law" in words
    assert not any("95%" in word for word in words)


def test_predictions_are_drawn_one_row_each() -> None:
    prediction = one_scale().predict(tokens=[1e7, 1e8, 1e9])
    _, ax = plt.subplots()
    assert prediction.plot(ax=ax) is ax
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["tokens 10M", "tokens 100M", "tokens 1B"]
    places = drawn_places(ax)
    for row, predicted in zip((2, 1, 0), prediction.table["predicted"], strict=True):
        assert np.isclose(places, (predicted, row)).all(axis=1).any()


def test_a_profile_is_drawn_with_its_threshold() -> None:
    profile = one_scale().profile("alpha", points=11)
    _, ax = plt.subplots()
    assert profile.plot(ax=ax) is ax
    assert ax.get_xlabel() == "alpha"
    heights = [line.get_ydata()[0] for line in ax.lines]
    assert profile.threshold in heights


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_plot_is_saved_in_the_format_of_its_suffix(suffix: str, tmp_path: object) -> None:
    path = one_scale().save(f"{tmp_path}/fit.{suffix}")
    assert path.stat().st_size > 5000
