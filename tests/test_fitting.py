"""`fit`: the published answers, what must not change an answer, saving, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import scalekit as sk
from scalekit.errors import FitError, FormulaError, InputError, ScalekitError
from scalekit.fitters import Fit, fit
from scalekit.fitters.laws import CATALOGUE
from scalekit.tables import check_runs
from tests.reference import published_checks as checks
from tests.reference.law_examples import EXAMPLES, PARAMS_TOKENS

X = np.geomspace(1e3, 1e7, 16)
FAST = {"resamples": 60, "starts": 6}


def runs(seeds: int = 1) -> pd.DataFrame:
    frame = pd.DataFrame({name: np.repeat(s, seeds) for name, s in PARAMS_TOKENS.items()})
    loss = CATALOGUE["chinchilla"].predict(EXAMPLES["chinchilla"], **PARAMS_TOKENS)
    noise = np.random.default_rng(0).normal(0, 0.004, len(frame))
    return frame.assign(loss=np.repeat(loss, seeds) * np.exp(noise))


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit(runs(), **FAST)  # type: ignore[arg-type]


# --- published answers ---------------------------------------------------------------------------


def test_the_chinchilla_points_are_fitted_at_least_as_well_as_by_4500_starts(shared: Path) -> None:
    """Besiroglu et al. 2024: Huber 1e-3 on log loss; their best start ends at 1.0182740322e-3."""
    points = pd.read_csv(shared / "chinchilla_epoch" / "points_NDCL.csv")
    points = points[points["outlier_excluded_by_epoch"] == 0]
    found = fit(
        {"params": points["N"], "tokens": points["D"], "loss": points["loss"]},
        "chinchilla", delta=1e-3, interval="none",
    )  # fmt: skip
    assert len(found.loss) == 240
    assert found.objective_value <= 1.018274018e-3
    assert found.params["E"] == pytest.approx(1.8172, abs=5e-5)
    assert found.params["alpha"] == pytest.approx(0.3473, abs=5e-5)
    assert found.params["beta"] == pytest.approx(0.3672, abs=5e-5)
    assert found.search.agreeing > 1


def test_the_repeated_data_fit_is_better_than_the_published_minimum(shared: Path) -> None:
    """Muennighoff et al. 2023's own objective at their pair is 0.015825935."""
    table = pd.read_csv(shared / "muennighoff_182" / "muennighoff_182.csv")
    m = checks.MUENNIGHOFF
    found = fit(
        {"params": table["N"], "tokens": table["D"], "unique_tokens": table["U"],
         "loss": table["loss"]},
        "repeated_data", delta=1e-3, interval="none",
        fixed={"E": np.exp(m["log_E"]), "A": np.exp(m["log_A"]), "B": np.exp(m["log_B"]),
               "alpha": m["alpha"], "beta": m["beta"]},
    )  # fmt: skip
    assert found.objective_value <= 0.0158047
    rd, rn, value = min(checks.MUENNIGHOFF_MINIMA, key=lambda each: each[2])
    assert found.objective_value == pytest.approx(value, abs=3e-9)
    assert (found.params["R_D"], found.params["R_N"]) == pytest.approx((rd, rn), rel=1e-3)


@pytest.mark.parametrize("dataset", checks.GADRE_LOSS)
def test_gadres_predictions_are_reproduced(dataset: str, shared: Path) -> None:
    """Gadre et al. 2024: five runs, least squares, relative errors at 1.4B and 6.9B."""
    table = pd.read_csv(shared / "gadre_overtraining" / "model_losses.csv")
    mine = table[table["train_dataset"] == dataset].rename(columns={"loss_c4_val": "loss"})
    ratio = 20 * mine["chinchilla_multiplier"]
    mine = mine.assign(tokens=ratio * mine["params"])
    five = mine[((mine["params"] < 1e9) & (ratio == 20))
                | ((mine["params"] == mine["params"].min()) & (ratio == 320))]  # fmt: skip
    found = fit(five[["params", "tokens", "loss"]], "gadre", objective="squares", interval="none")
    by_params, by_tokens, b, floor = checks.GADRE_LOSS[dataset]
    expected = {"E": floor, "lambda_N": by_params, "eta": -b, "lambda_M": by_tokens}
    assert dict(found.params) == pytest.approx(expected, rel=4e-6)
    for (trained_on, params, at_ratio), percent in checks.GADRE_MISS.items():
        if trained_on == dataset:
            row = mine[(mine["params"] == params) & (ratio == at_ratio)].iloc[0]
            said = found.predict(params=params, tokens=at_ratio * params).table["predicted"][0]
            off = 100 * abs(said - row["loss"]) / row["loss"]
            assert off == pytest.approx(percent, abs=6e-4)


