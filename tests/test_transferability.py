"""Transferability and curricula: against their definitions on small cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import digamma
from scipy.stats import multivariate_normal

import scalekit as sk
from scalekit.errors import InputError
from scalekit.selectors.curriculum import PACINGS
from scalekit.selectors.transferability.from_features import (
    h_score,
    logme,
    regularised_h_score,
    tmi,
    transrate,
)
from scalekit.selectors.transferability.from_predictions import leep, nce


def data(n: int = 60, d: int = 4, gap: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    return rng.standard_normal((n, d)) + gap * np.eye(3, d)[labels], labels


def test_logme_is_the_largest_evidence_of_bayesian_regression() -> None:
    """You et al. 2021: log N(y; 0, F F'/alpha + I/beta), maximised over alpha and beta."""
    x, labels = data()
    best = []
    for k in range(3):
        y = (labels == k).astype(float)

        def cost(logs: np.ndarray, y: np.ndarray = y) -> float:
            cover = x @ x.T / np.exp(logs[0]) + np.eye(len(x)) / np.exp(logs[1])
            return -float(multivariate_normal(np.zeros(len(x)), cover).logpdf(y))

        best.append(-minimize(cost, [0.0, 0.0], method="Nelder-Mead").fun / len(x))
    assert logme(x, labels) == pytest.approx(np.mean(best), abs=1e-6)


def test_logme_takes_more_dimensions_than_examples() -> None:
    x, labels = data(30, 60)
    wide = np.hstack([x, np.zeros((30, 20))])
    assert logme(wide, labels) == pytest.approx(logme(x, labels), abs=1e-9)


def test_the_h_score_is_the_trace_of_its_definition() -> None:
    x, labels = data()
    means = np.stack([x[labels == k].mean(axis=0) for k in range(3)])[labels]
    oracle = np.trace(np.linalg.inv(np.cov(x.T, bias=True)) @ np.cov(means.T, bias=True))
    assert h_score(x, labels) == pytest.approx(oracle, rel=1e-10)
    assert h_score(x @ np.diag([1, 5, 0.1, 2]), labels) == pytest.approx(oracle, rel=1e-8)
    assert 0 < regularised_h_score(x, labels) < oracle
    # one-dimensional, by hand: variance 5/4, of means 1
    line, two = np.array([[0.0], [1], [2], [3]]), np.array([0, 0, 1, 1])
    assert h_score(line, two) == pytest.approx(0.8)


def test_leep_and_nce_by_hand() -> None:
    """Two source classes, three examples (labels 0, 0, 1); Nguyen et al. 2020, eq. 1 and 2."""
    p = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    labels = np.array([0, 0, 1])
    given = {0: (1.4 / 1.5, 0.6 / 1.5), 1: (0.1 / 1.5, 0.9 / 1.5)}
    oracle = np.mean([np.log(given[y] @ q) for y, q in zip(labels, p, strict=True)])
    assert leep(p, labels) == pytest.approx(oracle, rel=1e-12)
    assert nce(p, labels) == pytest.approx(0)
    mixed = np.array([[0.9, 0.1]] * 3)
    assert nce(mixed, labels) == pytest.approx(-(2 / 3 * np.log(1.5) + 1 / 3 * np.log(3)))


def test_tmi_is_its_formula_on_a_small_class() -> None:
    """Kozachenko & Leonenko with the third neighbour in the largest coordinate, radius >= 1."""
    x = np.array([[0.0, 0], [4, 0], [0, 9], [16, 1], [2, 2]])
    labels = np.array([0, 0, 0, 0, 1])
    far = np.array([16, 12, 16, 16])
    oracle = 0.8 * (-digamma(3) + digamma(4) + 2 * np.mean(np.log(2 * far)))
    found, radius = tmi(x, labels)
    assert found == pytest.approx(oracle)
    np.testing.assert_allclose(radius, [*far, 0])


def test_transrate_is_the_gain_in_coding_rate() -> None:
    x, labels = data()
    centred = x - x.mean(axis=0)

    def rate(f: np.ndarray) -> float:
        return 0.5 * np.log(np.linalg.det(np.eye(4) + f.T @ f / (len(f) * 1e-4)))

    oracle = rate(centred) - np.mean([rate(centred[labels == k]) for k in range(3)])
    assert transrate(x, labels) == pytest.approx(oracle, rel=1e-9)


def test_the_better_features_rank_first_with_a_probability(tmp_path: Path) -> None:
    labels = data()[1]
    models = {"good": data(gap=3)[0], "fair": data(gap=1)[0], "bad": data(gap=0)[0]}
    found = sk.transferability(models, labels, measure=["logme", "h_score"], rng=0)
    ranks = found.table.pivot_table("rank", "model", "measure")
    assert ranks.loc["good"].tolist() == [1, 1]
    best = found.table.set_index(["measure", "model"])["probability_best"]
    assert best["logme", "good"] > 0.95
    assert found.agreement().loc["logme", "h_score"] == 1
    found.save(tmp_path / "t.json")
    assert sk.load(tmp_path / "t.json").summary() == found.summary()
    assert found.plot().get_xlabel()


def test_bad_features_are_refused_by_model_and_row() -> None:
    x, labels = data()
    holes = x.copy()
    holes[7, 1] = np.inf
    with pytest.raises(InputError, match="features of 'b': row 7 holds NaN or infinity"):
        sk.transferability({"a": x, "b": holes}, labels)
    with pytest.raises(InputError, match="one class"):
        sk.transferability(x, np.zeros(60))
    with pytest.raises(InputError, match=r"shape \(10, 4\); \(60, d\) is needed"):
        sk.transferability(x[:10], labels)
    with pytest.raises(InputError, match=r"'leep' needs predictions= \(--predictions\)"):
        sk.transferability(x, labels, measure="leep")
    with pytest.raises(InputError, match="must be probabilities"):
        sk.transferability(x, labels, measure="leep", predictions=x)
    with pytest.raises(InputError, match="no measure 'logmee'"):
        sk.transferability(x, labels, measure="logmee")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PACINGS), st.floats(0.1, 1), st.floats(0.05, 1))
