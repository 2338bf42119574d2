"""Quantities: what people write is read as they mean it, and nothing is guessed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import InputError
from scalekit.units import (
    PF_DAY,
    format_quantity,
    parse_quantity,
    percent,
    training_flops,
    transformer_flops_per_token,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7B", 7e9),
        ("1.4T", 1.4e12),
        ("70m", 70e6),
        ("256k", 256e3),
        ("2e21", 2e21),
        (" 1,400,000 ", 1.4e6),
        ("1_000", 1e3),
        ("5.76e23 FLOPs", 5.76e23),
        ("3 GFLOP", 3e9),
        ("3 PF-days", 3 * PF_DAY),
        ("-2.5", -2.5),
        (".5M", 5e5),
        (12, 12.0),
    ],
)
def test_a_quantity_is_read_as_people_write_it(text: str | float, value: float) -> None:
    assert parse_quantity(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["", "seven", "7X", "1.2.3", "B", "7B7", "1,4", "3,40", "12,3456"])
def test_what_is_no_quantity_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match=r"Cannot read .* as a quantity"):
        parse_quantity(text)


@given(st.floats(1e-300, 1e300))
def test_formatting_and_parsing_keep_the_digits_that_are_shown(value: float) -> None:
    assert parse_quantity(format_quantity(value)) == pytest.approx(value, rel=5.1e-3)
    assert parse_quantity(format_quantity(value, digits=15)) == pytest.approx(value, rel=1e-14)


@given(st.floats(1e3, 0.99e15))
def test_the_short_form_is_short(value: float) -> None:
    text = format_quantity(value)
    assert text[-1] in "kMBT"
    assert "e" not in text
    assert len(text) <= 5


def test_rounding_up_moves_to_the_next_suffix() -> None:
    assert format_quantity(999.96e6) == "1B"
    assert format_quantity(math.nan) == "nan"


def test_training_flops_of_chinchilla_are_six_n_d() -> None:
    """Hoffmann et al. 2022, table 3: 67B and 1.5T tokens are 5.76e23 FLOPs, rounded."""
    assert training_flops(67e9, 1.5e12) == pytest.approx(5.76e23, rel=0.05)


def test_flops_per_token_approach_six_params_as_the_width_grows() -> None:
    """12 layers width^2 params in the blocks (Kaplan et al. 2020, table 1)."""
    layers, width, context = 40, 16384, 1
    params = 12 * layers * width**2
    flops = transformer_flops_per_token(layers, width, context)
    assert flops == pytest.approx(6 * params, rel=1e-3)


def test_shares_are_told_in_percent_with_the_digits_they_have() -> None:
    assert [percent(share) for share in (0.95, 0.995, 0.07, 0.015, 1.0)] == [
        "95%", "99.5%", "7%", "1.5%", "100%",
    ]  # fmt: skip