# --- what must not change an answer --------------------------------------------------------------


def test_frames_dictionaries_and_run_tables_give_the_same(fitted: Fit) -> None:
    frame = runs()
    for table in (dict(frame), check_runs(frame), frame.assign(note="x")):
        found = fit(table, **FAST)  # type: ignore[arg-type]
        assert found.draws.tobytes() == fitted.draws.tobytes()
        pd.testing.assert_series_equal(found.params, fitted.params)


def test_the_input_is_left_as_it_was() -> None:
    frame = runs()
    before = frame.copy()
    fit(frame, interval="none", starts=2)
    pd.testing.assert_frame_equal(frame, before)


def test_params_in_millions_change_nothing_but_the_amplitude(fitted: Fit) -> None:
    frame = runs()
    found = fit(frame.assign(params=frame["params"] / 1e6), interval="none", starts=6)
    for name in ("E", "alpha", "beta", "B"):
        assert found.params[name] == pytest.approx(fitted.params[name], rel=1e-4)
    expected = fitted.params["A"] / 1e6 ** fitted.params["alpha"]
    assert found.params["A"] == pytest.approx(expected, rel=1e-3)


def test_the_law_is_chosen_by_the_columns(fitted: Fit) -> None:
    assert fitted.law.name == "chinchilla"
    alone = fit({"tokens": X, "loss": 1.5 + 40 / X**0.3}, interval="none", starts=2)
    assert alone.law.name == "power_constant"
    assert alone.law.scales == ("tokens",)


def test_the_column_of_a_law_of_one_scale_is_chosen_and_told() -> None:
    found = fit(runs(), "power", interval="none", starts=2)
    assert found.law.scales == ("tokens",)
    assert "along_chosen" in {note.code for note in found.notes}
    named = fit(runs(), "power", along="params", interval="none", starts=2)
    assert named.law.scales == ("params",)
    assert "along_chosen" not in {note.code for note in named.notes}


def test_steps_of_a_run_and_seeds_of_a_configuration_stay_together() -> None:
    assert fit(runs(seeds=3), interval="none", starts=2).n_clusters == 36
    labelled = runs(seeds=3).assign(run=np.repeat(np.arange(27), 4))
    assert fit(labelled, interval="none", starts=2).n_clusters == 27
    assert "cluster" in fit(runs(seeds=3), **FAST).interval_method  # type: ignore[arg-type]


def test_weights_come_as_an_array_a_column_or_noise() -> None:
    frame = runs()
    values = np.linspace(0.1, 2, len(frame))
    by_array = fit(frame, weights=values, interval="none", starts=4)
    by_column = fit(frame.assign(w=values), weights="w", interval="none", starts=4)
    by_role = fit(frame.assign(weight=values), interval="none", starts=4)
    pd.testing.assert_series_equal(by_array.params, by_column.params)
    pd.testing.assert_series_equal(by_array.params, by_role.params)
    assert by_array.weights.mean() == pytest.approx(1)
    deviations = 0.01 * values * frame["loss"]
    noisy = fit(frame.assign(noise=deviations), weights="noise", interval="none", starts=4)
    assert (np.diff(noisy.weights) < 0).all()
    assert "noise_weights" in {note.code for note in noisy.notes}


