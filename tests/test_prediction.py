"""Predictions: two intervals apart, how far out they are, and what cannot be asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.fitters import Fit, fit
from scalekit.fitters.laws import CATALOGUE
from tests.reference.law_examples import EXAMPLES, PARAMS_TOKENS

TOP = {name: float(scale.max()) for name, scale in PARAMS_TOKENS.items()}


@pytest.fixture(scope="module")
def fitted() -> Fit:
    loss = CATALOGUE["chinchilla"].predict(EXAMPLES["chinchilla"], **PARAMS_TOKENS)
    noise = np.random.default_rng(0).normal(0, 0.004, len(loss))
    return fit(PARAMS_TOKENS | {"loss": loss * np.exp(noise)}, resamples=200)


def test_the_mean_lies_inside_the_interval_of_one_run(fitted: Fit) -> None:
    table = fitted.predict(params=[1e8, 1e9, 1e11], tokens=1e11).table
    assert list(table) == [
        *("params", "tokens", "predicted", "ci_lower", "ci_upper", "obs_lower", "obs_upper"),
        *("domain", "extrapolation", "extrapolation_in"),
    ]
    ordered = table[["obs_lower", "ci_lower", "predicted", "ci_upper", "obs_upper"]].to_numpy()
    assert (np.diff(ordered, axis=1) > 0).all()


def test_intervals_widen_with_confidence_and_with_distance(fitted: Fit) -> None:
    def width(level: float, factor: float) -> float:
        scales = {name: top * factor for name, top in TOP.items()}
        row = fitted.predict(confidence_level=level, **scales).table.iloc[0]
        return float(row["ci_upper"] - row["ci_lower"])

    assert width(0.5, 1) < width(0.9, 1) < width(0.99, 1)
    assert width(0.9, 1) < width(0.9, 10) < width(0.9, 1000)


def test_extrapolation_is_counted_in_decades_of_the_farthest_scale(fitted: Fit) -> None:
    low = {name: float(scale.min()) for name, scale in PARAMS_TOKENS.items()}
    at = pd.DataFrame({
        "params": [TOP["params"], 100 * TOP["params"], low["params"] / 10, TOP["params"] * 10],
        "tokens": [TOP["tokens"], TOP["tokens"], TOP["tokens"], low["tokens"] / 1000],
    })  # fmt: skip
    table = fitted.predict(at).table
    np.testing.assert_allclose(table["extrapolation"], [0, 2, 1, 3], atol=1e-9)
    assert list(table["domain"]) == ["interpolation", *["extrapolation"] * 3]


@pytest.mark.parametrize(("factor", "severity"), [(5, None), (100, "warning"), (1e4, "error")])
def test_far_predictions_carry_a_note(fitted: Fit, factor: float, severity: str | None) -> None:
    notes = fitted.predict(params=TOP["params"] * factor, tokens=TOP["tokens"]).notes
    assert [note.severity for note in notes] == ([] if severity is None else [severity])
    assert all(note.code == "far_extrapolation" for note in notes)


def test_a_missing_scale_follows_from_the_other_two(fitted: Fit) -> None:
    """C = 6 N D."""
    both = fitted.predict(params=1e9, tokens=2e10).table["predicted"][0]
    assert fitted.predict(params=1e9, flops=1.2e20).table["predicted"][0] == pytest.approx(both)
    assert fitted.predict(tokens=2e10, flops=1.2e20).table["predicted"][0] == pytest.approx(both)
    along = fit({"flops": [1e18, 1e19, 1e20, 1e21], "loss": [4, 3.3, 2.9, 2.6]}, "power",
                interval="none")  # fmt: skip
    found = along.predict(params=1e9, tokens=2e10).table
    assert found["flops"][0] == pytest.approx(1.2e20)


def test_scales_broadcast_and_a_table_is_taken_too(fitted: Fit) -> None:
    keywords = fitted.predict(params=1e9, tokens=[1e10, 2e10]).table
    table = fitted.predict(pd.DataFrame({"params": [1e9, 1e9], "tokens": [1e10, 2e10]})).table
    pd.testing.assert_frame_equal(keywords, table)


@pytest.mark.parametrize(
    ("scales", "kind", "message"),
    [
        (
            {"params": 1e9},
            ColumnNotFoundError,
            "needs params and tokens to predict; given are params. Add tokens",
        ),
        ({"parms": 1e9, "tokens": 1e9}, ColumnNotFoundError, "Did you mean 'params'"),
        ({"params": -1e9, "tokens": 1e9}, InputError, r"Cannot predict at params = -1e\+09"),
        ({"params": np.nan, "tokens": 1e9}, InputError, "Cannot predict at params = nan"),
        ({"params": "big", "tokens": 1e9}, InputError, "not numbers of one shape"),
        ({"params": [1e9, 2e9], "tokens": [1e9] * 3}, InputError, "not numbers of one shape"),
        ({"params": 1e9, "tokens": 1e9, "confidence_level": 95}, InputError, "between 0 and 1"),
    ],
)
def test_what_cannot_be_predicted_is_told(
    fitted: Fit, scales: dict[str, object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        fitted.predict(**scales)  # type: ignore[arg-type]


def test_the_summary_is_a_sentence_a_row(fitted: Fit) -> None:
    text = fitted.predict(params=70e9, tokens=1.4e12).summary()
    assert text.startswith("loss at params 70B, tokens 1.4T: ")
    assert "95% intervals" in text
    assert "decades beyond the data in params" in text


def test_a_saved_prediction_is_read_back_as_it_was(fitted: Fit, tmp_path: object) -> None:
    prediction = fitted.predict(params=[70e9, 1e9], tokens=1.4e12)
    again = sk.load(prediction.save(f"{tmp_path}/prediction.json"))
    pd.testing.assert_frame_equal(again.to_frame(), prediction.to_frame())
    assert again.to_dict() == prediction.to_dict()


def test_a_published_prediction_is_read_back_without_intervals(tmp_path: object) -> None:
    prediction = sk.published("besiroglu2024").predict(params=70e9, tokens=1.4e12)
    again = sk.load(prediction.save(f"{tmp_path}/prediction.json"))
    pd.testing.assert_frame_equal(again.to_frame(), prediction.to_frame())
    assert "mean [" not in again.summary()
