"""Power, designs and additions: against closed forms, simulation and the published tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import scalekit as sk
from scalekit.errors import InputError
from scalekit.evals import NoiseModel, crossed_difference, items_needed
from scalekit.evals.additions import cheapest_addition
from scalekit.evals.planning import noncentral_power, noncentral_shift

# evals.md 6, T9: detectable difference in points at K = 1 (SD known), 3, 5, 10 and without limit
PUBLISHED = {
    "HumanEval": (6.1, 5.1, 4.7, 4.5, 4.3), "COPA": (10.9, 8.7, 8.0, 7.4, 6.9),
    "ARC-C": (4.0, 3.1, 2.8, 2.6, 2.4), "GSM8k": (1.9, 1.4, 1.2, 1.1, 0.9),
    "PIQA": (2.3, 1.9, 1.8, 1.7, 1.7), "SIQA": (2.9, 2.3, 2.1, 2.0, 1.9),
    "HellaSwag": (1.1, 0.92, 0.86, 0.81, 0.77), "MMLU": (2.3, 1.7, 1.3, 0.96, 0.62),
    "MMLU-Cloze": (1.1, 0.88, 0.80, 0.74, 0.69), "BBH": (3.6, 2.7, 1.9, 1.5, 0.95),
}  # fmt: skip


@pytest.mark.parametrize("benchmark", PUBLISHED)
def test_detectable_differences_are_those_of_the_table(benchmark: str) -> None:
    table = sk.power(benchmark=benchmark, seeds=[1, 3, 5, 10, 10**9]).table
    found = 100 * table["detectable"].to_numpy()
    np.testing.assert_allclose(found, PUBLISHED[benchmark], atol=0.07)


def test_items_needed_are_those_of_miller() -> None:
    """Miller 2024 (arXiv:2411.00640), section 5: 1/9 and 3 points; 198 questions, K = 1 and 10."""
    assert items_needed(0.03, 1 / 9) == 969
    noise = NoiseModel(seed=0, difference=1 / 9, sample=1 / 6, seed_df=np.inf)
    once, ten = noise.detectable(1, 198, [1, 10])
    assert (100 * once, 100 * ten) == (pytest.approx(13.3, abs=0.1), pytest.approx(7.6, abs=0.05))
    with pytest.raises(InputError, match="difference to detect must be positive"):
        items_needed(0.0, 1.0)


def test_noncentral_power_is_that_of_scipy() -> None:
    for df in (2.0, 7.5, 300.0):
        for shift in (0.0, 1.0, 2.8, 6.0):
            t = stats.t.ppf(0.975, df)
            peer = stats.nct.sf(t, df, shift) + stats.nct.cdf(-t, df, shift)
            assert float(noncentral_power(shift, df)) == pytest.approx(peer, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.floats(1.5, 1e6), st.floats(0.55, 0.99), st.floats(0.8, 0.99))
def test_the_detectable_shift_has_the_power_it_says(df: float, power: float, level: float) -> None:
    shift = noncentral_shift(df, level, power)
    assert float(noncentral_power(shift, df, level)) == pytest.approx(power, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0, 1e-3), st.floats(1e-6, 1), st.floats(0, 1), st.floats(0, 1), st.integers(2, 20),
    st.integers(10, 10_000),
)  # fmt: skip
def test_more_of_anything_never_hurts(
    seed: float, pair: float, cross: float, sample: float, k: int, n: int
) -> None:
    noise = NoiseModel(seed, pair, cross, sample)
    here = noise.variance(k, n, 2)
    assert noise.variance(k + 1, n, 2) <= here
    assert noise.variance(k, n + 1, 2) <= here
    assert noise.variance(k, n, 3) <= here


def test_planned_power_is_the_power_that_simulation_finds() -> None:
    rng = np.random.default_rng(0)
    k, n, shift = 4, 300, 0.03
    noise = NoiseModel(seed=0.015**2, difference=2 * 0.1**2, seed_item=0.2**2)
    hits = 0
    for _ in range(1500):
        item = 0.3 * rng.standard_normal(n)
        a, b = (
            item + effect + 0.1 * rng.standard_normal(n) + 0.015 * rng.standard_normal((k, 1))
            + 0.2 * rng.standard_normal((k, n))
            for effect in (shift, 0.0)
        )  # fmt: skip
        hits += crossed_difference(a, b).p_value() < 0.05
    assert hits / 1500 == pytest.approx(float(noise.power(shift, k, n)), abs=0.05)


def test_the_cheapest_addition_is_enough_and_the_cheapest() -> None:
    noise = NoiseModel(seed=1e-4, difference=0.05, seed_item=0.1, sample=0.1)
    costs = {"seed": 50.0, "item": 1.0, "answer": 0.01}
    found = cheapest_addition(noise, 0.02, 3, 500, 1, costs)
    assert found is not None
    assert float(noise.power(0.02, found.seeds, found.items, found.samples)) >= 0.8
    fewer = float(noise.power(0.02, found.seeds - 1, found.items, found.samples))
    assert fewer < 0.8
    assert found.describe(3, 500, 1)


def test_no_number_of_items_resolves_what_seeds_hide() -> None:
    noise = NoiseModel(seed=1e-2, difference=1e-6)
    found = cheapest_addition(noise, 0.2, 2, 100)
    assert found is not None
    assert found.items_alone is None
    assert found.seeds_alone is not None
    assert cheapest_addition(noise, 1e-6, 2, 100) is None


def test_a_log_is_planned_at_its_last_step() -> None:
    found = sk.power(sk.example_evals(), benchmark="digits", metric="acc", difference=0.03)
    assert "last-steps" in {note.code for note in found.notes}
    assert found.table["power"].is_monotonic_increasing or found.table["seeds"].iloc[0] == 1
    assert (found.table["items"] == 240).all()


def test_one_seed_needs_a_seed_sd_or_a_published_one() -> None:
    rng = np.random.default_rng(0)
    one = {"a": rng.random((1, 50)), "b": rng.random((1, 50))}
    with pytest.raises(InputError, match=r"no seed noise is published.*--seed-sd"):
        sk.power(one)
    assert sk.power(one, seed_sd=0.01, seeds=[3]).table["detectable"].iloc[0] > 0
    named = pd.DataFrame({"item": range(50), "task": "piqa", "model": "a", "acc": [1.0, 0] * 25})
    assert "seed-noise-borrowed" in {note.code for note in sk.power(named).notes}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Without a log, the noise is known for: AGIEval"),
        ({"benchmark": "mine"}, "'mine' is not among them: give a log"),
        ({"benchmark": "mmlu", "difference": 0}, "difference to find must be positive"),
        ({"benchmark": "mmlu", "seeds": [0]}, "at least 1 seed, 2 items and 1 sample"),
        ({"benchmark": "mmlu", "target_power": 1.0}, "power must be in"),
        ({"benchmark": "mmlu", "costs": {"gpu": 1}}, "No cost 'gpu'"),
    ],
)
def test_wrong_arguments_say_what_to_do(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.power(**arguments)  # type: ignore[arg-type]


def test_variances_are_not_negative() -> None:
    with pytest.raises(InputError, match="seed variance must be zero or positive"):
        NoiseModel(seed=-1.0, difference=1.0)


def test_the_result_has_the_shared_form(tmp_path: Path) -> None:
    found = sk.power(benchmark="mmlu", difference=0.01, seeds=[1, 5, 10], items=[1000, 14042])
    best = found.cheapest().iloc[0]
    assert (best["seeds"], best["items"]) == (10, 14042)
    found.save(tmp_path / "p.json")
    assert sk.load(tmp_path / "p.json").summary() == found.summary()
    assert len(found.plot().lines) >= 3
    with pytest.raises(InputError, match="Say which difference is to be found"):
        sk.power(benchmark="mmlu").cheapest()


def test_a_difference_in_points_is_refused_for_accuracies() -> None:
    with pytest.raises(InputError) as refused:
        sk.power(benchmark="mmlu", difference=3)
    assert str(refused.value) == (
        "A difference of 3 in accuracy cannot be: scores are in fractions of 1, so a point is 0.01."
    )