def test_delta_is_tied_to_the_noise_where_it_is_not_given() -> None:
    found = fit(runs(seeds=6), interval="none", starts=4)
    assert found.objective.delta == pytest.approx(1.345 * 0.004, rel=0.15)
    assert found.noise == pytest.approx(0.004, rel=0.15)
    assert fit(runs(), delta=0.02, interval="none", starts=2).objective.delta == 0.02


def test_the_noise_of_few_runs_is_not_taken_for_less_than_it_is() -> None:
    """16 runs, 5 parameters: a nearly absolute fit passes through 5 of them."""
    sizes, budgets = np.meshgrid(np.geomspace(5e7, 5e9, 4), np.geomspace(1e9, 1e11, 4))
    scales = {"params": sizes.ravel(), "tokens": budgets.ravel()}
    loss = CATALOGUE["chinchilla"].predict(EXAMPLES["chinchilla"], **scales)
    rng = np.random.default_rng(0)
    found = [
        fit(scales | {"loss": loss * np.exp(rng.normal(0, 0.005, 16))}, interval="none", starts=2)
        for _ in range(25)
    ]
    assert np.median([each.noise for each in found]) == pytest.approx(0.005, rel=0.3)
    assert np.median([each.objective.delta for each in found]) > 0.0045


def test_an_asymmetric_objective_follows_the_best_runs() -> None:
    frame = runs()
    plain = fit(frame, "chinchilla", objective="log_squares", interval="none", starts=4)
    best = fit(frame, "chinchilla", objective="log_squares", overestimate_weight=50,
               interval="none", starts=4)  # fmt: skip
    assert (best.residuals > 0).mean() > (plain.residuals > 0).mean() + 0.2


def test_start_values_may_be_given() -> None:
    found = fit({"x": X / 1e3, "loss": 3 + np.sin(X / 1e3 / 700)}, "E + sin(w * x)",
                objective="squares", start={"w": 0.0014}, interval="none")  # fmt: skip
    assert found.params["w"] == pytest.approx(1 / 700, rel=1e-4)


def test_parameters_may_be_held_fixed() -> None:
    found = fit(runs(), fixed={"E": 1.8, "A": 480.0}, **FAST)  # type: ignore[arg-type]
    assert (found.params["E"], found.params["A"]) == (1.8, pytest.approx(480.0))
    assert found.law.n_free == 3
    assert found.interval("E") == found.interval("E", 0.5).__class__(1.8, 1.8, 0.95, "held fixed")
    assert "held fixed" in found.summary()
    assert found.objective_value >= fit(runs(), delta=found.objective.delta, interval="none",
                                        starts=6).objective_value  # fmt: skip


def test_rows_left_out_are_counted_and_told() -> None:
    frame = runs()
    frame.loc[0, "loss"] = np.nan
    frame.loc[1, "loss"] = np.inf
    frame.loc[2, "params"] = 0
    found = fit(frame, interval="none", starts=2)
    assert len(found.loss) == 33
    assert sum(found.provenance.rows_left_out.values()) == 3
    assert "33 rows (3 left out)" in found.summary()
    assert "rows_left_out" in {note.code for note in found.notes}


def test_duplicate_rows_are_kept_and_told() -> None:
    frame = pd.concat([runs(), runs().head(3)], ignore_index=True)
    found = fit(frame, interval="none", starts=2)
    assert len(found.loss) == 39
    assert "duplicate_rows" in {note.code for note in found.notes}


def test_more_rows_than_one_block_are_fitted() -> None:
    """Starts are tried on a sample of the rows; the best are finished on all of them."""
    rng = np.random.default_rng(0)
    tokens = 10 ** rng.uniform(3, 7, 21_000)
    loss = (1.5 + 40 / tokens**0.3) * np.exp(rng.normal(0, 0.01, 21_000))
    found = fit({"tokens": tokens, "loss": loss}, resamples=100, starts=3)
    assert found.params["alpha"] == pytest.approx(0.3, abs=0.01)
    assert 0.3 in found.interval("alpha", 0.9999)


# --- results -------------------------------------------------------------------------------------