def test_pacing_rises_from_its_start_to_everything(kind: str, full: float, start: float) -> None:
    share = sk.pacing(kind, np.linspace(0, 1, 50), full, start)
    assert (np.diff(share) >= -1e-12).all()
    assert share[-1] == 1
    assert share[0] == (1 if kind == "standard" else pytest.approx(start, abs=1e-9))


def test_a_curriculum_shows_the_easy_first_and_anti_the_hard() -> None:
    table = pd.DataFrame({"id": range(100), "el2n": np.linspace(0, 1, 100)})
    easy = sk.curriculum(table, 300, by="el2n", batch=10)
    hard = sk.curriculum(table, 50, by="el2n", batch=10, order="anti")
    assert easy.rows_at(0).max() < 20
    assert hard.rows_at(0).min() >= 80
    assert set(np.concatenate(list(easy.sampler()))) == set(range(100))
    assert easy.available(0) == 20
    assert easy.available(299) == 100


def test_a_resumed_curriculum_goes_on_as_it_would_have() -> None:
    table = pd.DataFrame({"id": range(100), "el2n": np.linspace(0, 1, 100)})
    made = sk.curriculum(table, 12, by="el2n", batch=8, rng=1)
    assert list(made.sampler())[5:] == list(made.sampler(start_step=5))


def test_every_beginning_of_a_balanced_order_has_all_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    table = pd.DataFrame({"id": range(100), "label": labels, "el2n": rng.random(100) + labels})
    made = sk.curriculum(table, 10, by="el2n", batch=5)
    assert np.bincount(labels[made.order[:20]]).tolist() == [12, 6, 2]
    made.save(tmp_path / "c.json")
    again = sk.load(tmp_path / "c.json")
    assert again.rows_at(3).tolist() == made.rows_at(3).tolist()
    assert made.plot().get_xlabel() == "step"
    assert "curriculum order" in made.summary()


def test_bad_curricula_are_refused() -> None:
    table = pd.DataFrame({"id": range(10), "el2n": range(10)})
    with pytest.raises(InputError, match="no pacing 'linera'"):
        sk.curriculum(table, 5, by="el2n", pace="linera")
    with pytest.raises(InputError, match="no order 'up'"):
        sk.curriculum(table, 5, by="el2n", order="up")
    with pytest.raises(InputError, match="shares above 0"):
        sk.pacing("linear", 0.5, full_at=0)
    with pytest.raises(InputError, match="1 or more"):
        sk.curriculum(table, 0, by="el2n")
