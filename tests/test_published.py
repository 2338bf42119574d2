"""Published laws give the published numbers, with the source and a word of caution."""

from __future__ import annotations

import math

import numpy as np
import pytest

import scalekit as sk
from scalekit.errors import InputError
from scalekit.fitters.laws import CATALOGUE
from scalekit.fitters.published import PUBLISHED, published
from tests.reference import published_checks as checks

NAMES = {
    checks.HOFFMANN_SOURCE: "hoffmann2022_rounded",
    checks.KAPLAN_SOURCE: "kaplan2020",
    checks.MUENNIGHOFF_SOURCE: "muennighoff2023",
}


def loss_of(name: str, **scales: float) -> float:
    return float(published(name).predict(**scales).table["predicted"][0])


@pytest.mark.parametrize("case", checks.PREDICTIONS, ids=lambda case: f"{case.law}-{case.loss}")
def test_a_published_loss_is_predicted(case: checks.Prediction) -> None:
    rel = max(case.rel, 1e-12)
    assert loss_of(NAMES[case.source], **case.scales) == pytest.approx(case.loss, rel=rel)


def test_the_constants_are_those_that_were_printed() -> None:
    assert dict(published("besiroglu2024").values) == checks.BESIROGLU
    assert dict(published("hoffmann2022_rounded").values) == checks.HOFFMANN
    for name in checks.HOFFMANN:  # the digits behind the printed ones
        full, rounded = published("hoffmann2022").values[name], checks.HOFFMANN[name]
        assert full == pytest.approx(rounded, rel=0.02)


def test_the_two_forms_of_kaplans_joint_law_agree_at_their_ends() -> None:
    """Kaplan et al. 2020: unlimited data leave eq. 1.1, unlimited params eq. 1.2."""
    by_params = loss_of("kaplan2020", params=1e9, tokens=1e40)
    assert by_params == pytest.approx(loss_of("kaplan2020_params", params=1e9), rel=1e-6)
    by_tokens = loss_of("kaplan2020", params=1e60, tokens=1e10)
    assert by_tokens == pytest.approx(loss_of("kaplan2020_tokens", tokens=1e10), rel=1e-3)


@pytest.mark.parametrize(("dataset", "name"), [("rpj", "rpj"), ("c4_original", "c4"),
                                              ("rw_original", "rw")])  # fmt: skip
def test_gadres_law_in_our_parameters_is_theirs(dataset: str, name: str) -> None:
    by_params, by_tokens, b, floor = checks.GADRE_LOSS[dataset]
    params, ratio = 1_439_795_200.0, 640.0
    theirs = floor + by_params * params**b + by_tokens * 6 ** (b / 2) * (ratio * params) ** b
    assert loss_of(f"gadre2024_{name}", params=params, tokens=ratio * params) == pytest.approx(
        theirs, rel=1e-12
    )


@pytest.mark.parametrize("task", checks.OLMO_STEP1)
def test_the_olmo_ladder_predicts_the_13b_model(task: str) -> None:
    predicted = checks.OLMO_STEP1[task][5]
    found = loss_of(f"olmo2024_{task}", **checks.OLMO_SCALES)
    assert found == pytest.approx(predicted, rel=1e-3)


def test_deepseeks_scales_multiply_to_the_compute() -> None:
    sizes, tokens = (loss_of(f"deepseek2024_{end}", flops=1e21) for end in ("params", "tokens"))
    assert sizes * tokens == pytest.approx(1e21, rel=3e-4)
    assert sizes == pytest.approx(0.1715 * 1e21**0.5243)


@pytest.mark.parametrize(("short", "name"), [("8x8", "image8"), ("16x16", "image16"),
                                            ("32x32", "image32"), ("vq16x16", "image_vq16"),
                                            ("vq32x32", "image_vq32")])  # fmt: skip
def test_henighans_compute_laws_are_those_of_table_1(short: str, name: str) -> None:
    law = checks.HENIGHAN[short]
    found = loss_of(f"henighan2020_{name}_pf_days", pf_days=3.0)
    expected = law.irreducible + (3.0 / law.scale) ** -law.exponent
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_rounded_constants_give_another_optimum() -> None:
    """The trap: rounded exponents put 93 tokens to a parameter at 5.76e23 FLOPs, all digits 59."""

    def tokens_per_param(name: str) -> float:
        v = published(name).values
        ratio = v["alpha"] * v["A"] / (v["beta"] * v["B"])
        gain = ratio ** (1 / (v["alpha"] + v["beta"]))
        params = gain * (5.76e23 / 6) ** (v["beta"] / (v["alpha"] + v["beta"]))
        return float(5.76e23 / 6 / params**2)

    assert tokens_per_param("hoffmann2022_rounded") == pytest.approx(92.6, rel=2e-3)
    assert tokens_per_param("hoffmann2022") == pytest.approx(59, rel=0.02)
    assert tokens_per_param("besiroglu2024") == pytest.approx(18.4, rel=3e-3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_law_has_its_source_and_predicts(name: str) -> None:
    entry = PUBLISHED[name]
    assert "arXiv:" in entry.source
    assert set(entry.values) == set(entry.law.names)
    at = dict.fromkeys(entry.law.scales, 1e9)
    prediction = entry.predict(**at)
    assert math.isfinite(prediction.table["predicted"][0])
    assert np.isnan(prediction.table["ci_lower"]).all()
    codes = [note.code for note in prediction.notes]
    assert codes == ["published_constants", *["rounded_constants"] * entry.rounded]


def test_a_law_that_is_not_published_is_told() -> None:
    with pytest.raises(InputError, match=r"no published law 'hofmann2022'. Did you mean 'hoffm"):
        sk.published("hofmann2022")
    assert sk.published("published:kaplan2020") is published("kaplan2020")
    assert published("besiroglu2024").law is CATALOGUE["chinchilla"]
