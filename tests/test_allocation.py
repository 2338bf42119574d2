"""How to spend a budget under a law: closed form, numbers, constraints, costs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalekit as sk
from scalekit.errors import FitError, InputError
from scalekit.fitters.allocation import Cost, allocate
from scalekit.fitters.fitted import Fit
from scalekit.fitters.laws import CATALOGUE
from scalekit.fitters.model import to_internal

CHINCHILLA = CATALOGUE["chinchilla"]


def theta_of(values: list[float]) -> np.ndarray:
    return to_internal(np.array([values]), CHINCHILLA.parameters)


@pytest.fixture(scope="module")
def surface() -> Fit:
    """Return a fit to runs of the law E + A/N^.34 + B/D^.3, nearly without noise."""
    rng = np.random.default_rng(0)
    n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 3e9, 7),
                                                 np.geomspace(1e9, 3e11, 7)))  # fmt: skip
    loss = (1.8 + 450 / n**0.34 + 400 / d**0.3) * np.exp(5e-4 * rng.standard_normal(n.size))
    return sk.fit({"params": n, "tokens": d, "loss": loss}, "chinchilla", resamples=200, rng=0)


def test_published_constants_give_the_published_allocation() -> None:
    """Hoffmann et al. 2022, eq. 4 with the printed constants: a = .4516, G = 1.3447."""
    theta = theta_of([1.69, 406.4, 0.34, 410.7, 0.28])
    found = allocate(CHINCHILLA, theta, np.array([5.76e23]), Cost())
    assert np.exp(found.log_params[0, 0]) == pytest.approx(3.22e10, rel=2e-3)
    assert np.exp(found.log_tokens[0, 0]) == pytest.approx(2.98e12, rel=2e-3)


def test_besiroglu_constants_give_about_eighteen_tokens_per_param() -> None:
    """Besiroglu et al. 2024, arXiv:2404.10102: the refitted law agrees with 20 tokens a param."""
    theta = theta_of([1.8172, 482.01, 0.3478, 2085.43, 0.3658])
    found = allocate(CHINCHILLA, theta, np.array([5.76e23]), Cost())
    assert np.exp(found.log_tokens - found.log_params)[0, 0] == pytest.approx(18.4, rel=5e-3)


@given(st.floats(0.15, 0.6), st.floats(0.15, 0.6), st.floats(19, 25))
@settings(max_examples=40, deadline=None)
def test_the_numeric_optimum_is_that_of_the_closed_form(
    alpha: float, beta: float, log_flops: float
) -> None:
    theta = theta_of([1.7, 400.0, alpha, 1000.0, beta])
    flops = np.array([10.0**log_flops])
    exact = allocate(CHINCHILLA, theta, flops, Cost())
    numeric = allocate(CHINCHILLA, theta, flops, Cost(lambda n, d: 6 * n * d))
    assert numeric.log_params == pytest.approx(exact.log_params, abs=1e-3)
    assert numeric.loss == pytest.approx(exact.loss, rel=1e-9)


def test_serving_makes_the_best_model_smaller_and_overtrained(surface: Fit) -> None:
    """Sardana et al. 2023, arXiv:2401.00448: inference shifts the optimum to smaller models."""
    plain = surface.frontier(1e23).table.iloc[0]
    served = surface.frontier(1e23, served_tokens=1e12).table.iloc[0]
    assert served["params"] < plain["params"]
    assert served["tokens_per_param"] > plain["tokens_per_param"]
    spent = 6 * served["params"] * served["tokens"] + 2 * served["params"] * 1e12
    assert spent == pytest.approx(1e23, rel=1e-6)


def test_the_frontier_of_a_fit_recovers_the_true_exponent(surface: Fit) -> None:
    found = surface.frontier([1e21, 1e22, 1e23])
    assert found.exponents.loc["params", "estimate"] == pytest.approx(0.3 / 0.64, abs=0.005)
    assert found.exponent("params").upper == pytest.approx(1 - found.exponent("tokens").lower)
    table = found.table
    spent = 6 * (table["params"] * table["tokens"]).to_numpy()
    assert spent == pytest.approx(table["flops"].to_numpy(), rel=1e-9)
    assert (table["loss_lower"] < table["loss"]).all()


def test_overtraining_costs_little_and_the_right_amount(surface: Fit) -> None:
    found = surface.frontier(1e22, overtrained=16.0).table.iloc[0]
    best = surface.frontier(1e22).table.iloc[0]
    assert found["tokens_per_param"] == pytest.approx(16 * best["tokens_per_param"])
    assert found["params"] == pytest.approx(best["params"] / 4)
    assert found["loss_penalty"] == pytest.approx(found["loss"] / best["loss"] - 1)
    assert 0 < found["loss_penalty"] < 0.05
    assert found["loss_penalty_lower"] <= found["loss_penalty"] <= found["loss_penalty_upper"]


def test_a_fixed_size_spends_the_budget_on_tokens(surface: Fit) -> None:
    row = surface.frontier(1e22, params=1e9).table.iloc[0]
    assert row["tokens"] == pytest.approx(1e22 / 6e9)
    assert row["loss_penalty"] >= 0


def test_limited_data_make_the_model_larger_and_say_so(surface: Fit) -> None:
    found = surface.frontier(1e23, unique_tokens=1e11)
    assert found.table["tokens"].iloc[0] == pytest.approx(1e11, rel=1e-3)
    told = next(note.message for note in found.notes if note.code == "data_used_up")
    assert "spends the rest on a larger model" in told
    assert "on 100B tokens (" in found.summary()  # what is used up has no interval


def test_limited_data_at_a_held_size_leave_the_budget_unspent(surface: Fit) -> None:
    found = surface.frontier(1e23, params=7e9, unique_tokens=1e11)
    told = next(note.message for note in found.notes if note.code == "data_used_up")
    assert "leaves the rest of the budget unspent" in told
    assert "larger model" not in told
    assert "7B params on 100B tokens (14.29 per param) reach loss" in found.summary()


def test_overtraining_does_not_use_data_that_are_not_there(surface: Fit) -> None:
    with pytest.raises(InputError, match="overtrained=4 needs 200B tokens"):
        surface.frontier(1e23, overtrained=4, unique_tokens=1e11)


def test_repeated_data_are_repeated_about_as_often_as_published() -> None:
    """Muennighoff et al. 2023: at 1e22 FLOPs and 25B unique tokens, 9.49 epochs, N = 7.02e9."""
    law = CATALOGUE["repeated_data"]
    values = {"E": 1.86914, "A": 520.825, "B": 1487.716, "alpha": 0.3526596, "beta": 0.3526596,
              "R_N": 5.309743, "R_D": 15.387756}  # fmt: skip
    theta = to_internal(np.array([[values[name] for name in law.names]]), law.parameters)
    found = allocate(law, theta, np.array([1e22]), Cost(), {"unique_tokens": 25e9})
    assert np.exp(found.log_tokens[0, 0]) / 25e9 == pytest.approx(9.49, rel=0.02)
    assert np.exp(found.log_params[0, 0]) == pytest.approx(7.0224e9, rel=0.02)


def test_budgets_are_said_as_powers_of_ten_and_sizes_with_a_suffix(surface: Fit) -> None:
    first = surface.frontier(1e12).summary()
    assert first.startswith("1e+12 FLOPs: ")
    assert re.search(r"[kMB] \[.*\] params on", first)


def test_a_frontier_is_saved_and_drawn(surface: Fit, tmp_path: Path) -> None:
    found = surface.frontier([1e21, 1e22], overtrained=2.0)
    assert found.plot().lines
    assert sk.load(found.save(tmp_path / "f.json")).summary() == found.summary()


def test_planned_runs_are_drawn_on_the_frontier(surface: Fit) -> None:
    offers = {"params": [1e9, 3e9], "tokens": [2e10, 6e10]}
    plan = sk.next_runs(surface, offers, question="optimum", at=1e22)
    alone, both = (len(surface.frontier([1e21, 1e22]).plot(plan=p).lines) for p in (None, plan))
    assert len(plan.table)
    assert both == alone + 2


def test_what_has_no_frontier_is_refused(surface: Fit) -> None:
    runs = {"flops": [1e18, 1e19, 1e20, 1e21], "loss": [3.0, 2.5, 2.2, 2.0]}
    one = sk.fit(runs, "power", along="flops", resamples=20)
    with pytest.raises(InputError, match=r"law of params and tokens"):
        one.frontier(1e22)
    with pytest.raises(InputError, match=r"positive numbers of FLOPs"):
        surface.frontier(-1.0)
    with pytest.raises(InputError, match=r"cannot be paid for"):
        surface.frontier(1e20, params=1e12, served_tokens=1e12)
    with pytest.raises(InputError, match=r"served_tokens"):
        surface.frontier(1e20, served_tokens=-1)
    with pytest.raises(InputError, match=r"overtrained"):
        surface.frontier(1e20, overtrained=0)
    flat = sk.fit({"params": surface.scales["params"], "tokens": surface.scales["tokens"],
                   "loss": 2 + 50 / surface.scales["params"] ** 0.3}, "E + A / params**alpha "
                  "+ 0 * tokens", resamples=0)  # fmt: skip
    with pytest.raises((FitError, InputError)):
        flat.frontier(1e22)


def test_chinchilla_points_give_the_exponent_and_ratio_of_the_refit(shared: Path) -> None:
    """Besiroglu et al. 2024: N* exponent .513, about 18 to 20 tokens a param at 5.76e23."""
    points = pd.read_csv(shared / "chinchilla_epoch" / "points_NDCL.csv")
    points = points[points["outlier_excluded_by_epoch"] == 0]
    runs = points.rename(columns={"N": "params", "D": "tokens"})[["params", "tokens", "loss"]]
    found = sk.fit(runs, "chinchilla", delta=1e-3, resamples=200, rng=0).frontier([1e21, 5.76e23])
    assert found.exponents.loc["params", "estimate"] == pytest.approx(0.513, abs=0.02)
    assert 17 < found.table["tokens_per_param"].iloc[-1] < 20
