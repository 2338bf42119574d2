"""Variance components, moderation, standard errors: against theory, peers and simulation."""

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
    crossed_components,
    f1_standard_error,
    item_variance,
    mean_interval,
    moderate,
    sd_interval,
    step_noise,
    wilson_interval,
)
from scalekit.evals.components import _fitting_constants, _moments_as_mean_squares, _subsets
from scalekit.evals.standard_errors import design_effect, sd_factors

SDS = {"seed": 0.05, "item": 0.30, "step": 0.05, "seed:item": 0.10, "seed:step": 0.04,
       "item:step": 0.08, "residual": 0.20}  # fmt: skip


def simulate(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    axes = {"seed": 0, "item": 1, "step": 2}
    y = np.zeros(shape)
    for name, sd in SDS.items():
        used = range(3) if name == "residual" else [axes[f] for f in name.split(":")]
        y = y + sd * rng.standard_normal([shape[a] if a in used else 1 for a in range(3)])
    return y


# --- crossed components


def test_two_way_components_are_those_of_the_textbook() -> None:
    """Rows [1, 2, 3] and [2, 4, 6]: MS_rows 6, MS_columns 4.5, MS_error 0.5 by hand."""
    squares = crossed_components([[1.0, 2, 3], [2, 4, 6]], ("seed", "item"))
    assert squares.estimate("seed") == pytest.approx((6 - 0.5) / 3)
    assert squares.estimate("item") == pytest.approx((4.5 - 0.5) / 2)
    assert squares.estimate("residual") == pytest.approx(0.5)


def test_all_seven_components_are_unbiased() -> None:
    rng = np.random.default_rng(0)
    found = [crossed_components(simulate(rng, (6, 60, 6))) for _ in range(300)]
    for name, sd in SDS.items():
        values = np.array([one.estimate(name) for one in found])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - sd**2) < 3 * error, name


def test_intervals_of_components_cover() -> None:
    rng = np.random.default_rng(1)
    hits = dict.fromkeys(SDS, 0)
    for _ in range(300):
        squares = crossed_components(simulate(rng, (6, 60, 6)))
        for name, sd in SDS.items():
            lower, upper = squares.interval(name)
            hits[name] += lower <= sd**2 <= upper
    assert all(0.91 <= hit / 300 <= 0.99 for hit in hits.values()), hits


def test_moments_equal_the_exact_solution_on_balanced_data() -> None:
    y = simulate(np.random.default_rng(2), (4, 20, 5))
    exact = crossed_components(y)
    squares, _, design = _moments_as_mean_squares([y], _subsets(3))
    solved = np.linalg.solve(design, squares)
    for value, name in zip(solved, exact.weights, strict=True):
        assert value == pytest.approx(exact.estimate(name), abs=1e-12)


def test_three_way_components_with_missing_cells_are_unbiased() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        y = simulate(rng, (5, 40, 5))
        y[rng.random(y.shape) < 0.3] = np.nan
        squares = crossed_components(y)
        found.append([squares.estimate(name) for name in SDS])
    values = np.array(found)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    truth = np.array(list(SDS.values())) ** 2
    assert (np.abs(values.mean(axis=0) - truth) < 3.5 * error).all()


def test_two_way_sums_of_squares_with_missing_cells_are_those_of_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api")
    smf = pytest.importorskip("statsmodels.formula.api")
    rng = np.random.default_rng(4)
    y = rng.standard_normal((4, 1)) + rng.standard_normal((1, 15)) + rng.standard_normal((4, 15))
    y[rng.random(y.shape) < 0.3] = np.nan
    s, i = np.nonzero(np.isfinite(y))
    frame = pd.DataFrame({"y": y[s, i], "s": s, "i": i})
    peer = sm.stats.anova_lm(smf.ols("y ~ C(s) + C(i)", frame).fit(), typ=2)
    squares, df, _ = _fitting_constants(y)
    np.testing.assert_allclose(squares, peer["sum_sq"], rtol=1e-9)
    np.testing.assert_allclose(df, peer["df"])


