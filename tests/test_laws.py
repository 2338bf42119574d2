"""Every law of the catalogue: its derivatives, its textbook form, its recovery, its errors."""

from __future__ import annotations

import numpy as np
import pytest

import scalekit as sk
from scalekit.errors import FormulaError
from scalekit.fitters import Law, Parameter, as_law, fit
from scalekit.fitters.laws import ALIASES, CATALOGUE, laws
from scalekit.fitters.model import ImplicitModel, to_internal
from tests.reference import published_checks as checks
from tests.reference.law_examples import EXAMPLES, X, scales_of

names = pytest.mark.parametrize("name", CATALOGUE)


def points_near(law: Law, count: int = 3) -> np.ndarray:
    """Return parameter vectors of the solver scattered about the law's example."""
    rng = np.random.default_rng(5)
    values = np.array([[EXAMPLES[law.name][name] for name in law.names]])
    theta = to_internal(values, law.parameters)
    return theta * (1 + 0.02 * rng.uniform(-1, 1, (count, len(law.names))))


def test_every_law_has_an_example() -> None:
    assert set(EXAMPLES) == set(CATALOGUE)


@names
def test_first_derivatives_are_the_limits_of_differences(name: str) -> None:
    law = CATALOGUE[name]
    theta, scales = points_near(law), scales_of(law.scales)
    _, first, _ = law.model.derivatives(theta, scales)
    for k in range(len(law.names)):
        h = 3e-6 * (1 + np.abs(theta[:, k]))
        up, down = theta.copy(), theta.copy()
        up[:, k] += h
        down[:, k] -= h
        difference = (law.model.value(up, scales) - law.model.value(down, scales)) / (2 * h)[
            :, None
        ]
        exact = np.broadcast_to(first[k], difference.shape)
        scale = np.abs(difference).max() + 1e-8
        np.testing.assert_allclose(exact / scale, difference / scale, atol=3e-7)


@names
def test_second_derivatives_are_the_limits_of_differences_of_first_ones(name: str) -> None:
    law = CATALOGUE[name]
    theta, scales = points_near(law), scales_of(law.scales)
    value, first, second = law.model.derivatives(theta, scales)
    count = len(law.names)
    for j in range(count):
        h = 3e-6 * (1 + np.abs(theta[:, j]))
        up, down = theta.copy(), theta.copy()
        up[:, j] += h
        down[:, j] -= h
        above, below = (law.model.derivatives(moved, scales)[1] for moved in (up, down))
        for i in range(j + 1):
            difference = (above[i] - below[i]) / (2 * h)[:, None]
            difference = np.broadcast_to(difference, value.shape)
            exact = np.broadcast_to(second.get((i, j), 0.0), value.shape)
            scale = np.abs(difference).max() + 1e-4 * np.abs(first[i]).max()  # rounding
            np.testing.assert_allclose(exact / scale, difference / scale, atol=2e-6)


@names
def test_a_law_without_noise_is_recovered(name: str) -> None:
    law = CATALOGUE[name]
    if law.scales == ("x",):
        law = law.along("tokens")
    scales = scales_of(law.scales)
    loss = law.predict(EXAMPLES[name], **scales)
    starts = 6 if name in ("bnsl2", "bnsl3") else 12  # many parameters take their time
    found = fit(
        scales | {"loss": loss}, law, objective="log_squares", interval="none", starts=starts
    )
    predicted = found.predict(**scales).table["predicted"]
    np.testing.assert_allclose(predicted, loss, rtol=1e-5)


@names
def test_every_law_says_where_it_comes_from_and_holds(name: str) -> None:
    law = CATALOGUE[name]
    assert "arXiv:" in law.source
    assert law.domain
    assert law.latex.count("{") == law.latex.count("}")
    assert law._repr_latex_() == f"${law.latex}$"