def test_the_dictionary_has_the_keys_of_the_design(fitted: Fit) -> None:
    found = fitted.with_predictions(params=1e10, tokens=2e11).to_dict()
    assert {"kind", "version", "provenance", "params", "notes", "law", "formula", "objective",
            "n_rows", "rows_left_out", "predictions"} <= set(found)  # fmt: skip
    assert found["kind"] == "fit"
    assert set(found["params"]["alpha"]) == {"estimate", "ci_lower", "ci_upper"}
    assert {"name", "value"} <= set(found["objective"])
    assert {"params", "tokens", "predicted", "ci_lower", "ci_upper", "obs_lower",
            "obs_upper"} <= set(found["predictions"][0])  # fmt: skip
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("law", ["chinchilla", "shifted_power"])
def test_a_saved_fit_is_read_back_as_it_was(law: str, tmp_path: Path) -> None:
    along = None if law == "chinchilla" else "tokens"
    found = fit(runs(), law, along=along, resamples=20, starts=2)
    found = found.with_predictions(params=1e10, tokens=2e11)
    again = sk.load(found.save(tmp_path / "fit.json"))
    assert isinstance(again, Fit)
    assert again.to_dict() == found.to_dict()
    assert again.summary() == found.summary()
    np.testing.assert_array_equal(again.draws, found.draws)
    pd.testing.assert_frame_equal(
        again.predict(params=1e11, tokens=1e12).table, found.predict(params=1e11, tokens=1e12).table
    )


def test_a_fit_of_an_implicit_law_is_read_back(tmp_path: Path) -> None:
    table = {"tokens": X, "loss": CATALOGUE["m4"].predict(EXAMPLES["m4"], x=X)}
    found = fit(table, "m4", objective="log_squares", interval="none", starts=1)
    again = sk.load(found.save(tmp_path / "fit.json"))
    assert again.to_dict() == found.to_dict()
    np.testing.assert_array_equal(again.residuals, found.residuals)  # type: ignore[attr-defined]


def test_a_fit_of_a_formula_is_read_back(tmp_path: Path) -> None:
    found = fit(runs(), "E + A / (params * tokens)**gamma", fixed={"E": 1.5}, interval="none")
    again = sk.load(found.save(tmp_path / "fit.json"))
    assert again.to_dict() == found.to_dict()
    assert again.law.n_free == 2  # type: ignore[attr-defined]


