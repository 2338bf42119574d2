"""compare_models: real, equivalent, not resolved, or refused; and what the verdict rests on."""

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
from scalekit.evals import benjamini_hochberg, crossed_difference, holm


def recipes(
    rng: np.random.Generator, k: int, n: int, shift: float = 0.0, seed_sd: float = 0.07
) -> tuple[np.ndarray, np.ndarray]:
    """Two recipes, logit model with recipe by item and seed by item noise (evals.md 5.1)."""
    item = 0.3 + 1.5 * rng.standard_normal(n)
    answers = []
    for effect in (shift, 0.0):
        logit = item + effect + 0.5 * rng.standard_normal(n) + seed_sd * rng.standard_normal((k, 1))
        logit = logit + 0.5 * rng.standard_normal((k, n))
        answers.append((rng.random((k, n)) < 1 / (1 + np.exp(-logit))).astype(float))
    return answers[0], answers[1]


def log(pairs: dict[str, tuple[np.ndarray, np.ndarray]], **extra: object) -> pd.DataFrame:
    rows = []
    for benchmark, both in pairs.items():
        for name, answers in zip("ab", both, strict=True):
            seed, item = (x.ravel() for x in np.indices(np.atleast_2d(answers).shape))
            rows.append(pd.DataFrame({"model": name, "task": benchmark, "seed": seed, "item": item,
                                      "acc": np.ravel(answers)}))  # fmt: skip
    return pd.concat(rows).assign(**extra)


def notes_of(result: object) -> set[str]:
    return {note.code for note in result.notes}  # type: ignore[attr-defined]


# --- the crossed t


@pytest.mark.parametrize("k", [3, 5])
def test_equal_recipes_are_called_different_in_five_percent(k: int) -> None:
    """T7; the paired item test on one seed is wrong in a third of these."""
    rng = np.random.default_rng(k)
    crossed = paired = 0
    for _ in range(400):
        a, b = recipes(rng, k, 2000, seed_sd=0.1)
        crossed += crossed_difference(a, b).p_value() < 0.05
        paired += stats.ttest_rel(a[0], b[0]).pvalue < 0.05
    assert crossed / 400 <= 0.075
    assert paired / 400 > 0.2


def test_without_seed_noise_it_is_the_paired_test_over_items() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 200)), rng.random((1, 200))
    found = crossed_difference(a, b, seed_variance=(0.0, np.inf))
    assert found.p_value() == pytest.approx(stats.ttest_rel(a[0], b[0]).pvalue)


def test_without_item_noise_it_is_the_t_test_over_seeds() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((4, 1)), rng.standard_normal((4, 1))
    found = crossed_difference(np.tile(x, 50), np.tile(y, 50))
    assert found.p_value() == pytest.approx(stats.ttest_ind(x.ravel(), y.ravel()).pvalue)
    z = rng.standard_normal((7, 1))
    unequal = crossed_difference(np.tile(x, 50), np.tile(z, 50))
    peer = stats.ttest_ind(x.ravel(), z.ravel(), equal_var=False)
    assert (unequal.p_value(), unequal.df) == pytest.approx((peer.pvalue, peer.df))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 100), st.floats(-100, 100))
def test_the_p_value_ignores_unit_and_origin_and_order(
    seed: int, unit: float, origin: float
) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 3, 30))
    p = crossed_difference(a, b).p_value()
    assert crossed_difference(unit * (a + origin), unit * (b + origin)).p_value() == pytest.approx(
        p, rel=1e-4
    )
    assert crossed_difference(b, a).p_value() == pytest.approx(p)


