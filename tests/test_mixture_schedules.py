"""Schedules: published numbers, properties, the sampler, and what other trainers read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.selectors.mixtures import cooldown, phases, temperature, unimax
from scalekit.selectors.mixtures.schedules import temperature_shares, unimax_amounts

MC4 = {"en": 2733.0, "it": 162.0, "zh": 39.0, "sw": 1.0}  # billions of tokens, NAACL 2025 table 4
COUNTS = st.lists(st.floats(1e-2, 1e6), min_size=2, max_size=8)


# --- published numbers


@pytest.mark.parametrize(
    ("tau", "shares", "factor"),
    [
        (3.33, [0.55554, 0.23780, 0.15506, 0.05160], 10.981),
        (5, [0.45430, 0.25818, 0.19419, 0.09333], 29.832),
        (100, None, 174.51),
        (2, None, 2.249),
        (1, None, 1.0),
    ],
)
def test_temperature_shares_and_the_factor_of_the_variance(
    tau: float, shares: list[float] | None, factor: float
) -> None:
    """Li et al. 2025: p = D^(1/tau) / sum, F = sum p_tau^2 / p_1, on their mC4 subset."""
    made = temperature(MC4, tau)
    if shares:
        np.testing.assert_allclose(list(made.shares.values()), shares, atol=1e-5)
    assert made.variance()["ratio"] == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize(("tau", "factor"), [(2, 1.660), (3, 3.757), (5, 8.314)])
def test_the_factor_on_the_translation_pair(tau: float, factor: float) -> None:
    assert temperature({"cs": 56, "ro": 0.6}, tau).variance()["ratio"] == pytest.approx(
        factor, rel=1e-3
    )


@pytest.mark.parametrize(("tau", "epochs"), [(1, 0.34), (3.33, 51.6), (5, 93.3), (100, 239.7)])
def test_epochs_of_the_smallest_language(tau: float, epochs: float) -> None:
    assert temperature(MC4, tau, budget=1000).epochs()["sw"] == pytest.approx(epochs, rel=5e-3)


@pytest.mark.parametrize(
    ("budget", "epochs", "amounts"),
    [
        (1000, 1, [798, 162, 39, 1]),
        (1000, 5, [400, 400, 195, 5]),
        (100, 1, [33, 33, 33, 1]),
        (5000, 5, [3990, 810, 195, 5]),
    ],
)
def test_unimax_allocates_as_published(budget: float, epochs: float, amounts: list[float]) -> None:
    """Chung et al. 2023, algorithm 1."""
    np.testing.assert_allclose(
        unimax_amounts(np.array(list(MC4.values())), budget, epochs), amounts
    )


def test_unimax_tells_what_stays_unused() -> None:
    made = unimax(MC4, 5000, 1)
    assert made.budget == pytest.approx(2935)
    assert any(n.code == "budget_unused" and "2.06k" in n.message for n in made.notes)


def test_the_published_variance_theorem_needs_equal_gradient_norms() -> None:
    """Natural shares (.9, .1), uniform sampling, E|g|^2 = (1, .01): .303 against .505."""
    made = temperature({"a": 9, "b": 1}, alpha=0)
    found = made.variance({"a": 1, "b": 0.01})
    assert found["weighting"] == pytest.approx(0.303, abs=5e-4)
    assert found["sampling"] == pytest.approx(0.505, abs=5e-4)
    assert found["difference"] < 0 < made.variance()["difference"]


def test_another_counterexample_at_milder_temperatures() -> None:
    """|D| = (1e6, 1e4), G = (10, .1): weighting 8.43 < sampling 9.10 at tau 2; 5.99 < 7.18 at 5."""
    for tau, weighted, sampled in ((2, 8.43, 9.10), (5, 5.99, 7.18)):
        found = temperature({"a": 1e6, "b": 1e4}, tau).variance({"a": 10, "b": 0.1})
        assert found["weighting"] == pytest.approx(weighted, abs=0.011)
        assert found["sampling"] == pytest.approx(sampled, abs=0.011)


# --- properties


@given(COUNTS, st.floats(1, 50), st.floats(1, 50))
@settings(max_examples=100, deadline=None)
def test_the_factor_is_at_least_one_and_grows_with_tau(
    counts: list[float], first: float, second: float
) -> None:
    natural = np.array(counts) / np.sum(counts)
    low, high = sorted((first, second))
    factors = [(temperature_shares(np.array(counts), t) ** 2 / natural).sum() for t in (low, high)]
    assert factors[0] >= 1 - 1e-12
    assert factors[1] >= factors[0] * (1 - 1e-12)


@given(COUNTS, st.floats(0.1, 1e6), st.floats(0.5, 10), st.floats(0.5, 10))
@settings(max_examples=100, deadline=None)
def test_unimax_uses_the_budget_and_no_more_epochs(
    counts: list[float], budget: float, first: float, second: float
) -> None:
    sizes = np.array(counts)
    low, high = sorted((first, second))
    amounts = unimax_amounts(sizes, budget, low)
    assert amounts.sum() == pytest.approx(min(budget, low * sizes.sum()))
    assert (amounts <= low * sizes * (1 + 1e-12)).all()
    more = unimax_amounts(sizes, budget, high)
    # more epochs: the sum never falls, and the smallest source never gets less
    assert more.sum() >= amounts.sum() * (1 - 1e-12)
    assert more[sizes.argmin()] >= amounts[sizes.argmin()] * (1 - 1e-12)


@given(COUNTS, st.floats(1, 20), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_weighted_losses_and_sampling_have_the_same_gradient(
    counts: list[float], tau: float, seed: int
) -> None:
    names = [f"s{k}" for k in range(len(counts))]
    made = temperature(dict(zip(names, counts, strict=True)), tau)
    gradients = np.random.default_rng(seed).standard_normal((len(counts), 5))
    weights = np.array(list(made.loss_weights().values()))
    sampled = np.array(list(made.shares.values())) @ gradients
    np.testing.assert_allclose((made.natural * weights) @ gradients, sampled, atol=1e-12)


def test_the_variance_formula_agrees_with_drawn_gradients() -> None:
    rng = np.random.default_rng(0)
    made = temperature({"a": 90, "b": 9, "c": 1}, 3)
    norms = {"a": 1.0, "b": 0.2, "c": 3.0}
    shares, natural = np.array(list(made.shares.values())), made.natural
    deviation = np.sqrt(np.array(list(norms.values())))
    draws = 400_000
    by_sampling = rng.choice(3, draws, p=shares)
    by_weighting = rng.choice(3, draws, p=natural)
    weights = np.array(list(made.loss_weights().values()))
    sampled = deviation[by_sampling] * rng.standard_normal(draws)
    weighted = weights[by_weighting] * deviation[by_weighting] * rng.standard_normal(draws)
    found = made.variance(norms)
    assert found["sampling"] == pytest.approx(sampled.var(), rel=0.02)
    assert found["weighting"] == pytest.approx(weighted.var(), rel=0.05)


def test_cooldown_steps_once_and_dense_in_twenty() -> None:
    step, dense = cooldown(MC4, 5, 1), cooldown(MC4, 5, 1, dense=True)
    assert step.at(0.49) == step.at(0) != step.at(0.5)
    assert step.at(0.5) == pytest.approx(temperature(MC4, 1).shares)
    assert len(dense.phases) == 20
    assert dense.at(0)["sw"] == step.at(0)["sw"]
    assert dense.at(1)["sw"] == pytest.approx(step.at(1)["sw"])


def test_cooldown_can_end_in_a_chosen_mixture() -> None:
    mixture = {"sw": 0.1, "en": 0.6, "zh": 0.1, "it": 0.2}
    made = cooldown(MC4, 3, 1, mixture=mixture, budget=100)
    assert made.at(1) == pytest.approx(mixture)
    assert made.at(0)["sw"] > 0.1
    assert made.epochs()["sw"] > 10
    assert any(note.code == "many_epochs" and "sw" in note.message for note in made.notes)


def test_heating_up_is_told() -> None:
    assert any(note.code == "warming" for note in cooldown(MC4, 1, 5).notes)


# --- what comes in is checked


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: temperature({"en": 1, "sw": 0}, 5), r"count of 'sw' is 0; give a positive number"),
        (lambda: temperature({"en": 1, "sw": -3}, 5), r"count of 'sw' is -3"),
        (lambda: temperature({}, 5), r"counts is empty|no column 'source'"),
        (lambda: temperature({"en": "lots"}, 5), r"Cannot read 'lots' as a quantity"),
        (lambda: temperature(MC4, 0), r"temperature is 0; it must be positive"),
        (lambda: temperature(MC4), r"Give tau or alpha"),
        (lambda: temperature(MC4, 2, alpha=0.5), r"Give tau or alpha"),
        (lambda: temperature(MC4, alpha=-1), r"alpha is -1"),
        (lambda: temperature(MC4, 2, budget=0), r"budget is 0"),
        (lambda: unimax(MC4, -5), r"budget is -5"),
        (lambda: unimax(MC4, 5, 0), r"max_epochs is 0"),
        (lambda: cooldown(MC4, 5, -1), r"temperature is -1"),
        (lambda: cooldown(MC4, switch=1.0), r"switch is 1"),
        (lambda: cooldown(MC4, mixture={"en": 1.0}), r"mixture lacks the source 'it'"),
        (lambda: cooldown(MC4, mixture=dict.fromkeys(MC4, 0.0)), r"shares sum to 0 \(least 0\)"),
        (lambda: cooldown(MC4, mixture=dict.fromkeys(MC4, 25.0)), r"sum to 1\. Divide them by"),
        (lambda: phases(MC4, [(0.5, MC4)]), r"the last at 1"),
        (lambda: phases(MC4, [(1.0, MC4)]), r"sum to 2935"),
        (lambda: phases(MC4, [(1.0, {"en": 1, "fr": 0})]), r"no source 'fr'"),
        (lambda: temperature("nowhere.csv", 2), r"There is no file nowhere.csv"),
        (lambda: temperature(MC4, 2).at(2), r"progress is 2"),
        (lambda: cooldown(MC4).shares, r"has 2 phases"),
        (lambda: temperature(MC4, 2).variance({"en": 1}), r"gradient_norms lacks"),
        (lambda: temperature(MC4, 2).config("nemo"), r"no style 'nemo'"),
        (lambda: temperature(MC4, 2).config("olmo", {"en": "x"}), r"paths lacks the source 'it'"),
        (lambda: temperature(MC4, 2).interleave_probabilities(["en"]), r"order lacks"),
    ],
)
def test_bad_schedules_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


def test_counts_come_from_a_file_with_units_and_without_repeats(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    pd.DataFrame({"language": ["en", "sw"], "tokens": ["2.7T", "1B"]}).to_csv(path, index=False)
    assert temperature(path, 1).shares["sw"] == pytest.approx(1 / 2701)
    pd.DataFrame({"source": ["en", "en"], "count": [1, 2]}).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"data row 2: the source 'en' is there twice"):
        temperature(path, 1)
    pd.DataFrame({"a": ["en"], "count": [1]}).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"no column 'source'"):
        temperature(path, 1)


# --- the sampler


LENGTHS = {"en": 500, "sw": 50}


def draw_all(sampler: object) -> np.ndarray:
    return np.array(list(sampler))  # type: ignore[call-overload]


def test_the_sampler_draws_by_the_schedule() -> None:
    made = phases(LENGTHS, [(0.5, {"en": 0.2, "sw": 0.8}), (1.0, {"en": 0.9, "sw": 0.1})])
    drawn = draw_all(made.sampler(LENGTHS, 20_000))
    swahili = drawn >= 500
    assert swahili[:10_000].mean() == pytest.approx(0.8, abs=0.02)
    assert swahili[10_000:].mean() == pytest.approx(0.1, abs=0.02)


def test_no_example_comes_twice_before_all_came_once() -> None:
    drawn = draw_all(temperature(LENGTHS, alpha=0).sampler(LENGTHS, 5000))
    swahili = drawn[drawn >= 500]
    for start in range(0, len(swahili) - 50, 50):
        assert len(set(swahili[start : start + 50])) == 50


def test_ranks_share_one_stream() -> None:
    made = cooldown(LENGTHS, 5, 1)
    whole = draw_all(made.sampler(LENGTHS, 9001, seed=3))
    parts = [draw_all(made.sampler(LENGTHS, 9001, seed=3, rank=r, world_size=4)) for r in range(4)]
    assert {len(part) for part in parts} == {2250}
    np.testing.assert_array_equal(np.stack(parts, axis=1).ravel(), whole[:9000])


def test_the_state_resumes_where_it_stopped_also_on_other_ranks() -> None:
    made = cooldown(LENGTHS, 5, 1)
    whole = draw_all(made.sampler(LENGTHS, 10_000))
    first = made.sampler(LENGTHS, 10_000, rank=0, world_size=2)
    stream = iter(first)
    for _ in range(3000):
        next(stream)
    state = first.state_dict()
    assert state["position"] == 6000
    again = made.sampler(LENGTHS, 10_000)
    again.load_state_dict(state)
    np.testing.assert_array_equal(draw_all(again), whole[6000:])
    with pytest.raises(InputError, match=r"sampler with seed 0, this one has 1"):
        made.sampler(LENGTHS, 10_000, seed=1).load_state_dict(state)
    with pytest.raises(InputError, match=r"position 99999 is outside"):
        again.load_state_dict({"position": 99999})


def test_the_seed_repeats_and_changes_the_stream() -> None:
    made = temperature(LENGTHS, 5)
    first, again, other = (draw_all(made.sampler(LENGTHS, 300, seed=s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_torch_data_loader_takes_the_sampler() -> None:
    torch = pytest.importorskip("torch")
    data = torch.arange(550)
    sampler = temperature(LENGTHS, 5).sampler(LENGTHS, 256)
    loader = torch.utils.data.DataLoader(data, batch_size=64, sampler=sampler)
    assert [len(batch) for batch in loader] == [64] * 4


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ({"en": 5, "fr": 5}, {}, r"examples of 'fr', which the schedule does not know"),
        ({"en": 5}, {}, r"draws from 'sw', but the data set has no example"),
        (LENGTHS, {"samples": 0}, r"samples is 0"),
        (LENGTHS, {"rank": 2, "world_size": 2}, r"rank 2 is not among the 2"),
        (3, {}, r"Cannot tell sources in a int"),
        (pd.DataFrame({"lang": ["en", "sw"]}), {}, r"no column 'source'.*Say by="),
    ],
)
def test_the_sampler_refuses_what_it_cannot_draw_from(
    dataset: object, options: dict[str, int], message: str
) -> None:
    with pytest.raises((InputError, ColumnNotFoundError), match=message):
        temperature(LENGTHS, 5).sampler(dataset, **options)


def test_sources_are_read_from_a_column_or_a_list() -> None:
    labels = ["en", "sw", "en", "sw"]
    table = pd.DataFrame({"lang": labels})
    made = temperature({"en": 2, "sw": 2}, 1)
    first = draw_all(made.sampler(labels, 40))
    np.testing.assert_array_equal(first, draw_all(made.sampler(table, 40, by="lang")))
    assert set(first) == {0, 1, 2, 3}


# --- out


def test_other_trainers_read_the_mixture() -> None:
    made = cooldown({"en": 300, "sw": 100}, 2, 1, budget="800")
    megatron = made.config("megatron", {"en": "data/en", "sw": "data/sw"})
    assert "0.75000000 data/en 0.25000000 data/sw" in megatron
    assert megatron.count("# phase") == 2
    olmo = made.config("olmo")
    assert "requested_tokens: 400" in olmo
    assert "target_ratio: 0.25000000" in olmo
    assert made.interleave_probabilities(["sw", "en"], 0.9) == pytest.approx([0.25, 0.75])


def test_a_schedule_is_saved_and_loaded(tmp_path: Path) -> None:
    made = cooldown(MC4, 5, 1, budget=1000)
    loaded = sk.load(made.save(tmp_path / "schedule.json"))
    assert loaded.summary() == made.summary()
    assert loaded.to_dict() == made.to_dict()


def test_schedules_have_tables_and_plots() -> None:
    made = cooldown(MC4, 5, 1)
    table = made.to_frame()
    assert table.groupby("phase")["share"].sum().tolist() == pytest.approx([1, 1])
    assert table["drawn"].sum() == pytest.approx(made.budget)
    assert len(made.plot().collections) == 4
    assert made.plot_epochs().get_yscale() == "log"
