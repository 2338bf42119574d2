"""Which runs to buy: the plan beats chance, obeys its budget, and knows what it is asked."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.fitters.comparison import Comparison
from scalekit.fitters.fitted import Fit
from scalekit.fitters.planning import _expected_probability

NOISE = 0.004


def loss_of(x: np.ndarray, name: str) -> np.ndarray:
    constant, amplitude = {"a": (1.80, 1.5), "b": (1.75, 1.62)}[name]
    return np.asarray(constant + amplitude * (x / 1e18) ** -0.25)


def runs_of(seed: int = 0, x: np.ndarray | None = None) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = np.geomspace(1e18, 1e20, 8) if x is None else x
    return pd.concat([
        pd.DataFrame({"recipe": name, "flops": x,
                      "loss": loss_of(x, name) * np.exp(NOISE * rng.standard_normal(len(x)))})
        for name in ("a", "b")
    ])  # fmt: skip


@pytest.fixture(scope="module")
def duel() -> Comparison:
    return sk.compare(runs_of(), by="recipe", law="power_constant", at=1e21, resamples=400,
                      drift=False, rng=0)  # fmt: skip


@pytest.fixture(scope="module")
def single() -> Fit:
    return sk.fit(runs_of().query("recipe == 'a'")[["flops", "loss"]], "power_constant",
                  along="flops", resamples=400, rng=0)  # fmt: skip


CANDIDATES = {"flops": np.geomspace(1e18, 1e21, 10)}


def test_the_plan_obeys_its_budget_and_shrinks_the_interval_step_by_step(duel: Comparison) -> None:
    plan = sk.next_runs(duel, CANDIDATES, budget=1e21)
    assert plan.table["spent"].iloc[-1] <= 1e21 * (1 + 1e-9)
    steps = [plan.before, *plan.table["expected_deviation"]]
    assert all(later < earlier for earlier, later in pairwise(steps))
    assert {"a", "b"} >= set(plan.table["system"])
    assert "FLOPs would bring the 95% interval" in plan.summary()


def test_a_larger_budget_never_tells_less(duel: Comparison) -> None:
    left = [sk.next_runs(duel, CANDIDATES, budget=b).after for b in (1e19, 1e20, 1e21)]
    assert left[0] >= left[1] >= left[2]


def test_no_run_is_bought_once_the_verdict_is_settled() -> None:
    rng = np.random.default_rng(1)
    noisy = runs_of().assign(loss=lambda t: t["loss"] * np.exp(0.01 * rng.standard_normal(len(t))))
    open_duel = sk.compare(noisy, by="recipe", law="power_constant", at=1e23, resamples=400,
                           drift=False, rng=0)  # fmt: skip
    assert open_duel.win_probability()["win_probability"].max() < 0.95
    plan = sk.next_runs(open_duel, {"flops": np.geomspace(1e19, 1e23, 9)}, most=8)
    expected = plan.table["expected_probability"].to_numpy()
    assert expected[-1] >= 0.95
    assert (expected[:-1] < 0.95).all()


def test_for_the_loss_far_out_the_runs_nearest_to_it_tell_most(single: Fit) -> None:
    plan = sk.next_runs(single, CANDIDATES, at=1e22, most=1)
    assert plan.table["flops"].iloc[0] == pytest.approx(1e21)
    alone = plan.ranking.set_index("flops")["variance_removed"]
    assert alone.idxmax() == pytest.approx(1e21)


@pytest.mark.parametrize("question", ["loss", "alpha", "parameters"])
def test_a_fit_can_be_asked_for_its_loss_and_its_parameters(single: Fit, question: str) -> None:
    plan = sk.next_runs(single, CANDIDATES, question=question)
    assert 0 < plan.after < plan.before


def test_the_optimum_can_be_planned_for() -> None:
    rng = np.random.default_rng(0)
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = (1.8 + 450 / n**0.34 + 400 / d**0.3) * np.exp(3e-3 * rng.standard_normal(25))
    fit = sk.fit({"params": n, "tokens": d, "loss": loss}, "chinchilla", resamples=300, rng=0)
    offers = pd.DataFrame({"params": [3e8, 3e9, 3e9], "tokens": [3e10, 1e10, 3e11]})
    plan = sk.next_runs(fit, offers, question="optimum", at=1e23, most=2)
    assert 0 < plan.after < plan.before
    with pytest.raises(InputError, match=r"needs a budget"):
        sk.next_runs(fit, offers, question="optimum")


def test_the_crossing_is_best_told_by_runs_about_it(duel: Comparison) -> None:
    plan = sk.next_runs(duel, CANDIDATES, question="crossover", budget=3e20)
    assert 0 < plan.after < plan.before
    assert plan.unit == "in log scale"


def test_chosen_runs_beat_random_ones_and_one_larger_run_of_equal_cost() -> None:
    """The plan is judged by the true posterior spread: refit with the new runs in, many times."""
    budget, errors = 4e20, {"plan": [], "random": [], "one larger": []}
    exact = float(np.log(loss_of(np.array([1e21]), "b") / loss_of(np.array([1e21]), "a"))[0])
    offers = np.geomspace(1e18, 4e20, 9)
    rng = np.random.default_rng(0)

    def judge(start: pd.DataFrame, bought: list[tuple[str, float]]) -> float:
        extra = pd.DataFrame(bought, columns=["recipe", "flops"])
        extra["loss"] = [
            float(loss_of(np.array([x]), name)[0] * np.exp(NOISE * rng.standard_normal()))
            for name, x in bought
        ]
        values = {}
        for name, rows in pd.concat([start, extra]).groupby("recipe"):
            fit = sk.fit(rows[["flops", "loss"]], "power_constant", along="flops", resamples=0,
                         objective="log_squares", starts=4)  # fmt: skip
            values[name] = float(np.log(fit.predict(flops=1e21).table["predicted"].iloc[0]))
        return (values["b"] - values["a"] - exact) ** 2

    for k in range(8):
        start = runs_of(k)
        found = sk.compare(start, by="recipe", law="power_constant", at=1e21, resamples=150,
                           objective="log_squares", drift=False, rng=k)  # fmt: skip
        plan = sk.next_runs(found, {"flops": offers}, budget=budget, most=6).table
        shuffled: list[tuple[str, float]] = []
        left = budget
        for place in rng.permutation(2 * len(offers)):
            x = offers[place % len(offers)]
            if x <= left and len(shuffled) < 6:
                shuffled.append(("ab"[place // len(offers)], float(x)))
                left -= x
        chosen = list(zip(plan["system"], plan["flops"], strict=True))
        errors["plan"].append(judge(start, chosen))
        errors["random"].append(judge(start, shuffled))
        errors["one larger"].append(judge(start, [("b", budget)]))
    mean = {name: float(np.mean(values)) for name, values in errors.items()}
    assert mean["plan"] < mean["random"]
    assert mean["plan"] < mean["one larger"]


def test_the_expected_probability_goes_from_now_to_certainty() -> None:
    now = _expected_probability(0.8413, 0.01, 0.01)
    assert now == pytest.approx(0.8413, abs=1e-3)
    assert _expected_probability(0.8413, 0.01, 0.005) > now
    assert _expected_probability(0.8413, 0.01, 0.0) == 1.0


def test_what_is_expected_without_news_is_what_the_comparison_says(duel: Comparison) -> None:
    said = duel.win_probability(3e19)["win_probability"].max()
    noisy = sk.next_runs(duel, CANDIDATES, budget=1e21, at=3e19, noise=100.0, most=1)
    assert not len(noisy.table)
    helped = sk.next_runs(duel, CANDIDATES, budget=1e21, at=3e19).table
    assert (helped["expected_probability"] > min(said, 0.99) - 0.005).all()


def test_a_plan_is_saved_and_drawn(duel: Comparison, tmp_path: Path) -> None:
    plan = sk.next_runs(duel, CANDIDATES, budget=1e21)
    assert plan.plot().lines
    assert sk.load(plan.save(tmp_path / "plan.json")).summary() == plan.summary()


def test_candidates_may_be_written_as_people_write_them(single: Fit) -> None:
    written = sk.next_runs(single, {"flops": ["1 EFLOP", "1,000 EFLOPs"]})
    plain = sk.next_runs(single, {"flops": [1e18, 1e21]})
    pd.testing.assert_frame_equal(written.table, plain.table)
    with pytest.raises(InputError, match="row 1: column 'flops' holds 'lots'"):
        sk.next_runs(single, {"flops": ["lots"]})


def test_what_cannot_be_planned_is_refused_with_advice(duel: Comparison, single: Fit) -> None:
    with pytest.raises(InputError, match=r"cheapest costs"):
        sk.next_runs(duel, CANDIDATES, budget=1.0)
    with pytest.raises(InputError, match=r"cannot be asked for 'verdikt'.*'verdict'"):
        sk.next_runs(duel, CANDIDATES, question="verdikt")
    with pytest.raises(InputError, match=r"cannot be asked for 'los'.*'loss'"):
        sk.next_runs(single, CANDIDATES, question="los")
    with pytest.raises(ColumnNotFoundError, match=r"no column 'flops'"):
        sk.next_runs(single, {"tokens": [1e9]})
    with pytest.raises(InputError, match=r"names? the system 'c'"):
        sk.next_runs(duel, {"recipe": ["c"], "flops": [1e20]})
    bare = sk.fit({"flops": [1e18, 1e19, 1e20], "loss": [3.0, 2.5, 2.2]}, "power", along="flops",
                  resamples=0)  # fmt: skip
    with pytest.raises(InputError, match=r"draws of a bootstrap"):
        sk.next_runs(bare, CANDIDATES)