def test_clustered_items_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(40), 10)
    shared = rng.standard_normal(40)[codes]
    a = shared + rng.standard_normal((3, 400))
    b = rng.standard_normal((3, 400))
    wide = crossed_difference(a, b, codes).standard_error
    assert wide > 1.5 * crossed_difference(a, b).standard_error


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 5)), np.zeros((1, 5)), "One seed: the noise between training runs"),
        (np.zeros((2, 1)), np.zeros((2, 1)), "One item: the noise over items"),
        (np.zeros((2, 5)), np.zeros((2, 6)), "answered 5 and 6 items"),
        (np.full((2, 5), np.nan), np.zeros((2, 5)), "NaN among the answers"),
    ],
)
def test_what_the_crossed_t_cannot_use(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        crossed_difference(a, b)


# --- verdicts


def test_a_large_difference_is_real_and_names_the_better_recipe() -> None:
    a, b = recipes(np.random.default_rng(0), 5, 2000, shift=0.6)
    found = sk.compare_models(log({"arc_easy": (a, b)}))
    assert found.verdict() == "real"
    assert "real. a is better than b" in found.summary()
    lower_is_better = sk.read_evals(log({"arc_easy": (a, b)}), lower_is_better=["acc"])
    assert "b is better than a" in sk.compare_models(lower_is_better).summary()


def test_a_tie_is_equivalent_within_a_margin_and_open_without_one() -> None:
    a, b = recipes(np.random.default_rng(1), 6, 4000, seed_sd=0.01)
    table = log({"arc_easy": (a, b)})
    assert sk.compare_models(table).verdict() == "not resolved"
    assert sk.compare_models(table, margin=0.03).verdict() == "equivalent"
    assert sk.compare_models(table, margin={"arc_easy": 0.03}).verdict() == "equivalent"


def test_an_open_question_names_an_addition_that_would_resolve_it() -> None:
    a, b = recipes(np.random.default_rng(3), 3, 500, shift=0.1)
    row = sk.compare_models(log({"arc_easy": (a, b)})).table.iloc[0]
    assert row["verdict"] == "not resolved"
    assert "instead of" in row["cheapest"]
    assert row["cheapest"] in row["sentence"]
    assert row["added_cost"] > 0


def test_what_is_cheap_decides_what_to_add() -> None:
    a, b = recipes(np.random.default_rng(3), 3, 500, shift=0.1)
    table = log({"arc_easy": (a, b)})
    by_seeds = sk.compare_models(table, costs={"seed": 0, "item": 1e6}).table["cheapest"].iloc[0]
    by_items = sk.compare_models(table, costs={"seed": 1e9, "item": 0}).table["cheapest"].iloc[0]
    assert "seeds" in by_seeds
    assert "items" in by_items


def test_verdicts_follow_p_adjusted_over_benchmarks() -> None:
    rng = np.random.default_rng(4)
    pairs = {f"t{k}": recipes(rng, 4, 400, shift=0.25 * (k == 0)) for k in range(8)}
    table = sk.compare_models(log(pairs)).table
    own = table[table["benchmark"] != "(average)"]
    np.testing.assert_allclose(own["p_holm"], holm(own["p"]))
    np.testing.assert_allclose(own["p_bh"], benjamini_hochberg(own["p"]))
    assert ((own["verdict"] == "real") == (own["p_holm"] < 0.05)).all()
    loose = sk.compare_models(log(pairs), adjust="none").table
    assert ((loose["verdict"] == "real") == (loose["p"] < 0.05)).all()


def test_a_p_value_is_called_adjusted_where_it_is() -> None:
    told = sk.compare_models(sk.example_evals(), "base", "decay", metric="acc").table
    said = dict(zip(told["benchmark"], told["sentence"], strict=True))
    assert "adjusted p = 0.035)" in said["digits_noisy"]
    assert "], p = 0.11)" in said["(average)"]


def test_the_plot_says_where_lower_is_better() -> None:
    labels = [
        sk.compare_models(sk.example_evals(), "base", "decay", metric=metric).plot().get_xlabel()
        for metric in ("acc", "nll")
    ]
    assert labels == [
        "base minus decay, with 95% intervals",
        "base minus decay, with 95% intervals (lower is better)",
    ]


def test_adjusted_p_values_are_those_of_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).random(20) ** 3
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1])
    np.testing.assert_allclose(
        benjamini_hochberg(p), multitest.multipletests(p, method="fdr_bh")[1]
    )
    with_gap = holm([0.01, np.nan, 0.02])
    assert np.isnan(with_gap[1])
    np.testing.assert_allclose(with_gap[[0, 2]], [0.02, 0.02])
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([1.5])


def test_the_average_over_benchmarks_keeps_the_seeds_together() -> None:
    """Seeds that are lucky everywhere do not average out over benchmarks."""
    rng = np.random.default_rng(5)
    luck = 0.05 * rng.standard_normal((2, 6, 1))
    pairs = {f"t{k}": tuple(luck + 0.05 * rng.standard_normal((2, 6, 300))) for k in range(10)}
    found = sk.compare_models(log(pairs)).table.set_index("benchmark")  # type: ignore[arg-type]
    single = found.drop(index="(average)")["standard_error"].mean()
    assert found.loc["(average)", "standard_error"] == pytest.approx(single, rel=0.1)


def test_items_that_one_recipe_lacks_are_left_out_and_told() -> None:
    table = log({"arc_easy": recipes(np.random.default_rng(6), 3, 100)})
    table = table[~((table["model"] == "a") & (table["seed"] == 1) & (table["item"] < 10))]
    found = sk.compare_models(table)
    assert found.table["items"].iloc[0] == 90
    assert "unpaired-items" in notes_of(found)