def test_components_are_those_of_mixedlm() -> None:
    smf = pytest.importorskip("statsmodels.formula.api")
    rng = np.random.default_rng(5)
    y = 0.5 * rng.standard_normal((6, 1)) + rng.standard_normal((1, 20))
    y = y + 0.7 * rng.standard_normal((6, 20))
    s, i = np.indices(y.shape)
    frame = pd.DataFrame({"y": y.ravel(), "s": s.ravel(), "i": i.ravel(), "one": 1})
    model = smf.mixedlm(
        "y ~ 1", frame, groups="one", re_formula="0", vc_formula={"s": "0+C(s)", "i": "0+C(i)"}
    )
    fit = model.fit()
    squares = crossed_components(y, ("s", "i"))
    for name, value in zip(model.exog_vc.names, fit.vcomp, strict=True):
        assert squares.estimate(name) == pytest.approx(value, rel=1e-3)
    assert squares.estimate("residual") == pytest.approx(fit.scale, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(arrays(float, (3, 5), elements=st.floats(-10, 10)), st.floats(-100, 100), st.floats(0.1, 10))
def test_components_ignore_shifts_and_scale_with_the_square(
    y: np.ndarray, shift: float, factor: float
) -> None:
    plain, moved = crossed_components(y), crossed_components(factor * (y + shift))
    for name in plain.weights:
        expected = factor**2 * plain.estimate(name)
        assert moved.estimate(name) == pytest.approx(expected, rel=1e-6, abs=1e-6 * factor**2)


def test_one_level_everywhere_and_tangled_factors_are_errors() -> None:
    with pytest.raises(InputError, match="no variance to decompose"):
        crossed_components([[[1.0]]])
    y = np.full((2, 3, 4), np.nan)
    y[0, :, :2], y[1, :, 2:] = 1.0, 2.0  # each seed has its own steps
    with pytest.raises(InputError, match="tangled"):
        crossed_components(y + np.arange(12).reshape(3, 4))


# --- benchmark_variance


def test_components_of_recipes_seeds_and_items_are_found() -> None:
    rng = np.random.default_rng(0)
    item = 0.3 * rng.standard_normal((1, 400))
    log = {
        f"r{k}": 0.05 * rng.standard_normal() + item + 0.1 * rng.standard_normal((1, 400))
        + 0.02 * rng.standard_normal((5, 1)) + 0.2 * rng.standard_normal((5, 400))
        for k in range(40)
    }  # fmt: skip
    found = sk.benchmark_variance(log)
    sd = found.components.set_index("component")["sd"]
    truth = {"recipe": 0.05, "item": 0.3, "recipe:item": 0.1, "seed": 0.02, "residual": 0.2}
    for name, value in truth.items():
        assert sd[name] == pytest.approx(value, rel=0.25), name
    assert found.overview["snr"].iloc[0] == pytest.approx(
        0.05 / np.sqrt(0.02**2 / 5 + 0.2**2 / 2000 + 0.1**2 / 400), rel=0.3
    )


def test_repeated_samples_are_taken_out_of_the_residual() -> None:
    rng = np.random.default_rng(1)
    rows = [
        {"seed": s, "item": i, "sample": r, "value": 0.3 * u + 0.5 * rng.standard_normal()}
        for i in range(300) for s in range(3) for u in [rng.standard_normal()] for r in range(4)
    ]  # fmt: skip
    sd = sk.benchmark_variance(pd.DataFrame(rows)).components.set_index("component")["sd"]
    assert sd["sample"] == pytest.approx(0.5, rel=0.05)
    assert sd["residual"] == pytest.approx(0.3, rel=0.1)


def test_a_decision_study_predicts_the_error_of_another_design() -> None:
    rng = np.random.default_rng(2)
    big = 0.3 * rng.standard_normal((1, 4000)) + 0.02 * rng.standard_normal((200, 1))
    big = big + 0.4 * rng.standard_normal((200, 4000))
    found = sk.benchmark_variance({"a": big[:20, :500]}).project(seeds=4, items=100)
    means = [
        big[rng.choice(200, 4)][:, rng.choice(4000, 100)].mean() for _ in range(2000)
    ]  # fmt: skip
    assert found["score_se"].iloc[0] == pytest.approx(np.std(means), rel=0.2)


def test_missing_cells_steps_and_negative_estimates_are_told() -> None:
    rng = np.random.default_rng(3)
    y = rng.standard_normal((3, 30, 4))
    y[0, 0, 0] = np.nan
    found = {note.code for note in sk.benchmark_variance({"a": y}).notes}
    assert {"unbalanced", "steps-share-a-trend", "negative-components"} <= found


def test_a_constant_metric_has_no_variance_and_does_not_break() -> None:
    found = sk.benchmark_variance({"a": np.ones((3, 20)), "b": np.ones((3, 20))})
    assert (found.components["variance"] == 0).all()
    assert "constant-metric" in {note.code for note in found.notes}


def test_one_score_per_recipe_cannot_be_decomposed() -> None:
    with pytest.raises(InputError, match="no variance to decompose"):
        sk.benchmark_variance(pd.DataFrame({"model": ["a", "b"], "acc": [0.1, 0.2]}))


def test_a_saved_decomposition_is_read_back(tmp_path: Path) -> None:
    found = sk.benchmark_variance(sk.example_evals().select(metric="acc"))
    found.save(tmp_path / "variance.json")
    back = sk.load(tmp_path / "variance.json")
    pd.testing.assert_frame_equal(back.to_frame(), found.to_frame())
    assert back.summary() == found.summary()
    assert len(found.plot().patches) > 0
    assert "digits" in found._repr_html_()


# --- standard errors


def test_item_variance_is_the_clt_one_without_clusters() -> None:
    x = np.random.default_rng(0).random(50)
    assert item_variance(x).variance == pytest.approx(x.var(ddof=1) / 50)


def test_clustered_variance_is_nearly_the_sum_over_pairs() -> None:
    """Miller 2024: SE^2 = SE_CLT^2 + sum over pairs within clusters / N^2."""
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(200), 5)
    x = rng.standard_normal(200)[codes] + rng.standard_normal(1000)
    e = x - x.mean()
    pairs = sum((e[codes == c].sum() ** 2 - (e[codes == c] ** 2).sum()) for c in range(200))
    miller = x.var(ddof=1) / 1000 + pairs / 1000**2
    assert item_variance(x, codes).variance == pytest.approx(miller, rel=0.02)
    assert design_effect(x, codes) == pytest.approx(1 + 4 * 0.5, rel=0.25)


