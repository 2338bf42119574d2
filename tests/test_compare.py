"""Comparing recipes: verdicts, crossovers, pairing, selection, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, FitError, InputError
from scalekit.fitters.comparison import Comparison
from tests.recipes import TRUE_CROSSING, two_recipes


@pytest.fixture(scope="module")
def duel() -> Comparison:
    return sk.compare(
        two_recipes(), by="recipe", law="power_constant", at=[1e21, 1e22], resamples=400, rng=0
    )


def test_the_crossing_lies_in_its_interval_and_is_told_in_a_sentence(duel: Comparison) -> None:
    cross = duel.crossover()
    assert cross.status == "crosses"
    assert (cross.winner, cross.loser) == ("new", "old")
    assert TRUE_CROSSING in cross.interval
    assert cross.probability > 0.95
    assert "new overtakes old at" in duel.summary().splitlines()[0]


def test_probabilities_of_being_best_sum_to_one_and_regret_is_not_negative(
    duel: Comparison,
) -> None:
    table = duel.win_probability([1e18, 1e20, 1e22])
    assert table.groupby("at")["win_probability"].sum().to_numpy() == pytest.approx([1, 1, 1])
    assert (table["regret"] >= 0).all()
    best = table[(table["at"] == 1e22)].set_index("system")["win_probability"]
    assert best["new"] > 0.9


def test_at_the_crossing_neither_is_favoured(duel: Comparison) -> None:
    at = duel.crossover().median
    chance = duel.win_probability(at).set_index("system")["win_probability"]["new"]
    assert chance == pytest.approx(0.5, abs=0.1)


def test_efficiency_is_the_ratio_of_compute_for_the_same_loss() -> None:
    x = np.geomspace(1e18, 1e21, 8)
    runs = pd.DataFrame({
        "recipe": ["a"] * 8 + ["b"] * 8,
        "flops": np.tile(x, 2),
        "loss": np.concatenate([2 + 3 * (x / 1e18) ** -0.3, 2 + 3 * (2.5 * x / 1e18) ** -0.3]),
    })  # fmt: skip
    duel = sk.compare(runs, by="recipe", law="power_constant", resamples=50, rng=0)
    row = duel.efficiency(1e21, "a", "b").iloc[0]
    assert row["ratio"] == pytest.approx(2.5, rel=1e-2)


def test_no_crossing_is_an_answer() -> None:
    runs = two_recipes()
    runs.loc[runs["recipe"] == "new", "loss"] *= 0.8
    cross = sk.compare(runs, by="recipe", rng=0, law="power_constant").crossover(
        within=(1e18, 1e21)
    )
    assert cross.status == "none in range"
    assert cross.winner == "new"
    assert "ahead of old throughout" in cross.sentence()


def test_runs_that_hardly_differ_leave_the_crossing_unidentified() -> None:
    rng = np.random.default_rng(1)
    x = np.tile(np.geomspace(1e18, 1e20, 8), 2)
    loss = (1.8 + 1.5 * (x / 1e18) ** -0.25) * np.exp(0.02 * rng.standard_normal(16))
    runs = pd.DataFrame({"recipe": ["a"] * 8 + ["b"] * 8, "flops": x, "loss": loss})
    duel = sk.compare(runs, by="recipe", law="power_constant", rng=0)
    cross = duel.crossover()
    assert cross.status == "not identified"
    assert cross.open_above
    assert "crossover_not_identified" in {note.code for note in cross.notes}


def test_noise_that_the_recipes_share_cancels_in_their_difference() -> None:
    """Both recipes see the same data order: their losses move together, their gap does not."""
    runs = two_recipes(noise=0.0005, shared=0.02, seed=2)
    paired = sk.compare(runs, by="recipe", law="power_constant", drift=False, resamples=300, rng=0)
    apart = runs.assign(seed=np.arange(len(runs)))
    alone = sk.compare(
        apart,
        by="recipe",
        law="power_constant",
        drift=False,
        pair_by=["seed"],
        resamples=300,
        rng=0,
    )

    def width(found: Comparison) -> float:
        row = found.difference(1e20).iloc[0]
        return float(row["ci_upper"] - row["ci_lower"])

    assert width(paired) < 0.3 * width(alone)
    assert "100% of configurations shared" in paired.interval_method
    assert "0% of configurations shared" in alone.interval_method


def test_the_same_seed_gives_the_same_answer_and_another_seed_another() -> None:
    runs = two_recipes()
    first, again, other = (
        sk.compare(runs, by="recipe", law="power", resamples=100, rng=seed) for seed in (3, 3, 4)
    )
    assert first.to_dict() == again.to_dict()
    assert first.to_dict() != other.to_dict()


def test_a_law_that_misses_the_larger_runs_is_given_less_trust() -> None:
    x = np.geomspace(1, 1e3, 12)
    rng = np.random.default_rng(0)
    parts = []
    for name, bend in (("a", 0.0), ("b", 0.1)):
        loss = 3 * x**-0.02 * np.where(x > 20, (x / 20) ** -bend, 1.0)
        noisy = loss * np.exp(1e-3 * rng.standard_normal(12))
        parts.append(pd.DataFrame({"group": name, "flops": x * 1e18, "loss": noisy}))
    runs = pd.concat(parts)
    trusting, wary = (
        sk.compare(runs, law="power", drift=drift, resamples=200, rng=0) for drift in (False, True)
    )
    assert trusting.drift == 0
    assert wary.drift > 0
    assert "drift" in {note.code for note in wary.notes}
    row, other = (d.difference(1e22).iloc[0] for d in (trusting, wary))
    assert other["ci_upper"] - other["ci_lower"] > row["ci_upper"] - row["ci_lower"]


def test_a_saved_comparison_comes_back_whole(duel: Comparison, tmp_path: Path) -> None:
    path = duel.save(tmp_path / "duel.json")
    back = sk.load(path)
    assert isinstance(back, Comparison)
    assert back.summary() == duel.summary()
    assert back.to_dict() == duel.to_dict()
    cross = duel.crossover()
    assert sk.load(cross.save(tmp_path / "cross.json")).to_dict() == cross.to_dict()


def test_the_json_of_a_comparison_has_the_fields_of_the_house(duel: Comparison) -> None:
    values = json.loads(json.dumps(duel.to_dict()))
    assert values["kind"] == "comparison"
    assert values["systems"] == ["old", "new"]
    keys = {"median", "ci_lower", "ci_upper", "probability", "status"}
    assert keys <= set(values["crossover"])
    assert set(values["win_probability"]) == {"old", "new"}
    assert values["params"]["old.alpha"].keys() == {"estimate", "ci_lower", "ci_upper"}


def test_more_than_two_systems_are_ranked() -> None:
    runs = two_recipes()
    third = runs[runs["recipe"] == "old"].assign(recipe="third", loss=lambda t: 1.05 * t["loss"])
    duel = sk.compare(pd.concat([runs, third]), by="recipe", law="power_constant", rng=0,
                      resamples=200, at=1e21)  # fmt: skip
    assert set(duel.systems) == {"old", "new", "third"}
    assert len(duel.to_dict()["crossovers"]) == 3
    assert "wins with probability" in duel.sentence()
    assert duel.crossover("third", "old").winner == "old"


def test_verdicts_across_metrics_say_whether_they_agree() -> None:
    runs = two_recipes()
    flipped = runs.assign(recipe=runs["recipe"].map({"old": "new", "new": "old"}))
    same = pd.concat([runs.assign(metric="a"), runs.assign(metric="b")])
    mixed = pd.concat([runs.assign(metric="a"), flipped.assign(metric="b")])
    options = {"by": "recipe", "law": "power_constant", "resamples": 200, "at": 1e22, "rng": 0}
    agree = sk.compare_across(same, "metric", **options)
    assert agree.agree
    assert "new is best on all 2 of metric" in agree.sentence()
    differ = sk.compare_across(mixed, "metric", **options)
    assert not differ.agree
    assert "the verdict depends on metric" in differ.sentence()


def test_plots_can_be_drawn(duel: Comparison) -> None:
    for ax in (duel.plot(), duel.plot_win_probability(), duel.crossover().plot()):
        assert ax.lines
    third = sk.compare_across(two_recipes().assign(metric="m"), "metric", "recipe", resamples=50)
    assert third.plot().lines


def test_what_cannot_be_compared_is_refused_with_advice() -> None:
    runs = two_recipes()
    with pytest.raises(InputError, match=r"no column 'recipes'.*Did you mean 'recipe'"):
        sk.compare(runs, by="recipes")
    with pytest.raises(InputError, match=r"names only old"):
        sk.compare(runs[runs["recipe"] == "old"], by="recipe")
    with pytest.raises(InputError, match=r"--columns loss=1-COLUMN"):
        sk.compare(runs.assign(loss=-1.0), by="recipe")
    with pytest.raises(InputError, match=r"no selection 'frontiers'.*'frontier'"):
        sk.compare(runs, by="recipe", select="frontiers")
    with pytest.raises(FitError, match=r"System 'new'.*3 free parameters"):
        sk.compare(runs.drop(runs.index[-7:]), by="recipe", law="power_constant")
    with pytest.raises(InputError, match=r"no column.*flop"):
        sk.compare(runs, by="recipe", along="flop")
    with pytest.raises(InputError, match=r"positive numbers"):
        sk.compare(runs, by="recipe", law="power", resamples=20, at=-1)


def test_a_system_that_is_not_there_is_named(duel: Comparison) -> None:
    with pytest.raises(ColumnNotFoundError, match=r"no system 'nw'.*'new'"):
        duel.crossover("nw")
    with pytest.raises(InputError, match=r"with itself"):
        duel.crossover("new", "new")
    with pytest.raises(InputError, match=r"two growing positive numbers"):
        duel.crossover(within=(1e20, 1e19))


def test_clip_and_mammut_cross_where_their_frontiers_do(shared: Path) -> None:
    """LAION (arXiv:2506.04598): the crossing is read off the plot at 1e10 to 1e11 GFLOPs."""
    table = pd.read_csv(shared / "laion_clip_mammut" / "best_per_arch_samples.csv")
    table = table.query(
        "downstream_dataset == 'imagenet1k' and pretrain_dataset == 'datacomp_1b' and "
        "lr_scheduler == 'cosine' and family in ['clip', 'mammut']"
    )
    runs = pd.DataFrame({
        "family": table["family"], "flops": table["gflops_total"], "loss": 1 - table["value"],
        "params": table["mparams"] * 1e6,
    })  # fmt: skip
    cross = sk.compare(runs, by="family", confidence_level=0.9, rng=0).crossover(within=(1e8, 1e13))
    assert cross.winner == "mammut"
    assert cross.status == "crosses"
    assert 4e10 < cross.median < 1.8e11
    early = sk.compare(runs[runs["flops"] <= 5e10], by="family", confidence_level=0.9, rng=0)
    assert cross.median in early.crossover(within=(1e8, 1e13)).interval


def test_a_repeated_row_does_not_undo_the_pairing_but_training_curves_do() -> None:
    runs = two_recipes(shared=0.01).assign(run=lambda t: [f"r{k % 9}" for k in range(len(t))])
    twice = pd.concat([runs, runs.iloc[[0]]])
    options = {"by": "recipe", "law": "power_constant", "resamples": 40, "rng": 0}
    assert "100% of configurations shared" in sk.compare(twice, **options).interval_method
    curves = pd.concat([runs, runs.assign(flops=runs["flops"] / 2, loss=runs["loss"] * 1.03)])
    assert "0% of configurations shared" in sk.compare(curves, **options).interval_method


def test_names_that_differ_only_in_case_are_asked_about() -> None:
    runs = two_recipes()
    runs.loc[0, "recipe"] = "Old "
    with pytest.raises(InputError, match=r"'Old ' and 'old'.*only in case or spaces"):
        sk.compare(runs, by="recipe")


def test_advice_is_never_to_run_the_run_that_is_asked_about() -> None:
    duel = sk.compare(two_recipes(noise=0.02), by="recipe", at=5e20, resamples=300, rng=0)
    advice = duel.advice()
    assert advice
    assert "4e+20" not in advice
    assert "8e+20" not in advice