def test_the_catalogue_is_public() -> None:
    assert [law.name for law in sk.laws()] == list(CATALOGUE) == [law.name for law in laws()]


def test_the_root_of_m4_satisfies_its_equation() -> None:
    law = CATALOGUE["m4"]
    v = EXAMPLES["m4"]
    loss = law.predict(v, x=X)
    assert ((loss > v["E"]) & (loss < v["I"])).all()
    left = (loss - v["E"]) / (v["I"] - loss) ** v["a"]
    np.testing.assert_allclose(left, v["b"] * X ** -v["c"], rtol=1e-10)


def test_m4_with_a_of_zero_is_a_power_law_with_a_constant() -> None:
    """Alabdulmohsin et al. 2022, section 3: M2 is the special case a = 0."""
    loss = CATALOGUE["m4"].predict({"E": 1.5, "a": 0, "I": 90.0, "b": 40, "c": 0.3}, x=X)
    expected = CATALOGUE["power_constant"].predict({"E": 1.5, "A": 40, "alpha": 0.3}, x=X)
    np.testing.assert_allclose(loss, expected, rtol=1e-10)


def test_m4_has_no_value_where_the_ceiling_is_below_the_floor() -> None:
    values = EXAMPLES["m4"] | {"E": 9.0}
    assert np.isnan(CATALOGUE["m4"].predict(values, x=X)).all()


@pytest.mark.parametrize("breaks", [1, 2, 3])
def test_the_broken_law_is_its_textbook_form(breaks: int) -> None:
    """Caballero et al. 2022, eq. 1: a + b x^-c0 prod (1 + (x/d_i)^(1/f_i))^(-c_i f_i)."""
    v = EXAMPLES[f"bnsl{breaks}"]
    expected = v["b"] * X ** -v["c0"]
    for i in range(1, breaks + 1):
        c, d, f = (v[f"{letter}{i}"] for letter in "cdf")
        expected = expected * (1 + (X / d) ** (1 / f)) ** (-c * f)
    found = CATALOGUE[f"bnsl{breaks}"].predict(v, x=X)
    np.testing.assert_allclose(found, v["E"] + expected, rtol=1e-12)


def test_a_sharp_break_far_away_does_not_overflow() -> None:
    values = EXAMPLES["bnsl1"] | {"f1": 0.01, "d1": 1e-3}
    assert np.isfinite(CATALOGUE["bnsl1"].predict(values, x=X)).all()


def test_repeated_data_without_repetition_is_the_law_without_repetition() -> None:
    """Muennighoff et al. 2023: at most one epoch and no excess of params leave Chinchilla's law."""
    values = EXAMPLES["repeated_data"]
    plain = {name: values[name] for name in ("E", "A", "alpha", "B", "beta")}
    scales = {"params": np.geomspace(1e6, 1e7, 5), "tokens": np.full(5, 1e10)}
    found = CATALOGUE["repeated_data"].predict(values, **scales, unique_tokens=2e10)
    np.testing.assert_allclose(found, CATALOGUE["chinchilla"].predict(plain, **scales), rtol=1e-12)


@pytest.mark.parametrize("epochs", checks.MUENNIGHOFF_MULTIPLES)
def test_repeated_data_is_worth_what_the_paper_says(epochs: int) -> None:
    """Published multiples of the unique tokens at several epochs, read off the law's loss."""
    v = EXAMPLES["repeated_data"] | {"R_D": checks.MUENNIGHOFF["R_D"]}
    params, unique = 1e7, 1e9  # so few parameters that none is in excess
    loss = CATALOGUE["repeated_data"].predict(
        v, params=params, tokens=epochs * unique, unique_tokens=unique
    )
    by_tokens = float(loss) - v["E"] - v["A"] / params ** v["alpha"]
    worth = (by_tokens / v["B"]) ** (-1 / v["beta"]) / unique
    assert worth == pytest.approx(checks.MUENNIGHOFF_MULTIPLES[epochs], rel=3e-4)


