"""The formula language says what Python's arithmetic says, and nothing else can be said in it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import FormulaError
from scalekit.fitters.derivatives import derivative
from scalekit.fitters.formula import FUNCTIONS, linear_names, parse, to_latex
from scalekit.fitters.tape import Tape

VALUES = {"a": 0.7, "b": 1.9, "c": 0.3, "x": 2.5}
FORMULAS = [
    "a + b * x",
    "a - b - c - x",
    "-(a - b)",
    "a / b / x",
    "a**2 + x**-1 + x**0.5 + b**3",
    "x**a / b**x",
    "(a + b)**(c * x)",
    "exp(-a * x) * exp(b) / exp(c * x)",
    "log(a * exp(x)) + log(x / b)",
    "sqrt(a + x) * tanh(b * x) + sin(c) * cos(x) + arctan(x)",
    "log1p(a * x) + expm1(c) + logistic(b * x) + softplus(a - x)",
    "minimum(a, x) * maximum(b, c)",
    "2.5e-1 * x",
]


def evaluate(text: str, values: dict[str, float]) -> float:
    return float(Tape([parse(text)])(values)[0])


def by_python(text: str, values: dict[str, float]) -> float:
    names = {name: getattr(np, name) for name in FUNCTIONS if hasattr(np, name)}
    names["logistic"] = lambda u: 1 / (1 + math.exp(-u))
    names["softplus"] = lambda u: math.log(1 + math.exp(u))
    return float(eval(text, {"__builtins__": {}}, names | values))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_has_the_value_that_python_gives_it(text: str) -> None:
    assert evaluate(text, VALUES) == pytest.approx(by_python(text, VALUES), rel=1e-13)


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("name", sorted(VALUES))
def test_derivatives_are_the_limits_of_differences(text: str, name: str) -> None:
    exact = Tape([derivative(parse(text), name)])(VALUES)[0]
    h = 1e-5
    up, down = (evaluate(text, VALUES | {name: VALUES[name] + sign * h}) for sign in (1, -1))
    assert exact == pytest.approx((up - down) / (2 * h), rel=1e-7, abs=1e-9)


terms = st.recursive(
    st.sampled_from(["a", "b", "x", "1", "2", "0", "0.5"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"exp(-0.1 * {t})"),
        inner.map(lambda t: f"-{t}"),
        inner.map(lambda t: f"({t})**2"),
    ),
    max_leaves=8,
)


@given(terms)
def test_simplification_never_changes_a_value(text: str) -> None:
    try:
        expected = by_python(text, VALUES)
    except OverflowError:  # a tower of squares
        return
    if abs(expected) < 1e100:
        assert evaluate(text, VALUES) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", "outside the language"),
        ("open(x)", "calls 'open'"),
        ("x.__class__", "outside the language"),
        ("(lambda: x)()", "outside the language"),
        ("x if x else a", "outside the language"),
        ("[x, a]", "outside the language"),
        ("x[0]", "outside the language"),
        ("'x'", "outside the language"),
        ("x < a", "outside the language"),
        ("x // a", "outside the language"),
        ("True", "truth value"),
        ("exp(x, a)", r"takes 1 argument\(s\), not 2"),
        ("exp(x=1)", "outside the language"),
        ("exp", "without an argument"),
        ("expp(x)", "Did you mean 'exp'"),
        ("1 / 0", "no finite value"),
        ("9**9**9**9 * x", "no finite value"),
        ("(-1)**0.5", "no finite value"),
        ("a +", "Cannot read"),
        ("", "empty"),
        ("a; b", "behind the semicolon"),
        ("a" * 3000, "3000 characters"),
        ("(" * 150 + "x" + ")" * 150 + " + 1" * 150, "nested deeper|Cannot read"),
    ],
)
def test_whatever_is_outside_the_language_is_an_error_that_says_so(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse(text)


def test_named_parts_stand_behind_semicolons() -> None:
    assert evaluate("a + n**2; n = m + 1; m = x", VALUES) == pytest.approx(0.7 + 3.5**2)


def test_the_linear_parameters_are_found() -> None:
    chinchilla = parse("E + A / params**alpha + B / tokens**beta")
    assert linear_names(chinchilla, ["E", "A", "alpha", "B", "beta"]) == ("E", "A", "B")
    assert linear_names(parse("a * b * x"), ["a", "b"]) == ("a",)
    assert linear_names(parse("exp(a * x)"), ["a"]) == ()


def test_law_and_derivatives_share_their_parts() -> None:
    """Each power of a scale is one exponential, however often it occurs."""
    law = parse("E + A / params**alpha + B / tokens**beta")
    outputs = [law, *[derivative(law, name) for name in ("A", "alpha", "B", "beta")]]
    tape = Tape(outputs)
    assert sum(function is np.exp for function, _ in tape._steps) == 2


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("E + A / params**alpha", r"E + \frac{A}{N^{\alpha}}"),
        ("(a + b) * x", r"\left(a + b\right) \, x"),
        ("a - (b - c)", r"a - \left(b - c\right)"),
        ("(x / x0)**c1", r"\left(\frac{x}{x_{0}}\right)^{c_{1}}"),
        ("b * exp(-x / tokens)", r"b \, \exp\left(\frac{-x}{D}\right)"),
        ("sqrt(x) + lambda_N", r"\sqrt{x} + \lambda_{N}"),
        ("a + n; n = 2 * x", r"a + n,\quad n = 2 \, x"),
    ],
)
def test_latex_reads_as_the_formula_does(text: str, latex: str) -> None:
    assert to_latex(text) == latex