def test_different_items_cannot_be_paired() -> None:
    table = log({"arc_easy": recipes(np.random.default_rng(6), 3, 50)})
    table["item"] = table["item"] + 1000 * (table["model"] == "b")
    with pytest.raises(InputError) as refused:
        sk.compare_models(table)
    assert str(refused.value) == (
        "arc_easy (acc): no item was answered by all seeds of 'a' and 'b' ('a' answered '0', '1', "
        "...; 'b' answered '1000', '1001', ...). Evaluate both on the same items, or give the "
        "items the same ids."
    )


# --- one seed


def single(benchmark: str = "arc_challenge", seed: int = 0) -> pd.DataFrame:
    return log({benchmark: recipes(np.random.default_rng(seed), 1, 1000, shift=0.1)})


def test_one_seed_borrows_the_published_noise_and_says_so() -> None:
    found = sk.compare_models(single())
    assert "published for ARC-C: seed SD 0.008" in found.table["seed_source"].iloc[0]
    assert "seed-noise-borrowed" in notes_of(found)
    paired = sk.compare_models(single(), seed_sd=0.0)
    assert found.table["standard_error"].iloc[0] ** 2 == pytest.approx(
        paired.table["standard_error"].iloc[0] ** 2 + 2 * 0.008**2
    )
    assert "checkpoints-only" in notes_of(paired)


def test_one_seed_without_a_source_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"No seed noise is known for new_task .acc.*seed_sd=0\.005"
    ):
        sk.compare_models(single("new_task"))


def test_one_refused_benchmark_among_others_is_a_grave_note() -> None:
    both = pd.concat([single("arc_challenge"), single("new_task", 1)])
    found = sk.compare_models(both)
    assert found.table.set_index("benchmark")["verdict"]["new_task"] == "refused"
    assert [note.code for note in found.notes if note.severity == "error"] == ["no-seed-noise"]


def test_the_published_noise_is_of_accuracies_and_not_lent_to_other_metrics() -> None:
    table = single().assign(p_correct=lambda t: 0.2 + 0.6 * t["acc"])
    found = sk.compare_models(table)
    verdicts = found.table.set_index("metric")["verdict"]
    assert (verdicts["p_correct"], verdicts["acc"]) == ("refused", "not resolved")
    assert [n.severity for n in found.notes if n.code == "no-seed-noise"] == ["warning"]


def test_one_seed_borrows_from_other_recipes_of_the_log() -> None:
    rng = np.random.default_rng(7)
    others = [log({"new_task": recipes(rng, 4, 1000)}).replace({"a": "c", "b": "d"})]
    found = sk.compare_models(pd.concat([single("new_task"), *others]), "a", "b")
    assert "other recipes of this log" in found.table["seed_source"].iloc[0]
    assert found.table["variance_seeds"].iloc[0] > 0


def test_one_recipe_with_one_seed_takes_the_noise_of_the_other_and_says_so() -> None:
    a, b = recipes(np.random.default_rng(10), 4, 500)
    found = sk.compare_models(log({"new_task": (a, b[:1])}))
    assert found.table["seed_source"].iloc[0] == "the seeds of a for both"
    assert "seed-noise-borrowed" in notes_of(found)
    spread = a.mean(axis=1).var(ddof=1)
    assert found.table["variance_seeds"].iloc[0] == pytest.approx(spread * (1 + 1 / 4))


def test_one_seed_against_two_finds_differences_of_a_finite_size() -> None:
    a, b = recipes(np.random.default_rng(10), 2, 500)
    row = sk.compare_models(log({"new_task": (a, b[:1])})).table.iloc[0]
    shift = stats.nct.ppf(0.2, row["df"], row["detectable"] / row["standard_error"])
    assert shift == pytest.approx(stats.t.ppf(0.975, row["df"]))  # found with a power of 80%