@pytest.mark.parametrize("unequal", [False, True])
def test_clustered_intervals_cover_with_few_clusters_of_any_size(unequal: bool) -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(1000):
        sizes = rng.lognormal(2.3, 1, 10).astype(int) + 1 if unequal else np.full(10, 20)
        codes = np.repeat(np.arange(10), sizes)
        x = np.sqrt(0.3) * rng.standard_normal(10)[codes]
        x = x + np.sqrt(0.7) * rng.standard_normal(len(codes))
        found = item_variance(x, codes)
        hits += abs(x.mean()) < stats.t.ppf(0.975, found.df) * np.sqrt(found.variance)
    assert 0.93 <= hits / 1000 <= 0.985


def test_too_few_items_and_clusters_are_errors() -> None:
    with pytest.raises(InputError, match="needs two items; got 1"):
        item_variance([1.0])
    with pytest.raises(InputError, match="All items are in one cluster"):
        item_variance([1.0, 0.0], ["x", "x"])
    with pytest.raises(InputError, match="One seed: an interval over seeds needs two"):
        mean_interval([0.5])
    with pytest.raises(InputError, match="1 of 2 values are no finite"):
        mean_interval([0.5, np.nan])


def test_seed_intervals_have_the_published_factors() -> None:
    """t(K-1) and chi-square; [.52, 6.28], [.60, 2.87], [.69, 1.83] at K = 3, 5, 10."""
    for k, factors in {3: (0.52, 6.28), 5: (0.60, 2.87), 10: (0.69, 1.83)}.items():
        assert sd_factors(k - 1) == pytest.approx(factors, abs=0.006)
    x = [0.1, 0.3, 0.4]
    low, high = stats.t.interval(0.95, 2, np.mean(x), stats.sem(x))
    assert (mean_interval(x).lower, mean_interval(x).upper) == pytest.approx((low, high))
    assert sd_interval(x).lower < np.std(x, ddof=1) < sd_interval(x).upper


