"""Agreement of scores, suspected labels, alternation: against planted truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError


def scores(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    truth = rng.random(n)
    columns = {"el2n": truth + 0.1 * rng.random(n), "margin": -truth - 0.3 * rng.random(n)}
    return pd.DataFrame({"id": range(n), **columns, "grand": rng.random(n)})


def test_correlations_are_spearmans_and_turned_to_hardness() -> None:
    data = scores()
    pairs = sk.agreement(data).pairs.set_index(["first", "second"])
    oracle = spearmanr(data["el2n"], -data["margin"]).statistic
    row = pairs.loc[("el2n", "margin")]
    assert row["spearman"] == pytest.approx(oracle, abs=1e-12)
    assert row["ci_lower"] < oracle < row["ci_upper"]


def test_overlap_is_compared_with_chance(tmp_path: Path) -> None:
    found = sk.agreement(scores(4000), 0.2)
    pairs = found.pairs.set_index(["first", "second"])
    assert pairs.loc[("el2n", "grand"), "overlap"] == pytest.approx(0.2 / 1.8, abs=0.03)
    assert pairs.loc[("el2n", "margin"), "overlap_lower"] > 0.2 / 1.8
    assert found.matrix().loc["grand", "grand"] == 1
    found.save(tmp_path / "a.json")
    assert sk.load(tmp_path / "a.json").summary() == found.summary()
    assert found.plot().get_title()
    assert found.disagreements["rank_range"].is_monotonic_decreasing


def test_seeds_needed_grow_with_the_noise_between_them() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(500)

    def seeds(noise: float) -> list[pd.DataFrame]:
        return [pd.DataFrame({"id": range(500), "el2n": truth + noise * rng.standard_normal(500)})
                for _ in range(4)]  # fmt: skip

    quiet, loud = (sk.agreement(seeds(noise)).seeds_needed["el2n"] for noise in (0.005, 0.1))
    assert quiet < loud


def test_scores_without_direction_are_left_out_and_told() -> None:
    found = sk.agreement(scores().assign(mystery=1.0))
    assert "mystery" in found.notes[0].message
    told = sk.agreement(scores().assign(mystery=np.arange(400.0)), higher_is={"mystery": "hard"})
    assert "mystery" in set(told.pairs["second"])
    with pytest.raises(InputError, match=r"needs two scores with a direction.* second seed"):
        sk.agreement(scores()[["id", "el2n"]])


def test_the_first_line_says_which_scores_agree_most_and_least() -> None:
    first = sk.agreement(scores()).summary().partition("\n")[0]
    pairs = sk.agreement(scores()).pairs
    assert f"overlap by {pairs['overlap'].max():.3f} (most)" in first
    assert f"overlap by {pairs['overlap'].min():.3f} (least)" in first
    assert first.endswith("by chance 0.053")


def test_two_modes_of_the_loss_find_planted_labels() -> None:
    rng = np.random.default_rng(2)
    wrong = rng.random(1000) < 0.1
    loss = np.where(wrong, rng.normal(3, 0.5, 1000), rng.gamma(1, 0.3, 1000))
    table = pd.DataFrame({"id": range(1000), "label": rng.integers(0, 3, 1000), "loss": loss})
    found = sk.mislabelled(table)
    caught = np.isin(np.arange(1000), found.ids)
    assert (caught & wrong).sum() / wrong.sum() > 0.95
    assert (caught & wrong).sum() / caught.sum() > 0.75
    assert "most by class" in found.summary()
    assert found.plot().get_xlabel()


def test_the_smallest_losses_are_never_suspects_and_the_largest_come_first() -> None:
    """A wide high mode has more density at both ends than a narrow low one."""
    rng = np.random.default_rng(5)
    loss = np.r_[rng.normal(3, 0.05, 900), rng.normal(5, 2, 300).clip(3.2), 0.0]
    found = sk.mislabelled(pd.DataFrame({"id": range(1201), "loss": loss}))
    assert 1200 not in found.ids
    assert found.ids[0] == loss.argmax()
    assert (np.diff(found.table.sort_values("score")["probability"]) >= -1e-9).all()


def test_threshold_samples_and_information_decide_as_published(tmp_path: Path) -> None:
    """AUM below the 99th percentile of threshold samples; PVI below zero."""
    table = pd.DataFrame({"id": list("abcdefgh"), "aum": [5, 4, -2, 3, -3, -1, -1.5, -4],
                          "pvi": [1, 2, -1, 0.5, 0.2, -0.1, 1, -2]})  # fmt: skip
    found = sk.mislabelled(table, "aum", threshold_samples=["f", "g"])
    assert set(found.ids) == {"c", "e", "h"}
    assert set(sk.mislabelled(table, "pvi").ids) == {"c", "f", "h"}
    vote = sk.mislabelled(table, "vote", threshold=1.0, threshold_samples=["f", "g"])
    assert set(vote.ids) == {"c", "h"}
    vote.save(tmp_path / "s.json")
    assert sk.load(tmp_path / "s.json").ids.tolist() == vote.ids.tolist()


def test_suspects_are_handed_to_cleanlab_in_its_columns() -> None:
    table = pd.DataFrame({"id": [1, 2], "label": [0, 1], "pvi": [-1.0, 1.0]})
    handed = sk.mislabelled(table, "pvi").to_cleanlab()
    assert handed.columns.tolist() == ["is_label_issue", "label_score", "given_label"]
    assert handed.loc[1].tolist() == [True, 0.0, 0]


def test_alternation_finds_foreign_examples_that_small_loss_misses() -> None:
    rng = np.random.default_rng(3)
    foreign = np.arange(600) < 120
    features = rng.standard_normal((600, 8)) + 2.5 * foreign[:, None]
    loss = rng.gamma(2, 0.3, 600) + 0.8 * foreign
    found = sk.alternate(loss, features)
    alone = roc_auc_score(foreign, loss)
    both = roc_auc_score(foreign, found.table["probability"])
    assert both > alone + 0.05

    def retrain(weights: np.ndarray) -> np.ndarray:
        assert weights.shape == (600,)
        return rng.gamma(2, 0.3, 600) + 2.0 * foreign

    again = sk.alternate(loss, features, retrain=retrain)
    assert roc_auc_score(foreign, again.table["probability"]) > both - 0.02


def test_bad_input_is_refused_by_name() -> None:
    table = scores()
    with pytest.raises(ColumnNotFoundError, match="reads the score 'loss'"):
        sk.mislabelled(table)
    with pytest.raises(InputError, match="There is no method 'gmn'"):
        sk.mislabelled(table, "gmn")
    with pytest.raises(InputError, match="needs threshold_samples="):
        sk.mislabelled(table.assign(aum=1.0), "aum")
    with pytest.raises(InputError, match="None of threshold_samples"):
        sk.mislabelled(table.assign(aum=1.0), "aum", threshold_samples=[-1])
    with pytest.raises(InputError, match="the id 3 is not finite"):
        holes = table.assign(loss=1.0)
        holes.loc[3, "loss"] = np.nan
        sk.mislabelled(holes)
    with pytest.raises(InputError, match="needs two of"):
        sk.mislabelled(table, "vote")
    with pytest.raises(InputError, match="row 1 holds NaN"):
        sk.alternate([1.0, 2.0, 3.0], np.array([[1.0], [np.nan], [2.0]]))
    with pytest.raises(InputError, match="are needed"):
        sk.alternate([1.0], np.zeros((3, 2)))
    with pytest.raises(InputError, match="too one-sided"):
        sk.alternate(np.r_[np.zeros(30), 5.0], np.random.default_rng(0).random((31, 2)))