def test_own_seeds_can_be_moderated_over_benchmarks() -> None:
    rng = np.random.default_rng(8)
    pairs = {f"t{k}": recipes(rng, 2, 500) for k in range(12)}
    found = sk.compare_models(log(pairs), seed_sd="moderated").table
    plain = sk.compare_models(log(pairs)).table
    assert "moderated over 12 benchmarks" in found["seed_source"].iloc[0]
    assert found["df"].iloc[:-1].min() > plain["df"].iloc[:-1].min()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed_sd": "guess"}, "No source of seed noise 'guess'"),
        ({"seed_sd": -1.0}, "must be zero or positive"),
        ({"seed_sd": 0.8}, "larger than any seen: scores are in fractions"),
        ({"seed_sd": {"arc_chalenge": 0.1}}, "no benchmark 'arc_chalenge'. Did you mean"),
        ({"margin": -0.1}, "margin of arc_challenge must be positive"),
        ({"adjust": "bonferoni"}, "No correction 'bonferoni'"),
        ({"costs": {"sed": 1}}, "No cost 'sed'. Did you mean 'seed'"),
        ({"costs": {"seed": -1}}, "cost of a seed must be"),
        ({"last": 0}, r"last \(--last\) is a number of checkpoints, 1 or more; got 0\."),
        ({"margin": 1}, "A margin of 1 .* more than half of the scale: .* a point is 0.01"),
        ({"confidence_level": 95}, r"must lie between 0.5 and 1, such as 0\.95; got 95"),
        ({"a": "a"}, "Name the two recipes"),
        ({"a": "a", "b": "a"}, "compared with itself"),
        ({"a": "a", "b": "x"}, "No recipe 'x'"),
    ],
)
def test_wrong_arguments_say_what_to_do(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.compare_models(single(), **arguments)  # type: ignore[arg-type]


# --- scores without items


def scores(stderr: object) -> pd.DataFrame:
    rng = np.random.default_rng(9)
    rows = [
        {"model": m, "seed": s, "task": "mmlu", "acc": 0.3 + 0.1 * (m == "b") + 0.005 * z}
        for m in "ab" for s, z in enumerate(rng.standard_normal(5))
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(stderr=stderr)


def test_scores_alone_are_compared_by_their_seeds_and_standard_errors() -> None:
    found = sk.compare_models(scores(0.004))
    assert found.verdict() == "real"
    assert {"one-item", "unpaired-error"} <= notes_of(found)
    assert found.table["standard_error"].iloc[0] > np.sqrt(2) * 0.004


def test_scores_with_the_text_na_as_error_are_compared_with_a_warning() -> None:
    found = sk.compare_models(scores("N/A"))
    assert "item-noise-unknown" in notes_of(found)


def test_all_correct_is_told_and_not_called_real() -> None:
    found = sk.compare_models({"a": np.ones((3, 50)), "b": np.ones((3, 50))})
    assert found.verdict() == "not resolved"
    assert "constant-metric" in notes_of(found)


def test_few_items_that_all_are_answered_right_do_not_show_recipes_to_be_equal() -> None:
    found = sk.compare_models({"a": np.ones((2, 20)), "b": np.ones((2, 20))}, margin=0.05)
    assert found.table["sentence"].tolist() == [
        "benchmark (score): not resolved. a minus b: 0 (95% interval [-0.09514, 0.09514], p = 1); "
        "this design finds differences from 0.13."
    ]


def test_three_items_do_not_tell_two_checkpoints_apart() -> None:
    answers = {"a": np.ones((1, 3)), "b": np.zeros((1, 3))}
    assert sk.compare_models(answers, seed_sd=0.0).verdict() == "not resolved"


@pytest.mark.parametrize(("right", "n"), [((0.98, 0.95), 20), ((0.99, 0.97), 50), ((0.5, 0.5), 20)])
def test_intervals_cover_where_hardly_an_item_is_answered_wrong(
    right: tuple[float, float], n: int
) -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        a, b = (rng.random((1, n)) < share for share in right)
        found = crossed_difference(a, b, None, (0.0, np.inf))
        covered += abs(found.estimate - (right[0] - right[1])) <= found.half_width()
    assert covered / 400 > 0.93


# --- the result


def test_the_result_has_the_shared_form(tmp_path: Path) -> None:
    found = sk.compare_models(sk.example_evals(), "base", "decay", margin=0.02)
    values = found.to_dict()
    assert set(values) >= {"kind", "version", "provenance", "params", "notes", "systems"}
    assert set(values["params"]["digits/acc"]) == {"estimate", "ci_lower", "ci_upper"}
    found.save(tmp_path / "c.json")
    assert sk.load(tmp_path / "c.json").summary() == found.summary()
    labels = {text.get_text() for text in found.plot().get_yticklabels()}
    assert "digits (acc)" in labels
    with pytest.raises(InputError, match="Name one benchmark"):
        found.verdict()


def test_averaging_checkpoints_uses_the_last_ones() -> None:
    y = np.zeros((2, 2, 30, 4))
    y[0, :, :, -1], y[0, :, :, -2] = 1.0, 0.5
    table = sk.compare_models({"a": y[0], "b": y[1]}, last=2).table
    assert table["score_a"].iloc[0] == pytest.approx(0.75)
