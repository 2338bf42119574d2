"""Forecasts: sharing, roll-outs, combination, intervals that hold, and their notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import isotonic_regression

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.fitters.batch import Members, fit_members
from scalekit.fitters.evaluations import behind_best_so_far, behind_monotone
from scalekit.fitters.laws import as_law
from scalekit.fitters.objectives import Objective
from scalekit.fitters.predictive import LEVELS, Calibration, interval_score
from scalekit.fitters.rolling import set_origins
from scalekit.fitters.sharing import share
from scalekit.fitters.study import make_study
from scalekit.moderation import noise_precision


def curves(count: int, rows: int, rng: np.random.Generator, noise: float = 0.005) -> pd.DataFrame:
    """Curves of two tasks and several models whose exponents and floors are alike."""
    parts = []
    for k in range(count):
        x = np.geomspace(1e6, 1e9, rows)
        floor, alpha = 0.3 * np.exp(0.1 * rng.normal()), 0.3 * np.exp(0.1 * rng.normal())
        loss = (floor + 60 * x**-alpha) * np.exp(noise * rng.normal(size=rows))
        parts.append(
            pd.DataFrame({"task": f"t{k % 2}", "model": f"m{k}", "tokens": x, "loss": loss})
        )
    return pd.concat(parts, ignore_index=True)


def isoflops(rng: np.random.Generator, noise: float = 0.005) -> pd.DataFrame:
    flops = np.repeat(np.geomspace(1e18, 1e21, 10), 5)
    params = np.sqrt(flops / 120) * np.tile(np.geomspace(0.4, 2.5, 5), 10)
    tokens = flops / 6 / params
    loss = 1.8 + 480 / params**0.35 + 2000 / tokens**0.37
    loss = loss * np.exp(noise * rng.normal(size=len(flops)))
    return pd.DataFrame({"params": params, "tokens": tokens, "flops": flops, "loss": loss})


@pytest.fixture(scope="module")
def choice() -> sk.fitters.Choice:
    return sk.choose_law(isoflops(np.random.default_rng(0)), along="flops", rng=0)


@pytest.fixture(scope="module")
def many() -> sk.fitters.ManyFits:
    table = curves(8, 24, np.random.default_rng(1))
    return sk.fit_many(table, by=["task", "model"], along="tokens",
                       laws=["power_constant", "shifted_power"], rng=0)  # fmt: skip


def test_a_batch_of_padded_curves_gives_what_each_fit_alone_gives() -> None:
    law, rng = as_law("power_constant"), np.random.default_rng(2)
    lengths = (8, 15, 30)
    xs = [np.geomspace(1, 1e3, n) for n in lengths]
    ys = [(1 + x**-0.4) * np.exp(0.01 * rng.normal(size=len(x))) for x in xs]
    members = Members.of([{"x": x} for x in xs], ys, [np.ones(n) for n in lengths])
    together, _ = fit_members(law, members, Objective("log_squares"))
    for k, (x, y) in enumerate(zip(xs, ys, strict=True)):
        alone = sk.fit({"x": x, "loss": y}, law=law, objective="log_squares", interval="none")
        np.testing.assert_allclose(
            law.model.value(together.theta[[k]], {"x": x})[0],
            law.model.value(alone.theta[None], {"x": x})[0], rtol=1e-5,
        )  # fmt: skip


def test_short_curves_borrow_the_exponent_and_the_floor_of_the_long_ones() -> None:
    rng = np.random.default_rng(3)
    xs = [np.geomspace(1, 1e3, 30) for _ in range(11)] + [np.geomspace(1, 10, 6)]
    ys = [(0.5 + 2 * x**-0.5) * np.exp(0.01 * rng.normal(size=len(x))) for x in xs]
    members = Members.of([{"x": x} for x in xs], ys, [np.ones(len(x)) for x in xs])
    law = as_law("power_constant")
    shared = share(law, members, [])
    alone, _ = fit_members(law, members, Objective("huber_log"))
    far, truth = {"x": np.array([1e3])}, 0.5 + 2 * 1e3**-0.5
    errors = [
        abs(np.log(model.value(theta[[-1]], far)[0, 0] / truth))
        for model, theta in ((shared.law.model, shared.theta), (law.model, alone.theta))
    ]
    assert errors[0] < 0.1
    assert errors[0] < 0.5 * errors[1]


def test_origins_leave_rows_below_and_beyond_and_see_something_new_each_time() -> None:
    study = make_study(curves(4, 12, np.random.default_rng(4)), ["tokens"], "tokens", ["model"])
    origins = set_origins(study, 4.0)
    assert (origins[0] == study.largest / 4).all()
    seen = [(study.size[0] <= sizes[0]).sum() for sizes in origins]
    assert (np.diff(seen) < 0).all()


def test_a_roll_out_never_sees_what_it_forecasts() -> None:
    table = isoflops(np.random.default_rng(5))
    changed = table.copy()
    late = changed["flops"] > changed["flops"].max() / 4.1
    changed.loc[late, "loss"] *= 3
    first, second = (
        sk.roll_out(t, ["chinchilla_tied"], along="flops").to_frame() for t in (table, changed)
    )
    latest = first["origin"] == first["origin"].max()
    np.testing.assert_allclose(first["predicted"][latest], second["predicted"][latest], rtol=1e-6)


def test_the_true_form_forecasts_best_and_weights_sum_to_one(choice: sk.fitters.Choice) -> None:
    table = choice.to_frame()
    assert table["candidate"][0].startswith("chinchilla")
    assert table["weight"].sum() == pytest.approx(1)
    assert table["probability"].sum() == pytest.approx(1)
    assert table["aic"].min() == 0


def test_far_forecasts_are_wider_and_say_so(choice: sk.fitters.Choice) -> None:
    at = pd.DataFrame({"params": [1e9, 1e10, 1e11], "tokens": [2e10, 2e11, 2e12]})
    found = choice.predict(at)
    width = np.log(found.table["obs_upper"] / found.table["obs_lower"])
    assert (np.diff(width) > 0).all()
    assert (found.table["ci_upper"] <= found.table["obs_upper"]).all()
    assert "beyond_roll_outs" in [note.code for note in found.notes]


def test_weights_give_way_to_the_median_of_the_forms_beyond_the_roll_outs(
    choice: sk.fitters.Choice,
) -> None:
    found = choice.combination
    scales = {name: np.geomspace(1e9, 1e15, 13) for name in ("params", "tokens")}
    ahead = found.ahead(np.zeros(13, int), scales, 6 * scales["params"] * scales["tokens"])
    predicted = np.log(choice.predict(**scales).table["predicted"])
    judged = ahead.distance <= found.past.distance.max()
    mean, median = ahead.centre @ found.weights, np.median(ahead.centre, axis=1)
    np.testing.assert_allclose(predicted[judged], mean[judged])
    away = np.abs(predicted - median) / np.abs(mean - median)
    assert judged.any()
    assert (np.diff(away[~judged]) < 0).all()
    assert away.iloc[-1] < 0.05


def test_a_forecast_needs_no_candidate_of_much_weight(choice: sk.fitters.Choice) -> None:
    count = len(choice.combination.weights)
    even = replace(choice.combination, weights=np.full(count, 1 / count))
    thin = replace(even, fits=even.fits * 2, weights=np.full(2 * count, 0.5 / count))
    scales = {"params": np.array([1e10]), "tokens": np.array([2e11])}
    ahead = thin.ahead(np.zeros(1, int), scales, np.array([1.2e22]))
    assert thin.weights.max() < 0.1
    assert [note.code for note in thin.notes(ahead)]


def test_the_way_from_weights_to_the_median_has_no_jump_and_no_kink(
    choice: sk.fitters.Choice,
) -> None:
    judged = np.exp(choice.combination.judged)
    factor = judged * np.exp(np.linspace(-0.02, 0.02, 401))
    params = choice.scales["params"][choice.size.argmax()] * np.sqrt(factor)
    tokens = choice.size.max() * factor / 6 / params
    table = choice.predict(params=params, tokens=tokens).table
    for name in ("predicted", "obs_lower", "obs_upper"):
        slope = np.diff(np.log(table[name])) / np.diff(np.log(factor))
        assert np.abs(np.diff(slope)).max() < 2e-3


def test_each_curve_counts_once_for_how_far_roll_outs_went() -> None:
    table = curves(6, 24, np.random.default_rng(11))
    lone = (table["model"] == "m0") & table["tokens"].between(2e7, 9e8)
    kinds = {"by": "model", "along": "tokens", "laws": ["power_constant"]}
    full, gap = sk.fit_many(table, **kinds), sk.fit_many(table[~lone], **kinds)
    reach = [many.combinations[0].past.distance.max() for many in (full, gap)]
    assert reach[1] > 2 * reach[0]
    judged = [many.combinations[0].judged for many in (full, gap)]
    assert judged[1] == pytest.approx(judged[0], rel=0.05)


def test_candidates_that_no_roll_out_can_judge_are_left_out_and_told() -> None:
    flops = np.geomspace(1e17, 1e19, 6)
    found = sk.choose_law({"flops": flops, "loss": 1.7 + 80 * flops**-0.09})
    assert set(found.to_frame()["candidate"]) == {"power", "power_constant", "m3"}
    note = next(note for note in found.notes if note.code == "candidates_left_out")
    assert note.message.startswith("9 of 12 candidates are left out")
    two = sk.fit_many(curves(2, 20, np.random.default_rng(0)), by="model", along="tokens")
    assert not any("shared" in name for name in two.combinations[0].names)
    assert any("curves to share between" in note.message for note in two.notes)


def test_one_roll_out_is_no_certainty_of_the_best_form() -> None:
    flops = np.geomspace(1e17, 1e19, 6)
    found = sk.choose_law({"flops": flops, "loss": 1.7 + 80 * flops**-0.09}).to_frame()
    assert found["probability"].max() == pytest.approx((1 + 1 / 3) / 2)
    assert found["probability"].sum() == pytest.approx(1)


def test_a_ratio_of_scales_that_no_run_has_is_told(choice: sk.fitters.Choice) -> None:
    found = choice.predict(params=1e8, tokens=1e14)
    assert found.table["extrapolation_in"][0] == "tokens"
    assert "untried_ratio" in [note.code for note in found.notes]
    near = choice.predict(params=1e10, tokens=2e11)
    assert near.table["extrapolation_in"][0] == "flops"
    assert "untried_ratio" not in [note.code for note in near.notes]


def test_an_accuracy_taken_for_a_loss_is_told() -> None:
    flops = np.geomspace(1e17, 1e20, 16)
    accuracy = 0.8 - 0.5 * (flops / 1e17) ** -0.2
    found = make_study({"flops": flops, "loss": accuracy}, ["flops"], "flops")
    assert "loss=1-COLUMN" in next(n.message for n in found.notes if n.code == "loss_rises")


def test_a_single_law_has_no_forms_to_give_way_to() -> None:
    found = sk.choose_law(isoflops(np.random.default_rng(0)), "chinchilla_tied", trimmings=0.0)
    notes = {note.code: note.message for note in found.predict(params=1e11, tokens=2e12).notes}
    assert "median" not in notes["beyond_roll_outs"]


def test_scales_may_be_a_dictionary_of_numbers(choice: sk.fitters.Choice) -> None:
    at = {"params": 1e10, "tokens": 2e11}
    assert choice.predict(at).table.equals(choice.predict(**at).table)


def test_a_forecast_comes_first_and_says_the_scale(choice: sk.fitters.Choice) -> None:
    text = choice.with_predictions(params=1e11, tokens=2e12).summary()
    assert text.startswith("loss at params 100B, tokens 2T: ")
    assert "decades beyond the data in flops" in text.splitlines()[0]
    assert "times the largest flops of the runs" in text


def test_a_fan_has_a_line_through_the_runs_distinct_bands_and_names_its_origins() -> None:
    flops = np.geomspace(1e16, 1e20, 20)
    loss = (1.7 + 80 * flops**-0.09) * np.exp(np.random.default_rng(0).normal(0, 0.005, 20))
    ax = sk.choose_law({"flops": flops, "loss": loss}, ["power", "power_constant"]).plot()
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words.count("origins: forecasts made from here") == 1
    through = [line for line in ax.lines if len(line.get_xdata()) > 20]
    assert any(np.ptp(np.log10(line.get_xdata())) == pytest.approx(4) for line in through)
    bands = [band for band in ax.collections if str(band.get_label()).startswith("one run")]
    assert len({tuple(band.get_facecolor()[0]) for band in bands}) == 3


def test_a_fan_over_two_scales_has_the_combination_at_each_run(choice: sk.fitters.Choice) -> None:
    ax = choice.plot()
    rings = next(line for line in ax.lines if line.get_label() == "combination at each run")
    assert len(rings.get_xdata()) == len(choice.loss)


def test_a_fit_gives_the_intervals_of_its_own_roll_outs() -> None:
    fit = sk.fit(isoflops(np.random.default_rng(0)), law="chinchilla_tied", resamples=50)
    plain, rolled = (
        fit.predict(params=1e10, tokens=2e11, interval=kind)
        for kind in ("parameters", "observation")
    )
    assert plain.table["predicted"][0] == rolled.table["predicted"][0]
    assert rolled.table["obs_lower"][0] < plain.table["obs_lower"][0]
    assert "roll-out" in rolled.method
    with pytest.raises(InputError, match="'observation'"):
        fit.predict(params=1e10, tokens=2e11, interval="obs")


def test_few_roll_outs_are_told(choice: sk.fitters.Choice) -> None:
    assert "few_roll_outs" in [note.code for note in choice.notes]


def test_the_interval_holds_the_truth_one_step_on(choice: sk.fitters.Choice) -> None:
    at = pd.DataFrame({"params": [7e9], "tokens": [1.4e11]})
    row = choice.predict(at).table.iloc[0]
    assert row["obs_lower"] < 1.8 + 480 / 7e9**0.35 + 2000 / 1.4e11**0.37 < row["obs_upper"]


def test_intervals_of_many_curves_cover_as_often_as_they_claim() -> None:
    table = curves(16, 30, np.random.default_rng(6), noise=0.01)
    small, large = table[table["tokens"] <= 5e8], table[table["tokens"] > 5e8]
    many = sk.fit_many(small, by=["task", "model"], along="tokens",
                       laws=["power_constant", "shifted_power"], rng=0)  # fmt: skip
    inside = []
    for level in (0.5, 0.8, 0.95):
        found = many.predict(large, confidence_level=level).table
        held = (found["obs_lower"] <= large["loss"].to_numpy()) & (
            large["loss"].to_numpy() <= found["obs_upper"]
        )
        inside.append(held.mean())
    np.testing.assert_allclose(inside, [0.5, 0.8, 0.95], atol=0.17)


def test_results_survive_saving(
    choice: sk.fitters.Choice, many: sk.fitters.ManyFits, tmp_path: Path
) -> None:
    at = pd.DataFrame({"params": [1e10], "tokens": [2e11]})
    again = sk.load(choice.save(tmp_path / "choice.json"))
    pd.testing.assert_frame_equal(again.predict(at).table, choice.predict(at).table)
    again = sk.load(many.save(tmp_path / "many.json"))
    pd.testing.assert_frame_equal(again.predict(beyond=2).table, many.predict(beyond=2).table)
    out = sk.roll_out(isoflops(np.random.default_rng(0)), ["chinchilla"])
    again = sk.load(out.save(tmp_path / "out.json"))
    pd.testing.assert_frame_equal(again.by_distance(), out.by_distance())


def test_plots_are_drawn(
    choice: sk.fitters.Choice, many: sk.fitters.ManyFits, tmp_path: Path
) -> None:
    assert choice.plot().get_legend() is not None
    assert many.plot().get_lines()
    assert choice.plot_calibration().get_lines()
    assert sk.roll_out(isoflops(np.random.default_rng(0))).plot().get_lines()
    one = {"flops": np.geomspace(1e16, 1e20, 20)}
    one["loss"] = 1.7 + 80 * one["flops"] ** -0.09
    sk.choose_law(one, ["power", "power_constant"]).save(tmp_path / "fan.png")


def test_the_same_seed_gives_the_same_result(choice: sk.fitters.Choice) -> None:
    again = sk.choose_law(isoflops(np.random.default_rng(0)), along="flops", rng=0)
    pd.testing.assert_frame_equal(again.to_frame(), choice.to_frame())


def test_standard_errors_that_differ_no_more_than_seeds_make_them_are_shrunk_away() -> None:
    rng = np.random.default_rng(7)
    equal = np.sqrt(rng.chisquare(2, size=200) / 2) * 0.01
    real = equal * np.geomspace(0.1, 10, 200)
    ranges = [np.ptp(np.log(noise_precision(values))) for values in (equal, real)]
    raw = np.ptp(np.log(equal**-2.0))
    assert ranges[0] < 0.35 * raw
    assert ranges[1] > 4


def test_a_conformal_quantile_covers_its_share_of_scores() -> None:
    scores = np.sort(np.abs(np.random.default_rng(8).normal(size=500)))
    calibration = Calibration(np.ones(4), scores, np.ones(500), 500)
    for level in LEVELS[:-1]:
        assert np.mean(scores <= calibration.multiple(level)) == pytest.approx(level, abs=0.01)


def test_the_interval_score_fines_misses() -> None:
    """Gneiting & Raftery 2007, eq. 43: width, and 2 / (1 - level) for each unit of a miss."""
    found = interval_score(np.zeros(3), np.ones(3), np.array([0.5, 1.1, -0.2]), 0.9)
    np.testing.assert_allclose(found, [1, 3, 5])


def test_curves_that_never_rise_are_called_a_running_best() -> None:
    rng = np.random.default_rng(9)
    noisy, steep = curves(4, 30, rng, noise=0.03), curves(4, 20, rng, noise=0.0)
    best = noisy.assign(loss=noisy.groupby("model")["loss"].cummin())
    for table, told in ((best, True), (noisy, False), (steep, False)):
        study = make_study(table, ["tokens"], "tokens", ["model"])
        assert ("running_best" in [note.code for note in study.notes]) == told


def test_a_single_log_of_the_best_so_far_is_told_too() -> None:
    for kind, told in (("best_so_far", True), ("monotone", True), ("single", False)):
        log, _ = log_of(np.random.default_rng(0), kind, 0.02)
        study = make_study(log, ["samples"], "samples")
        assert ("running_best" in [note.code for note in study.notes]) == told


def log_of(rng: np.random.Generator, kind: str, noise: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One log of the first half of 300 evaluations, as `kind` of rows; and the second half."""
    samples = np.arange(1, 301) * 4e6
    mean = np.log(0.2 + 0.8 * (1 + samples / 2e7) ** -0.4)
    seen = mean + noise * rng.standard_normal(300)
    first = seen[:150]
    falling = {
        "single": first,
        "best_so_far": np.minimum.accumulate(first),
        "monotone": isotonic_regression(first, increasing=False).x,
    }[kind]
    kept = np.unique(np.minimum(1.07 ** np.arange(80), 150).astype(int)) - 1
    table = pd.DataFrame({"samples": samples[kept], "loss": np.exp(falling[kept])})
    return table, pd.DataFrame({"samples": samples[150:], "loss": np.exp(seen[150:])})