def test_wilson_is_the_one_of_scipy() -> None:
    peer = stats.binomtest(95, 100).proportion_ci(method="wilson")
    assert (wilson_interval(95, 100).lower, wilson_interval(95, 100).upper) == pytest.approx(
        (peer.low, peer.high)
    )
    with pytest.raises(InputError, match="Expected 0 <= correct <= n"):
        wilson_interval(5, 3)


def test_f1_from_counts_is_the_bootstrap_over_items() -> None:
    rng = np.random.default_rng(0)
    actual = rng.random(400) < 0.4
    predicted = actual ^ (rng.random(400) < 0.2)
    draws = []
    for pick in rng.integers(0, 400, (3000, 400)):
        a, p = actual[pick], predicted[pick]
        draws.append(2 * (a & p).sum() / (a.sum() + p.sum()))
    assert f1_standard_error(predicted, actual) == pytest.approx(np.std(draws), rel=0.05)
    assert f1_standard_error(predicted, actual, rng=3) == f1_standard_error(
        predicted, actual, rng=3
    )
    with pytest.raises(InputError, match="two vectors of one length"):
        f1_standard_error([1], [1, 0])


# --- moderation


def test_moderation_finds_its_own_prior() -> None:
    rng = np.random.default_rng(0)
    d0, s0, d, n = 6.0, 0.04, 4, 4000
    sigma2 = d0 * s0 / rng.chisquare(d0, n)
    found = moderate(sigma2 * rng.chisquare(d, n) / d, d)
    assert found.prior_df == pytest.approx(d0, rel=0.15)
    assert found.prior_variance == pytest.approx(s0, rel=0.05)
    assert found.df[0] == d + found.prior_df


def test_moderated_intervals_are_shorter_and_cover() -> None:
    """T16: 30 benchmarks, log-SD spread .4, two seeds: 2.34 sigma at 93.5% or more."""
    rng = np.random.default_rng(1)
    hits, widths = [], []
    for _ in range(400):
        sigma = np.exp(0.4 * rng.standard_normal(30))
        a, b = sigma * rng.standard_normal((2, 2, 30))
        found = moderate((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / 2, 2)
        half = stats.t.ppf(0.975, found.df) * np.sqrt(found.variances)
        hits.append(np.abs(a.mean(0) - b.mean(0)) < half)
        widths.append(half / sigma)
    assert np.mean(hits) >= 0.93
    assert np.mean(widths) == pytest.approx(2.34, abs=0.08)


def test_few_or_zero_variances_are_not_shrunk() -> None:
    assert moderate([1.0, 4.0], 3).variances.tolist() == [1.0, 4.0]
    with pytest.raises(InputError, match="not negative"):
        moderate([-1.0, 1.0, 1.0], 3)
    shrunk = moderate([0.0, 1.0, 1.1, 0.9], 2)
    assert shrunk.variances[0] > 0


# --- step noise


def test_step_noise_removes_the_trend_and_the_autocorrelation() -> None:
    rng = np.random.default_rng(0)
    for rho, tolerance in ((0.0, 0.1), (0.5, 0.15)):
        found = []
        for _ in range(300):
            e = rng.standard_normal(30)
            for t in range(1, 30):
                e[t] = rho * e[t - 1] + np.sqrt(1 - rho**2) * e[t]
            found.append(step_noise(e + 0.2 * np.arange(30)).sd ** 2)
        assert np.sqrt(np.mean(found)) == pytest.approx(1.0, abs=tolerance)


def test_step_noise_needs_four_checkpoints() -> None:
    with pytest.raises(InputError, match="four checkpoints or more; got 3"):
        step_noise([1, 2, 3])


def test_the_olmo_ladder_variance_table_is_reproduced(shared: Path) -> None:
    """T1, for HellaSwag; benchmarks/evals_published.py does all 40."""
    table = pd.read_parquet(shared / "olmo_ladder" / "ladder_runs_wide.parquet")
    run = table[table["run"] == "1B-10xC"].sort_values("_step")
    noise = step_noise(run["eval/downstream/hellaswag_val_rc_5shot_len_norm"].dropna(), last=10)
    assert noise.plain_sd == pytest.approx(0.0015842241198201956, rel=1e-9)