def test_implicit_laws_are_the_exception() -> None:
    assert [law.name for law in laws() if isinstance(law.model, ImplicitModel)] == ["m4"]


def test_the_irreducible_loss_is_the_constant_term() -> None:
    assert CATALOGUE["chinchilla"].irreducible == "E"
    assert CATALOGUE["m4"].irreducible == "E"
    assert CATALOGUE["power"].irreducible is None
    assert Law("mine", "floor + A / params**alpha").irreducible == "floor"


def test_a_law_is_moved_along_a_column() -> None:
    law = CATALOGUE["shifted_power"].along("flops")
    assert law.scales == ("flops",)
    assert {p.scale for p in law.parameters} == {None, "flops"}
    value = law.predict(EXAMPLES["shifted_power"], flops=1e5)
    assert value == CATALOGUE["shifted_power"].predict(EXAMPLES["shifted_power"], x=1e5)
    assert CATALOGUE["chinchilla"].along("flops") is CATALOGUE["chinchilla"]


def test_predictions_broadcast_and_keep_their_shape() -> None:
    law = CATALOGUE["chinchilla"]
    loss = law.predict(EXAMPLES["chinchilla"], params=np.ones((3, 1)) * 1e9, tokens=[1e9, 1e10])
    assert loss.shape == (3, 2)
    assert law.predict(EXAMPLES["chinchilla"], params=1e9, tokens=1e10).shape == ()


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_lead_to_laws(alias: str) -> None:
    assert as_law(alias) is CATALOGUE[ALIASES[alias]]


def test_a_formula_is_a_law_over_scales_and_columns() -> None:
    law = as_law("E + A / width**alpha", ["width", "loss"])
    assert law.scales == ("width",)
    assert law.names == ("E", "A", "alpha")
    assert as_law(law) is law


def test_what_a_formula_does_not_say_is_inferred() -> None:
    by_name = {p.name: p for p in as_law("E + A / params**alpha").parameters}
    assert not by_name["E"].log
    assert by_name["E"].lower == 0
    assert by_name["A"].log
    assert (by_name["alpha"].lower, by_name["alpha"].upper) == (-10, 10)
    place = {p.name: p for p in as_law("A / (1 + params / n0)**2").parameters}["n0"]
    assert (place.scale, place.log) == ("params", True)


def test_given_parameters_replace_inferred_ones() -> None:
    law = Law("mine", "E + A / params**alpha", parameters=(Parameter("E", 1.0, 2.0),))
    assert law.parameters[0] == Parameter("E", 1.0, 2.0)
    assert law.n_free == 3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Law("mine", "E + A / size**alpha"), "depends on no scale.*Scales are params"),
        (lambda: Law("mine", "params"), "no parameter to fit"),
        (
            lambda: Law("mine", "E + params", parameters=(Parameter("e"),)),
            "has no parameter 'e'. Did you mean 'E'",
        ),
        (lambda: as_law("chinchila"), "no law 'chinchila'. Did you mean 'chinchilla'"),
        (lambda: as_law("zzz"), "There is no law 'zzz'. There are: power"),
        (lambda: as_law("E + A / parms**alpha"), "'parms', which is no column. Did you mean 'par"),
        (
            lambda: as_law("E + A / n_tokns**alpha", ["n_tokens"]),
            "'n_tokns', which is no column. Did you mean 'n_tokens'",
        ),
        (lambda: as_law("E + A / open(x)"), "calls 'open', which is not in the language"),
        (lambda: CATALOGUE["power"].predict({"A": 1.0}, x=1.0), "parameter 'alpha'; given are A"),
        (lambda: CATALOGUE["power"].predict(EXAMPLES["power"], params=1.0), "the scale 'x'; given"),
    ],
)  # fmt: skip
def test_a_law_that_cannot_be_says_why(build: object, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        build()  # type: ignore[operator]
