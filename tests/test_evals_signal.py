"""Signal, decision accuracy, monotonicity, items, aggregates, noise weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

import scalekit as sk
from scalekit.errors import InputError
from scalekit.evals import (
    aggregate,
    crossed_components,
    decision_accuracy,
    fit_item_response,
    implied_decision_accuracy,
    iqm,
    item_table,
    mean_interval,
    monotonicity,
    probability_of_improvement,
    sd_interval,
    wilson_interval,
)
from scalekit.evals.aggregates import METRICS
from scalekit.evals.items import cronbach_alpha, item_statistics
from scalekit.evals.monotonicity import kendall_tau_b, tau_null_sd
from scalekit.files import to_json


def many(benchmarks: int, recipes: int, signal: float = 2.0, noise: float = 1.0) -> pd.DataFrame:
    """Scores of recipes with three seeds on many benchmarks, as one log."""
    rng = np.random.default_rng(recipes)
    shape = (benchmarks, recipes, 3)
    value = signal * rng.standard_normal(shape[:2])[..., None] + noise * rng.standard_normal(shape)
    b, r, s = (x.ravel() for x in np.indices(shape))
    return pd.DataFrame({"task": b, "model": r, "seed": s, "score": value.ravel()})


# --- signal to noise


def test_the_ratio_does_not_grow_with_the_number_of_recipes() -> None:
    """The range over the noise does: it is 2.3 SDs for 5 recipes and 4.3 for 40."""
    few, most = (sk.signal(many(40, n)).table for n in (5, 40))
    assert few["snr"].median() == pytest.approx(2.0, rel=0.25)
    assert most["snr"].median() == pytest.approx(2.0, rel=0.1)


def test_the_interval_of_the_ratio_covers() -> None:
    table = sk.signal(many(120, 8)).table
    hits = (table["ci_lower"] <= 2.0) & (table["ci_upper"] >= 2.0)
    assert 0.88 <= hits.mean() <= 0.995


def test_noise_is_what_was_asked_for() -> None:
    rng = np.random.default_rng(2)
    log = {f"r{k}": k + 0.5 * rng.standard_normal((4, 1, 1)) + 0.1 * rng.standard_normal((4, 1, 30))
           for k in range(6)}  # fmt: skip
    assert sk.signal(log, noise="step").table["noise_sd"].iloc[0] == pytest.approx(0.1, rel=0.2)
    assert sk.signal(log, noise="seed").table["noise_sd"].iloc[0] == pytest.approx(0.5, rel=0.4)
    with pytest.raises(InputError, match="The log shows no item noise"):
        sk.signal(log, noise="item")
    with pytest.raises(InputError, match=r"No noise 'stp'. Did you mean 'step'"):
        sk.signal(log, noise="stp")
    with pytest.raises(InputError, match="last=4 or more"):
        sk.signal(log, noise="step", last=2)


def test_item_noise_is_that_of_the_ranking_not_of_the_score() -> None:
    rng = np.random.default_rng(3)
    item = rng.standard_normal((1, 400))
    log = {f"r{k}": k + item + 0.5 * rng.standard_normal((1, 400)) for k in range(10)}
    found = sk.signal(log, noise="item").table.iloc[0]
    assert found["noise_sd"] == pytest.approx(0.5 / 20, rel=0.1)


def test_published_ratios_count_chance_and_ours_does_not() -> None:
    """Madaan et al. 2024: MMLU mean 25.86, SD .49 gives 52.5; above chance it is 1.76."""
    rng = np.random.default_rng(4)
    rows = [
        {"model": f"m{m}", "seed": s, "task": "mmlu", "acc": 0.2586 + 0.0049 * z}
        for m in range(40) for s, z in enumerate(rng.standard_normal(10))
    ]  # fmt: skip
    row = sk.signal(pd.DataFrame(rows)).table.iloc[0]
    assert row["mean_over_sd"] == pytest.approx(52.5, rel=0.15)
    assert row["above_chance_over_sd"] == pytest.approx(1.76, rel=0.15)
    assert row["snr"] < 0.6


def test_scales_are_rated_and_compared_with_the_largest() -> None:
    found = sk.signal(sk.example_evals(scales=True)).table
    assert found["scale"].nunique() == 3
    largest = found["scale"] == found["scale"].max()
    assert found.loc[largest, "decision_accuracy"].isna().all()
    assert found.loc[~largest, "decision_accuracy"].between(0, 1).all()
    assert found["best"].sum() == 9


def test_a_reference_gives_the_ordering_to_agree_with() -> None:
    log = {name: np.array([[k], [k + 0.1]]) for k, name in enumerate("abc")}
    agree = sk.signal(log, reference={"a": 1, "b": 2, "c": 3}).table["decision_accuracy"]
    against = sk.signal(log, reference={"a": 3, "b": 2, "c": 1}).table["decision_accuracy"]
    assert (agree.iloc[0], against.iloc[0]) == (1.0, 0.0)


def test_the_best_framing_of_a_task_is_marked() -> None:
    rng = np.random.default_rng(5)
    rows = [
        {"model": f"m{m}", "seed": s, "task": f"arc_easy_{form}",
         "acc": 0.4 + 0.02 * m + noise * rng.standard_normal()}
        for m in range(8) for s in range(3) for form, noise in (("rc", 0.002), ("mc", 0.05))
    ]  # fmt: skip
    found = sk.signal(pd.DataFrame(rows))
    assert found.table.set_index("benchmark")["best"].to_dict() == {
        "arc_easy_rc": True, "arc_easy_mc": False
    }  # fmt: skip
    assert "track acc of arc_easy_rc" in found.summary()


def test_one_recipe_has_no_signal() -> None:
    with pytest.raises(InputError, match="Signal needs two recipes or more"):
        sk.signal({"a": np.random.default_rng(0).random((3, 10))})


def test_the_result_has_the_shared_form(tmp_path: Path) -> None:
    for scales in (False, True):
        found = sk.signal(sk.example_evals(scales=scales))
        found.save(tmp_path / "s.json")
        assert sk.load(tmp_path / "s.json").summary() == found.summary()
        assert found.plot().get_xlabel() == ("scale" if scales else "signal to seed noise")


# --- decision accuracy


def test_ties_count_one_half() -> None:
    assert decision_accuracy([1, 1, 2], [1, 2, 3]) == pytest.approx((0.5 + 1 + 1) / 3)
    with pytest.raises(InputError, match="two vectors of one length"):
        decision_accuracy([1, 2], [1, 2, 3])


def test_the_closed_form_is_what_gaussian_scores_do() -> None:
    rng = np.random.default_rng(0)
    true = rng.standard_normal(2000)
    proxy = true + 0.7 * rng.standard_normal(2000)
    implied = float(implied_decision_accuracy(1 / 1.49))
    assert decision_accuracy(proxy, true) == pytest.approx(implied, abs=0.01)
    with pytest.raises(InputError, match="between 0 and 1"):
        implied_decision_accuracy(1.2)


def test_the_closed_form_is_what_item_subsets_of_real_benchmarks_do(shared: Path) -> None:
    """T11: four item-level benchmarks, within .025."""
    table = pd.read_parquet(shared / "eval_arena" / "item_level.parquet")
    rng = np.random.default_rng(0)
    for source in ("cruxeval_output", "mbpp_plus", "lcb", "humaneval_plus"):
        rows = table[table["source"] == source]
        scores = rows.pivot_table("pass1", "model", "example_id").to_numpy()
        squares = crossed_components(scores, ("model", "item"))
        model, residual = squares.estimate("model"), squares.estimate("residual")
        n = scores.shape[1]
        seen = []
        for _ in range(60):
            order = rng.permutation(n)
            seen.append(
                decision_accuracy(scores[:, order[:50]].mean(1), scores[:, order[50:]].mean(1))
            )
        reliability = [model / (model + residual / k) for k in (50, n - 50)]
        assert float(implied_decision_accuracy(*reliability)) == pytest.approx(
            np.mean(seen), abs=0.025
        )


# --- monotonicity


@settings(max_examples=50, deadline=None)
@given(arrays(float, st.integers(3, 25), elements=st.integers(-5, 5).map(float)))
def test_tau_b_is_that_of_scipy(y: np.ndarray) -> None:
    peer = stats.kendalltau(np.arange(len(y)), y).statistic
    assert kendall_tau_b(y) == pytest.approx(0.0 if np.isnan(peer) else peer)


def test_the_null_of_tau_is_the_published_one_and_true() -> None:
    """evals.md 1.7: .158 at 21 checkpoints."""
    assert tau_null_sd(21) == pytest.approx(0.158, abs=5e-4)
    rng = np.random.default_rng(0)
    drawn = [kendall_tau_b(rng.standard_normal(21)) for _ in range(2000)]
    assert np.std(drawn) == pytest.approx(0.158, rel=0.05)


def test_rise_is_in_noise_sds_and_direction_counts() -> None:
    rng = np.random.default_rng(1)
    rises = [monotonicity(np.linspace(0, 8, 21) + rng.standard_normal(21)).rise for _ in range(200)]
    assert np.mean(rises) == pytest.approx(8, rel=0.1)
    assert monotonicity([3, 2, 1], direction=-1).tau == 1.0
    assert monotonicity([1, 1, 1]).z == 0.0
    with pytest.raises(InputError, match="three checkpoints or more; got 2"):
        monotonicity([1, 2])


def test_pythia_tau_is_the_recomputed_one(shared: Path) -> None:
    """evals.md 5.8: lambada 70M .53 and 12B .91 over 27 steps."""
    table = pd.read_parquet(shared / "pythia_evals" / "pythia_long.parquet")
    rows = table[(table["suite"] == "pythia-v1") & (table["shots"] == "zero-shot")]
    rows = rows[rows["task"].eq("lambada_openai") & rows["metric"].eq("acc")]
    for model, tau in (("pythia-70m", 0.53), ("pythia-12b", 0.91)):
        one = rows[rows["model"] == model].sort_values("step")
        assert monotonicity(one["value"]).tau == pytest.approx(tau, abs=0.01)


# --- items


def test_discrimination_is_the_correlation_with_the_other_items() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((30, 6)) < 0.6).astype(float)
    difficulty, discrimination = item_statistics(y)
    for item in range(6):
        rest = np.delete(y, item, axis=1).mean(axis=1)
        assert discrimination[item] == pytest.approx(np.corrcoef(y[:, item], rest)[0, 1])
    np.testing.assert_allclose(difficulty, y.mean(axis=0))


def test_an_item_with_a_wrong_key_is_suspect() -> None:
    rng = np.random.default_rng(1)
    ability, b = rng.standard_normal((40, 1)), rng.standard_normal((1, 30))
    y = (rng.random((40, 30)) < 1 / (1 + np.exp(-2 * (ability - b)))).astype(float)
    y[:, 7] = 1 - y[:, 7]
    found = item_table({f"r{k}": y[k] for k in range(40)})
    assert found.loc[found["suspect"], "item"].tolist() == ["7"]
    assert found["reliability"].iloc[0] == pytest.approx(cronbach_alpha(y))
    with pytest.raises(InputError, match="three recipes or more"):
        item_table({"a": y[0], "b": y[1]})


def test_the_item_response_model_is_recovered() -> None:
    """T4: abilities within .06 at 100 x 2000, which girth cannot fit and py-irt takes 34 s for."""
    rng = np.random.default_rng(0)
    ability, b = rng.standard_normal(100), rng.standard_normal(2000)
    a = np.exp(0.3 * rng.standard_normal(2000))
    y = (rng.random((100, 2000)) < 1 / (1 + np.exp(-a * (ability[:, None] - b)))).astype(float)
    y[rng.random(y.shape) < 0.02] = np.nan
    found = fit_item_response(y)
    truth = (ability - ability.mean()) / ability.std()
    assert np.sqrt(np.mean((found.ability - truth) ** 2)) < 0.065
    assert np.corrcoef(np.log(found.discrimination), np.log(a))[0, 1] > 0.68
    assert np.mean(np.abs(found.ability - truth) < 2 * found.ability_se) > 0.85


def test_the_item_response_model_wants_zeros_and_ones() -> None:
    with pytest.raises(InputError, match="answers of 0 and 1"):
        fit_item_response(np.full((3, 3), 0.5))
    with pytest.raises(InputError, match="two of each; got shape"):
        fit_item_response(np.ones((1, 3)))


# --- aggregates


def test_aggregates_are_their_definitions() -> None:
    x = np.random.default_rng(0).random((5, 11))
    assert float(iqm(x)) == pytest.approx(stats.trim_mean(x, 0.25, axis=None))
    assert float(METRICS["median"](x)) == pytest.approx(np.median(x.mean(axis=0)))
    assert float(METRICS["optimality_gap"](x)) == pytest.approx(1 - np.minimum(x, 1).mean())
    y = np.random.default_rng(1).random((4, 11))
    peer = np.mean([stats.mannwhitneyu(x[:, t], y[:, t]).statistic / 20 for t in range(11)])
    assert probability_of_improvement(x, y) == pytest.approx(peer)


def test_the_same_seed_gives_the_same_interval() -> None:
    """rliable ignores its random_state."""
    x = np.random.default_rng(0).random((5, 20))
    assert aggregate(x, rng=1) == aggregate(x, rng=1)
    assert aggregate(x, rng=1).interval != aggregate(x, rng=2).interval


def test_the_interval_of_the_iqm_covers_at_three_runs() -> None:
    """T6: 92 or more, where the percentile bootstrap reaches 85."""
    rng = np.random.default_rng(2)
    centre, spread = rng.lognormal(0, 1, 40), rng.lognormal(-2, 0.7, 40)
    draw = centre + spread * rng.standard_normal((3000, 3, 40))
    truth, ours, percentile = float(iqm(draw).mean()), 0, 0
    for k in range(200):
        found = aggregate(centre + spread * rng.standard_normal((3, 40)), resamples=300, rng=k)
        ours += truth in found.interval
        percentile += truth in found.percentile
    assert ours / 200 >= 0.91
    assert percentile < ours


@pytest.mark.parametrize(
    ("scores", "metric", "message"),
    [
        (np.ones((1, 5)), "iqm", "two runs or more"),
        (np.ones((3, 5)), "iqr", "No aggregate 'iqr'. Did you mean 'iqm'"),
        (np.full((3, 5), np.nan), "iqm", "NaN among the scores"),
    ],
)
def test_what_cannot_be_aggregated(scores: np.ndarray, metric: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        aggregate(scores, metric)


# --- weights for fits


def test_noise_weights_are_shrunk_standard_errors_by_run() -> None:
    rng = np.random.default_rng(0)
    log = {f"{n}M": rng.normal(3, 0.02, (3, 1)) for n in (10, 20, 40, 80, 160, 320)}
    found = sk.noise_weights(log)
    raw = np.array([y.std(ddof=1) / np.sqrt(3) for y in log.values()])
    assert found.index.name == "run"
    assert found["noise"].std() < raw.std()
    assert found["noise"].mean() == pytest.approx(0.02 / np.sqrt(3), rel=0.4)


def test_shrunk_weights_do_not_hurt_where_noise_is_equal_and_help_where_not() -> None:
    rng = np.random.default_rng(1)
    x = np.linspace(0, 1, 8)
    for sds, most in ((np.full(8, 0.02), 1.15), (0.06 * 10 ** (-1.2 * x), 0.9)):
        plain, weighted = [], []
        for _ in range(25):
            y = {f"{k}": x[k] + sds[k] * rng.standard_normal((3, 1)) for k in range(8)}
            table = sk.noise_weights(y)
            w = 1 / table["noise"].to_numpy()
            value = table["value"].to_numpy()
            plain.append(np.polyval(np.polyfit(x, value, 1), 2) - 2)
            weighted.append(np.polyval(np.polyfit(x, value, 1, w=w), 2) - 2)
        assert np.std(weighted) < most * np.std(plain)


def test_step_noise_stands_in_for_missing_seeds() -> None:
    rng = np.random.default_rng(2)
    log = {name: 3 + 0.01 * rng.standard_normal((1, 1, 12)) for name in "abcd"}
    found = sk.noise_weights(log, step_to_seed=2.0)
    assert "step noise" in found["source"].iloc[0]
    assert found["noise"].mean() == pytest.approx(0.02, rel=0.4)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ({"a": [[1.0]], "b": [[2.0]]}, "one seed per run and fewer than four checkpoints"),
        ({"a": np.ones((3, 1)), "b": np.ones((3, 1))}, "never varies between seeds"),
    ],
)
def test_what_has_no_noise_to_weigh_by(log: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.noise_weights(log)


def test_weights_are_for_one_benchmark_and_metric() -> None:
    with pytest.raises(InputError, match="Name one benchmark and one metric"):
        sk.noise_weights(sk.example_evals())


# --- levels


LEVELS = {
    "benchmark_variance": lambda level: sk.benchmark_variance(sk.example_evals(), level),
    "signal": lambda level: sk.signal(sk.example_evals(), confidence_level=level),
    "power": lambda level: sk.power(sk.example_evals(), confidence_level=level),
    "compare": lambda level: sk.compare_models(
        sk.example_evals(), "base", "decay", confidence_level=level
    ),
    "aggregate": lambda level: aggregate([[0.1], [0.2]], confidence_level=level),
    "mean_interval": lambda level: mean_interval([1.0, 2.0], level),
    "sd_interval": lambda level: sd_interval([1.0, 2.0], level),
    "wilson_interval": lambda level: wilson_interval(1, 2, level),
    "agreement": lambda level: sk.agreement(SCORES, confidence_level=level),
    "pruning_frontier": lambda level: sk.pruning_frontier(PRUNED, confidence_level=level),
}
SCORES = pd.DataFrame({"id": range(20), "el2n": np.arange(20.0), "loss": np.arange(20.0) % 7})
PRUNED = pd.DataFrame({"fraction": 1.0, "n": [1, 2, 3], "error": 0.1})


@pytest.mark.parametrize("name", LEVELS)
def test_a_level_in_percent_is_refused_everywhere(name: str) -> None:
    with pytest.raises(InputError) as refused:
        LEVELS[name](95)
    least = 0.5 if name == "compare" else 0
    assert str(refused.value) == (
        f"confidence_level (--level) must lie between {least} and 1, such as 0.95; got 95. For 95% "
        "give 0.95."
    )


def test_the_level_of_every_interval_is_told_as_it_is() -> None:
    example = sk.example_evals()
    assert "] (99.5% interval)" in sk.benchmark_variance(example, 0.995).summary()
    assert "] (99.5% interval)" in sk.signal(example, confidence_level=0.995).summary()
    assert ", 99.5% confidence:" in sk.power(example, confidence_level=0.995).summary()
    found = sk.compare_models(example, "base", "decay", metric="acc", confidence_level=0.995)
    assert " (99.5% interval [" in found.summary()


def test_the_best_metric_is_not_said_to_lead_where_the_next_is_within_its_interval() -> None:
    told = sk.signal(sk.example_evals()).summary().splitlines()
    assert told[:2] == [
        "digits: track nll: signal to seed noise 10.3 [5.09, 39] (95% interval), the next 2.97; "
        "97% of pairs ordered rightly by one run.",
        "digits_noisy: track acc: signal to seed noise 5.07 [2.48, 19.2] (95% interval), not "
        "clearly above the next 4.81; 94% of pairs ordered rightly by one run.",
    ]


def test_a_loaded_rating_writes_what_the_first_one_wrote(tmp_path: Path) -> None:
    found = sk.signal(sk.example_evals())
    loaded = sk.load(found.save(tmp_path / "signal.json"))
    assert to_json(loaded.to_dict()) == to_json(found.to_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"last": 0}, "last (--last) is a number of checkpoints, 1 or more; got 0."),
        ({"reference": {"bse": 1.0}}, "reference names the recipe 'bse', which the log has not. "
         "Did you mean 'base'? There are: augmented, base, decay, noisy_labels."),
    ],
)  # fmt: skip
def test_arguments_that_name_nothing_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError) as refused:
        sk.signal(sk.example_evals(), **arguments)
    assert str(refused.value) == message