@pytest.mark.parametrize("kind", ["best_so_far", "monotone"])
@pytest.mark.parametrize("noise", [0.004, 0.02])
def test_the_noise_behind_rows_that_never_rise_is_found(kind: str, noise: float) -> None:
    behind = {"best_so_far": behind_best_so_far, "monotone": behind_monotone}[kind]
    found = []
    for seed in range(20):
        log, _ = log_of(np.random.default_rng(seed), kind, noise)
        found.append(behind(log["samples"].to_numpy(), np.log(log["loss"].to_numpy()), 4e6).noise)
    assert np.median(found) == pytest.approx(noise, rel=0.2)


def test_the_best_so_far_is_moved_back_to_the_mean_of_evaluations() -> None:
    """The best of many lies below their mean: by 1.9% here, of which a tenth may stay."""
    before, after = [], []
    for seed in range(20):
        log, _ = log_of(np.random.default_rng(seed), "best_so_far", 0.02)
        size, best = log["samples"].to_numpy(), np.log(log["loss"].to_numpy())
        truth = np.log(0.2 + 0.8 * (1 + size / 2e7) ** -0.4)
        last = slice(len(size) // 2, None)
        before.append(np.mean((best - truth)[last]))
        after.append(np.mean((behind_best_so_far(size, best, 4e6).log_loss - truth)[last]))
    assert np.mean(before) < -0.015
    assert abs(np.mean(after)) < 0.1 * abs(np.mean(before))


@pytest.mark.parametrize("kind", ["best_so_far", "monotone"])
def test_forecasts_of_single_evaluations_cover_where_rows_hide_their_noise(kind: str) -> None:
    inside = {"single": [], kind: []}
    for seed in range(4):
        log, later = log_of(np.random.default_rng(seed), kind, 0.02)
        for rows in inside:
            choice = sk.choose_law(log, ["power_constant", "shifted_power"], horizon=2, rows=rows)
            table = choice.predict(later[["samples"]], confidence_level=0.8).table
            inside[rows].append(
                later["loss"].between(table["obs_lower"], table["obs_upper"]).mean()
            )
    assert np.mean(inside[kind]) == pytest.approx(0.8, abs=0.15)
    assert np.mean(inside["single"]) < np.mean(inside[kind]) - 0.1


def test_rows_that_rise_are_not_the_best_so_far() -> None:
    log, _ = log_of(np.random.default_rng(0), "single", 0.02)
    with pytest.raises(InputError, match=r"rises to .* at samples=.*single evaluations"):
        sk.choose_law(log, rows="best_so_far")
    with pytest.raises(InputError, match="rows must be one of"):
        sk.choose_law(log, rows="best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="along one scale"):
        sk.choose_law(isoflops(np.random.default_rng(0)), rows="monotone")
    short = log.sort_values("loss", ascending=False).assign(samples=log["samples"].to_numpy())[:15]
    with pytest.raises(InputError, match="20 rows"):
        sk.choose_law(short, rows="monotone")


def test_bad_input_is_named() -> None:
    table = curves(3, 12, np.random.default_rng(10))
    with pytest.raises(ColumnNotFoundError, match=r"'mdel'.*'model'"):
        sk.fit_many(table, by="mdel")
    with pytest.raises(InputError, match="loss of zero or less"):
        sk.choose_law({"flops": [1e16, 1e17, 1e18], "loss": [2.0, 1.0, -1.0]})
    with pytest.raises(InputError, match=r"at least 4 runs .* there are 2, of 2"):
        sk.choose_law({"flops": [1e16, 1e17, 1e18], "loss": [3.0, 2.0, 1.5]})
    with pytest.raises(InputError, match="same scales"):
        sk.choose_law(isoflops(np.random.default_rng(0)), ["chinchilla", "power"])
    with pytest.raises(InputError, match="trimmings"):
        sk.choose_law(isoflops(np.random.default_rng(0)), trimmings=(0.95,))
    with pytest.raises(InputError, match="factor above 1"):
        sk.choose_law(isoflops(np.random.default_rng(0)), horizon=0.5)


def test_bad_arguments_are_named() -> None:
    table = isoflops(np.random.default_rng(0)).assign(w=1.0)
    with pytest.raises(ColumnNotFoundError, match=r"weights='sd' is no column"):
        sk.choose_law(table, weights="sd")
    with pytest.raises(ColumnNotFoundError, match=r"weights='noise' is no column"):
        sk.choose_law(table, weights="noise")
    for bad in (-1.0, np.nan):
        with pytest.raises(InputError, match=f"row 3 has {bad}"):
            sk.choose_law(table.assign(w=table["w"].where(table.index != 3, bad)), weights="w")
    with pytest.raises(InputError, match=r"'step' is no scale of the laws .params, tokens"):
        sk.choose_law(table.assign(step=np.arange(len(table)) + 1.0), along="step")
    with pytest.raises(InputError, match="is what is forecast"):
        sk.choose_law(table, along="loss")
    with pytest.raises(InputError, match="laws is empty"):
        sk.choose_law(table, [])
    few = table.head(9)
    with pytest.raises(InputError, match=r"at least 8 runs at different scales.*there are 5, of 1"):
        sk.choose_law(few)
    fit = sk.fit(few, law="chinchilla_tied", interval="none")
    with pytest.raises(InputError, match=r"roll-outs of the fit's own law.*without interval="):
        fit.predict(params=1e10, tokens=2e11, interval="observation")


def test_a_column_of_weights_counts_as_in_fit() -> None:
    table = isoflops(np.random.default_rng(0))
    some = table.assign(weight=np.where(table.index % 7 == 0, 0.0, 1.0))
    assert len(sk.choose_law(some, ["chinchilla"]).loss) == (some["weight"] > 0).sum()
    noisy = make_study(table.assign(noise=0.01), ["params"], "params", weights="noise")
    assert "noise_weights" in [note.code for note in noisy.notes]
    with pytest.raises(InputError, match="must be finite numbers"):
        sk.fit(table.assign(w="a"), law="chinchilla", weights="w")


def test_columns_keep_the_names_that_the_file_gives_them() -> None:
    """The reader calls the column recipe 'group', and n_params 'params'."""
    table = isoflops(np.random.default_rng(0)).rename(columns={"params": "n_params"})
    both = pd.concat([table.assign(recipe=name) for name in ("a", "b", "c")], ignore_index=True)
    runs = sk.read_runs(both, quiet=True)
    assert "recipe" not in runs.frame
    out = sk.roll_out(runs, ["chinchilla_tied"], by="recipe").to_frame()
    assert set(out["recipe"]) == {"a", "b", "c"}
    assert sk.choose_law(runs, ["power"], along="n_params").along == "params"


def test_formulas_without_a_name_are_told_apart() -> None:
    flops = np.geomspace(1e16, 1e20, 20)
    laws = ["A / flops**alpha", "E + A / flops**alpha", "E + A / flops**alpha"]
    found = sk.choose_law({"flops": flops, "loss": 1.7 + 80 * flops**-0.09}, laws, trimmings=0.0)
    assert sorted(found.to_frame()["candidate"]) == laws[:2]


def test_curves_that_cannot_be_fitted_or_named_are_named(many: sk.fitters.ManyFits) -> None:
    table = curves(5, 12, np.random.default_rng(10))
    with pytest.raises(InputError, match=r"1 of 5 curves have too few rows .*model=m3"):
        sk.fit_many(table.drop(index=range(37, 48)), by="model", along="tokens")
    with pytest.raises(InputError, match=r"12 rows have no task, the first is row 0"):
        sk.fit_many(table.assign(task=table["task"].where(table.index >= 12)), by=["task", "model"])
    with pytest.raises(InputError, match="by is empty"):
        sk.fit_many(table, by=[], along="tokens")
    with pytest.raises(InputError, match="by='tokens'"):
        sk.fit_many(table, by="tokens")
    for bad in (-1e9, np.nan, "1B"):
        with pytest.raises(InputError, match=f"tokens = {bad}"):
            many.predict({"task": ["t0"], "model": ["m0"], "tokens": [bad]})
    with pytest.raises(InputError, match="no row"):
        many.predict({"task": [], "model": [], "tokens": []})
    assert len(many.predict({"task": "t0", "model": "m0", "tokens": 1e10}).table) == 1


def test_a_curve_that_was_not_fitted_is_named(many: sk.fitters.ManyFits) -> None:
    with pytest.raises(InputError, match="no curve with task=t0, model=other"):
        many.predict({"task": ["t0"], "model": ["other"], "tokens": [1e9]})
    with pytest.raises(InputError, match="beyond=2"):
        many.predict()


def test_the_commands_print_what_the_functions_return(tmp_path: Path) -> None:
    import json

    from typer.testing import CliRunner

    from scalekit.cli.main import build_app

    path = tmp_path / "runs.csv"
    isoflops(np.random.default_rng(0)).to_csv(path, index=False)
    app, runner = build_app(), CliRunner()
    done = runner.invoke(
        app, ["choose-law", str(path), "--at", "params=1e10,tokens=2e11", "--json"]
    )
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert values["kind"] == "choice"
    assert values["predictions"][0]["obs_lower"] < values["predictions"][0]["predicted"]
    combined = runner.invoke(app, ["fit", str(path), "--combine", "--json"])
    assert json.loads(combined.stdout)["kind"] == "choice"
    mixed = ["--at", "params=1e10,tokens=2e11", "--at", "flops=1e22"]
    refused = runner.invoke(app, ["choose-law", str(path), *mixed])
    assert "'flops=1e22' names other scales" in refused.stderr
    refused = runner.invoke(app, ["fit", str(path), "--combine", "--delta", "0.1"])
    assert refused.exit_code == 1
    assert "--delta speaks of one law's fit" in refused.stderr
    done = runner.invoke(app, ["heldout", str(path), "--law", "chinchilla", "--law", "kaplan"])
    assert done.exit_code == 0, done.output
    assert "kaplan" in done.stdout
