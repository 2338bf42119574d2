"""The typed-in constants and numbers of published laws agree with each other."""

from __future__ import annotations

import math

import pytest

from tests.reference import published_checks as checks
from tests.reference.published_checks import Allocation, ImageLaw, Prediction


def chinchilla(constants: dict[str, float], params: float, tokens: float) -> float:
    c = constants
    return c["E"] + c["A"] / params ** c["alpha"] + c["B"] / tokens ** c["beta"]


def kaplan(constants: dict[str, float], params: float, tokens: float) -> float:
    c = constants
    ratio = (c["N_c"] / params) ** (c["alpha_N"] / c["alpha_D"])
    return (ratio + c["D_c"] / tokens) ** c["alpha_D"]


def repeated(
    constants: dict[str, float], params: float, tokens: float, unique_tokens: float
) -> float:
    c = constants
    base = min(params, unique_tokens * math.exp((c["log_A"] - c["log_B"]) / c["alpha"]))
    more_params = base * (1 - c["R_N"] * math.expm1(-(params / base - 1) / c["R_N"]))
    repeats = tokens / unique_tokens - 1
    more_tokens = unique_tokens * (1 - c["R_D"] * math.expm1(-repeats / c["R_D"]))
    by_params = math.exp(c["log_A"]) * more_params ** -c["alpha"]
    return math.exp(c["log_E"]) + by_params + math.exp(c["log_B"]) * more_tokens ** -c["beta"]


LAWS = {"chinchilla": chinchilla, "kaplan": kaplan, "repeated_data": repeated}


@pytest.mark.parametrize("case", checks.PREDICTIONS, ids=lambda case: f"{case.law}-{case.loss}")
def test_a_published_loss_follows_from_the_published_constants(case: Prediction) -> None:
    assert LAWS[case.law](case.constants, **case.scales) == pytest.approx(case.loss, rel=case.rel)


@pytest.mark.parametrize("case", checks.ALLOCATIONS, ids=["hoffmann", "besiroglu"])
def test_a_published_allocation_follows_from_the_published_constants(case: Allocation) -> None:
    c = case.constants
    total = c["alpha"] + c["beta"]
    gain = (c["alpha"] * c["A"] / (c["beta"] * c["B"])) ** (1 / total)
    exponent = c["beta"] / total
    params = gain * (case.flops / 6) ** exponent
    tokens = case.flops / 6 / params
    found = (exponent, gain, params, tokens, tokens / params)
    expected = (case.exponent, case.gain, case.params, case.tokens, case.tokens_per_param)
    assert found == pytest.approx(expected, rel=1.5 * case.rel)


@pytest.mark.parametrize("epochs", checks.MUENNIGHOFF_MULTIPLES)
def test_the_effective_data_multiples_follow_from_the_half_life(epochs: int) -> None:
    half_life = checks.MUENNIGHOFF["R_D"]
    found = 1 + half_life * (1 - math.exp(-(epochs - 1) / half_life))
    assert found == pytest.approx(checks.MUENNIGHOFF_MULTIPLES[epochs], rel=3e-4)


@pytest.mark.parametrize("task", checks.OLMO_STEP1)
def test_the_olmo_predictions_follow_from_the_coefficients(task: str) -> None:
    a, b, alpha, beta, floor, predicted, _ = checks.OLMO_STEP1[task]
    found = floor + a / checks.OLMO_SCALES["params"] ** alpha
    found += b / checks.OLMO_SCALES["tokens"] ** beta
    assert found == pytest.approx(predicted, rel=1e-3)


@pytest.mark.parametrize("task", checks.OLMO_STEP2)
def test_the_olmo_accuracies_follow_from_the_sigmoid(task: str) -> None:
    height, middle, steepness, top, at_actual, at_predicted = checks.OLMO_STEP2[task]
    *_, predicted, actual = checks.OLMO_STEP1[task]
    for bits, accuracy in ((actual, at_actual), (predicted, at_predicted)):
        found = height / (1 + math.exp(-steepness * (bits - middle))) + top
        assert found == pytest.approx(accuracy, rel=2e-4)


def test_the_deepseek_model_and_data_scales_multiply_to_the_compute() -> None:
    model, data = checks.DEEPSEEK["flops_per_token"], checks.DEEPSEEK["tokens"]
    assert model[0] * data[0] == pytest.approx(1, abs=2e-4)
    assert model[1] + data[1] == pytest.approx(1)


@pytest.mark.parametrize("name", checks.HENIGHAN)
def test_the_laws_per_image_follow_from_those_per_token(name: str) -> None:
    law: ImageLaw = checks.HENIGHAN[name]
    scale = law.scale * law.tokens_per_image ** (1 / law.exponent)
    printed = law.printed_scale * (10 if name == checks.HENIGHAN_MISPRINT else 1)
    assert scale == pytest.approx(printed, rel=0.03)
    irreducible = law.irreducible * law.tokens_per_image
    assert irreducible == pytest.approx(law.printed_irreducible, rel=0.003)
