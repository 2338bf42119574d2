"""Every note has a small table that calls for it, and one that does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalekit.data import read_runs
from scalekit.fitters import Fit, Law, Parameter, choose_law, fit
from scalekit.fitters.diagnostics import diagnose
from scalekit.fitters.laws import CATALOGUE
from scalekit.fitters.problem import Solution
from scalekit.tables import RunTable
from tests.reference.law_examples import EXAMPLES, PARAMS_TOKENS

X = np.geomspace(1e3, 1e7, 24)
NOISE = np.random.default_rng(0).normal(0, 0.005, 24)
GOOD = {"tokens": X, "loss": (1.5 + 40 / X**0.3) * np.exp(NOISE)}


def power_fit(
    table: dict[str, np.ndarray] | pd.DataFrame | RunTable,
    law: str | Law = "power_constant",
    **more: object,
) -> Fit:
    options: dict[str, object] = {"interval": "delta", "resamples": 200, "starts": 6, **more}
    return fit(table, law, **options)  # type: ignore[arg-type]


def codes(found: Fit) -> set[str]:
    return {note.code for note in found.notes}


def message(found: Fit, code: str) -> str:
    return next(note.message for note in found.notes if note.code == code)


@pytest.fixture(scope="module")
def good() -> Fit:
    return power_fit(GOOD)


def test_a_good_fit_carries_no_note(good: Fit) -> None:
    assert codes(good) <= {"depends_on_choices"}


def test_a_level_is_told_with_all_its_digits() -> None:
    found = power_fit(GOOD, confidence_level=0.995)
    assert "99.5% interval" in found.summary()
    assert "99.5% intervals" in found.with_predictions(tokens=1e8).summary()


def test_a_perfect_fit_carries_no_note_on_its_starts() -> None:
    """Objectives of rounding errors differ in their ratios; that is no disagreement."""
    found = power_fit({"tokens": X, "loss": 1.5 + 40 / X**0.3}, interval="none")
    assert not codes(found)
    assert found.search.agreeing == found.search.starts


def test_short_range() -> None:
    near = {"tokens": np.linspace(1e6, 3e6, 24), "loss": GOOD["loss"]}
    assert "tokens spans 0.48 decades" in message(power_fit(near), "short_range")


def test_few_configurations() -> None:
    table = {name: column[::5] for name, column in GOOD.items()}
    assert "5 different configurations for 3 parameters" in message(
        power_fit(table), "few_configurations"
    )


def test_scales_move_together() -> None:
    params = np.geomspace(1e7, 1e9, 20)
    loss = CATALOGUE["chinchilla"].predict(
        EXAMPLES["chinchilla"], params=params, tokens=20 * params
    )
    loss = loss * np.exp(NOISE[:20])
    together = {"params": params, "tokens": 20 * params, "loss": loss}
    few: dict[str, object] = {"interval": "none", "starts": 2}
    assert "scales_move_together" in codes(power_fit(together, "chinchilla", **few))
    apart = PARAMS_TOKENS | {
        "loss": CATALOGUE["chinchilla"].predict(EXAMPLES["chinchilla"], **PARAMS_TOKENS)
    }
    assert "scales_move_together" not in codes(power_fit(apart, "chinchilla", **few))


def test_constant_at_zero() -> None:
    bent = {"tokens": X, "loss": 10 / X**0.1 * np.exp(-0.004 * np.log(X) ** 2)}
    found = power_fit(bent)
    assert found.params["E"] == 0
    assert "exactly 0: the runs show no floor yet" in message(found, "constant_at_zero")


def test_parameter_at_bound() -> None:
    law = Law("steep", "E + A / tokens**alpha", parameters=(Parameter("alpha", 0.0, 0.2),))
    found = power_fit(GOOD, law)
    assert "alpha is at its bound 0.2" in message(found, "parameter_at_bound")
    assert {note.severity for note in found.notes if note.code == "parameter_at_bound"} == {"error"}


def test_a_parameter_that_is_held_is_not_at_a_bound() -> None:
    found = power_fit(GOOD, fixed={"alpha": 0.2})
    assert "parameter_at_bound" not in codes(found)


def test_term_vanishes() -> None:
    rising = {"tokens": X, "loss": np.linspace(2, 3, 24)}
    law = Law("falls", "E + A / tokens**alpha", parameters=(Parameter("alpha", 0.01, 10),))
    found = power_fit(rising, law, interval="none")
    assert {"term_vanishes", "parameter_at_bound"} & codes(found)


def test_ill_conditioned() -> None:
    twice = Law("twice", "E + A / tokens**alpha + B / tokens**alpha")
    found = power_fit(GOOD, twice, interval="none")
    assert "ill_conditioned" in codes(found)


def test_weakly_identified() -> None:
    noisy = {"tokens": X[:10], "loss": GOOD["loss"][:10] * np.exp(20 * NOISE[:10])}
    found = power_fit(noisy, interval="wild")
    assert {"weakly_identified", "constant_at_zero"} & codes(found)


def test_outliers() -> None:
    loss = GOOD["loss"].copy()
    loss[7] *= 1.2
    found = power_fit(GOOD | {"loss": loss})
    assert "row 7 (+20.8%)" in message(found, "outliers")  # of the loss, not of its logarithm


def test_outliers_are_named_as_the_file_counts_and_grave_ones_warn(tmp_path: Path) -> None:
    table = pd.DataFrame(GOOD).assign(run=[f"r{k}" for k in range(24)], recipe="a")
    table.loc[13, "loss"] *= 3
    table.to_csv(tmp_path / "runs.csv", index=False)
    runs = read_runs(tmp_path / "runs.csv", quiet=True).where("tokens>=5000")
    found = power_fit(runs)
    told = next(note for note in found.notes if note.code == "outliers")
    assert "data row 14, run r13 (+2" in told.message
    assert told.severity == "warning"
    chosen = choose_law(runs, ["power", "power_constant"])
    assert "data row 14, run r13" in next(n.message for n in chosen.notes if n.code == "outliers")


def test_a_small_outlier_is_only_mentioned() -> None:
    loss = GOOD["loss"].copy()
    loss[7] *= 1.04
    found = power_fit(GOOD | {"loss": loss})
    assert [note.severity for note in found.notes if note.code == "outliers"] == ["info"]


def recipes(**more: object) -> pd.DataFrame:
    """Runs of two recipes of several sizes each."""
    both = pd.concat([pd.DataFrame(GOOD)] * 2, ignore_index=True)
    columns = {"recipe": ["a"] * 24 + ["b"] * 24, "run": [f"r{k}" for k in range(48)], **more}
    return both.assign(**columns)


def test_recipes_fitted_together_are_told() -> None:
    runs = read_runs(recipes(), quiet=True)
    told = message(power_fit(runs), "recipes_pooled")
    assert "Column 'recipe' has 2 values (a, b)" in told
    assert "--where recipe=a" in told
    assert "scalekit compare --by recipe" in told
    chosen = choose_law(runs, ["power", "power_constant"])
    assert "recipes_pooled" in {note.code for note in chosen.notes}
    plain = recipes().drop(columns=["recipe", "run"]).assign(corpus=["web", "books"] * 24)
    assert "'corpus' has 2 values (books, web)" in message(power_fit(plain), "recipes_pooled")


@pytest.mark.parametrize(
    "table",
    [
        recipes(recipe="a"),
        recipes(recipe="a", size_label=[f"{x:.1g}" for x in X] * 2),
        recipes(recipe="a", trial_id=["x", "y"] * 24),
        recipes(recipe="a", comment=[f"text {k}" for k in range(48)]),
        recipes(recipe="a", lr=[0.1, 0.2] * 24),
        recipes(recipe="a", tags=[["x"]] * 48),
    ],
    ids=["one value", "names of sizes", "ids", "prose", "numbers", "lists"],
)
def test_columns_that_tell_no_recipes_apart_are_not_told(table: pd.DataFrame) -> None:
    assert "recipes_pooled" not in codes(power_fit(read_runs(table, quiet=True)))


def test_recipes_of_runs_along_compute_are_told() -> None:
    told = message(
        power_fit(recipes().rename(columns={"tokens": "flops", "recipe": "group"})),
        "recipes_pooled",
    )
    assert "'group' has 2 values" in told


def test_recipes_of_which_a_filter_left_one_are_not_told() -> None:
    runs = read_runs(recipes(), quiet=True).where("recipe=b")
    assert "recipes_pooled" not in codes(power_fit(runs))


def test_a_scale_that_the_law_does_not_know_is_told() -> None:
    runs = {**GOOD, "params": np.tile([1e6, 8e6], 12)}
    assert message(power_fit(runs), "scale_left_out") == (
        "params goes from 1M to 8M on its own, but the law knows tokens only: what params does to "
        "the loss is scatter to it. Take a law of both (see `scalekit laws`), or runs of one "
        "params (--where)."
    )
    grid = {"flops": X, "params": np.tile([1e6, 8e6], 12), "loss": GOOD["loss"]}
    assert "scale_left_out" in codes(power_fit(grid))
    assert "scale_left_out" not in codes(power_fit(runs, "chinchilla"))


@pytest.mark.parametrize(
    "params", [np.full(24, 1e6), X / 20, 3 * X**0.5], ids=["one size", "a ratio", "a power"]
)
def test_a_scale_that_goes_with_that_of_the_law_is_not_told(params: np.ndarray) -> None:
    assert "scale_left_out" not in codes(power_fit({**GOOD, "params": params}))


def test_depends_on_choices() -> None:
    loss = GOOD["loss"].copy()
    loss[-1] *= 1.3
    found = power_fit(GOOD | {"loss": loss}, delta=1e-3)
    assert "objective squares" in message(found, "depends_on_choices")
    assert "'sensitivity' of -o fit.json" in message(found, "depends_on_choices")


def test_sensitivity_has_a_row_for_each_choice(good: Fit) -> None:
    assert list(good.sensitivity["variant"]) == [
        *("as fitted", "objective log_squares", "objective squares"),
        *(f"without the {count} worst row(s)" for count in (1, 3, 5)),
    ]
    first = good.sensitivity.iloc[0]
    assert first["alpha"] == good.params["alpha"]
    far = good.predict(tokens=1e8).table["predicted"][0]
    assert first["loss_one_decade_on"] == pytest.approx(far)


def test_what_the_search_tells(good: Fit) -> None:
    """Notes on the search, from searches that went wrong in known ways."""
    alone = Solution(good.theta[None], np.array([good.objective_value]), np.array([True]))
    rival = Solution(
        np.stack([good.theta, good.theta + 0.1]),
        good.objective_value * np.array([1, 1.005]),
        np.array([True, True]),
    )

    def told(optima: Solution, **search: object) -> set[str]:
        changed = replace(good, search=replace(good.search, **search))  # type: ignore[arg-type]
        return {note.code for note in diagnose(changed, optima, str)} - codes(good)

    assert told(alone) == set()
    assert told(rival) == {"rival_optimum"}
    assert told(alone, converged=False) == {"not_converged"}
    assert told(alone, agreeing=1) == {"starts_disagree"}
    assert told(alone, condition=1e11) == {"ill_conditioned"}
    assert told(alone, resample_agreement=0.4) == {"resamples_disagree"}


def test_an_accuracy_given_as_a_loss_is_told_first() -> None:
    flops = np.geomspace(1e17, 1e20, 16)
    runs = pd.DataFrame({"flops": flops, "loss": 0.8 - 0.5 * (flops / 1e17) ** -0.2})
    found = fit(runs, law="power_constant", resamples=50, rng=0)
    told = next(note.message for note in found.notes if note.code == "loss_rises")
    assert "rises with flops" in told
    assert "loss=1-COLUMN" in told
    falling = fit(runs.assign(loss=1 - runs["loss"]), law="power_constant", resamples=50, rng=0)
    assert "loss_rises" not in [note.code for note in falling.notes]
