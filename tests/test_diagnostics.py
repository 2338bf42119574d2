"""Every note has a small table that calls for it, and one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalekit.fitters import Fit, Law, Parameter, fit
from scalekit.fitters.diagnostics import diagnose
from scalekit.fitters.laws import CATALOGUE
from scalekit.fitters.problem import Solution
from tests.reference.law_examples import EXAMPLES, PARAMS_TOKENS

X = np.geomspace(1e3, 1e7, 24)
NOISE = np.random.default_rng(0).normal(0, 0.005, 24)
GOOD = {"tokens": X, "loss": (1.5 + 40 / X**0.3) * np.exp(NOISE)}


def power_fit(
    table: dict[str, np.ndarray], law: str | Law = "power_constant", **more: object
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
    assert "row 7 (+18" in message(found, "outliers")


def test_depends_on_choices() -> None:
    loss = GOOD["loss"].copy()
    loss[-1] *= 1.3
    found = power_fit(GOOD | {"loss": loss}, delta=1e-3)
    assert "objective squares" in message(found, "depends_on_choices")


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
        return {note.code for note in diagnose(changed, optima)} - codes(good)

    assert told(alone) == set()
    assert told(rival) == {"rival_optimum"}
    assert told(alone, converged=False) == {"not_converged"}
    assert told(alone, agreeing=1) == {"starts_disagree"}
    assert told(alone, condition=1e11) == {"ill_conditioned"}
    assert told(alone, resample_agreement=0.4) == {"resamples_disagree"}