def test_the_command_prints_the_dictionary(tmp_path: Path) -> None:
    from scalekit.cli.main import build_app

    runs().to_csv(tmp_path / "runs.csv", index=False)
    arguments = ["fit", str(tmp_path / "runs.csv"), "--resamples", "40", "--json"]
    done = CliRunner().invoke(build_app(), [*arguments, "--at", "params=1e10,tokens=2e11"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    expected = fit(sk.read_runs(tmp_path / "runs.csv"), resamples=40)
    expected = expected.with_predictions(params=1e10, tokens=2e11)
    assert said["params"] == expected.to_dict()["params"]
    assert said["predictions"] == expected.to_dict()["predictions"]


def test_summary_and_frame_and_page_say_the_same(fitted: Fit) -> None:
    frame = fitted.to_frame()
    assert list(frame["parameter"]) == list(fitted.law.names)
    for name in fitted.law.names:
        assert name in fitted.summary()
    page = fitted._repr_html_()
    assert "<table" in page
    assert "rows of the table; Huber" in page.partition("<table")[0]
    assert fitted.samples.shape == (60, 5)
    assert "of the loss" in fitted.summary()


# --- bad input -----------------------------------------------------------------------------------

GOOD = {"tokens": X, "loss": 1.5 + 40 / X**0.3}


@pytest.mark.parametrize(
    ("table", "options", "kind", "message"),
    [
        ({"tokens": X, "los": X}, {}, InputError, r"no column 'loss'. Did you mean 'los'"),
        ({"tokns": X, "loss": X}, {"law": "power", "along": "tokens"}, InputError,
         r"along='tokens' is no column. Did you mean 'tokns'"),
        (GOOD, {"law": "chinchilla"}, InputError, r"no column 'params'"),
        (GOOD, {"law": "E + A / tokns**alpha"}, FormulaError, r"Did you mean 'tokens'"),
        (GOOD, {"law": "E + A / size**alpha"}, FormulaError, r"depends on no scale"),
        (GOOD, {"law": "E + eval(tokens)"}, FormulaError, r"calls 'eval', which is not in the lan"),
        (GOOD, {"law": "chinchila"}, FormulaError, r"Did you mean 'chinchilla'"),
        (GOOD | {"loss": ["a"] * 16}, {}, InputError, r"row 0: column 'loss' holds 'a'.*Correct"),
        (GOOD | {"loss": np.full(16, np.nan)}, {}, InputError, r"none of the 16 rows can be used"),
        (GOOD | {"tokens": -X}, {}, InputError, r"none of the 16 rows.*tokens is not positive"),
        ({"tokens": [1e6], "loss": [2.0]}, {}, FitError, r"1 usable row.*different scales"),
        ({"tokens": [1e6] * 5, "loss": [2.0, 2.1, 2.2, 2, 2]}, {}, FitError,
         r"all at the same scale \(tokens = 1e\+06\)"),
        ({"tokens": X[:2], "loss": [3.0, 2.0]}, {}, FitError,
         r"has 3 free parameters, but the table has only 2 different scales.*such as 'power'"),
        ({"tokens": [], "loss": []}, {}, InputError, r"has no rows"),
        (GOOD | {"loss": GOOD["loss"] - 2}, {}, FitError,
         r"takes the logarithm of the loss.*--objective squares"),
        (GOOD, {"objective": "huber"}, InputError, r"no objective 'huber'. Did you mean 'huber_lo"),
        (GOOD, {"delta": -1}, InputError, r"delta must be a positive number"),
        (GOOD, {"interval": "bootstrap"}, InputError, r"no interval method 'bootstrap'"),
        (GOOD, {"resamples": -1}, InputError, r"resamples \(-1\) must be 0 or more"),
        (GOOD, {"starts": 0}, InputError, r"starts \(0\) 1 or more"),
        (GOOD, {"confidence_level": 95}, InputError, r"between 0 and 1, such as 0.95; got 95"),
        (GOOD, {"rng": -1}, InputError, r"A seed must be zero or positive"),
        (GOOD, {"rng": "x"}, InputError, r"rng must be an integer seed"),
        (GOOD, {"weights": "w"}, InputError, r"weights='w' is no column"),
        (GOOD, {"weights": np.ones(3)}, InputError, r"weights has 3 entries, but there are 16"),
        (GOOD, {"weights": -np.ones(16)}, InputError, r"weight is negative"),
        (GOOD, {"weights": np.zeros(16)}, InputError, r"not all zero"),
        (GOOD, {"start": {"alhpa": 1}}, InputError, r"start names 'alhpa'.*Did you mean 'alpha'"),
        (GOOD, {"fixed": {"F": 1}}, InputError, r"fixed names 'F', which is no parameter"),
        (GOOD, {"fixed": {"A": -1}}, InputError, r"A = -1, but it must be a finite positive num"),
        (GOOD, {"fixed": {"E": np.inf}}, InputError, r"E = inf, but it must be a finite number"),
        (GOOD, {"fixed": {"E": 1, "A": 1, "alpha": 1}}, InputError, r"nothing to fit"),
        (runs(), {"law": "chinchilla", "along": "flops"}, InputError, r"Leave --along"),
        (GOOD, {"law": "log(0 - tokens) * a"}, FitError, r"no finite value at any start"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_told(
    table: object, options: dict[str, object], kind: type[ScalekitError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        fit(table, **options)  # type: ignore[arg-type]


def test_an_interval_of_no_parameter_is_told(fitted: Fit) -> None:
    with pytest.raises(InputError, match=r"no parameter 'aplha'. Did you mean 'alpha'"):
        fitted.interval("aplha")
    with pytest.raises(InputError, match=r"between 0 and 1"):
        fitted.interval("alpha", 2.0)
