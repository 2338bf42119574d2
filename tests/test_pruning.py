"""Pruning: rules, floors, sides, seeds, files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.selectors.pruning.abundance import effective_dimension, metric_angle
from scalekit.selectors.pruning.evidence import read_curve, trial_leads
from scalekit.selectors.pruning.rules import SIDES, apply_rule
from scalekit.selectors.pruning_theory import perceptron


def table(n: int = 200, seed: int = 0, classes: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    # harder classes have larger scores
    el2n = rng.random(n) * (1 + label)
    return pd.DataFrame({"id": [f"x{k}" for k in range(n)], "label": label, "el2n": el2n,
                         "p_true": 1 - el2n / el2n.max()})  # fmt: skip


def curve(dimension: float, chance: float = 0.5) -> pd.DataFrame:
    n = np.array([200, 400, 800])
    return pd.DataFrame({"n": n, "error": chance * 2 * perceptron(n / dimension).error})


def two_seeds() -> list[pd.DataFrame]:
    """Return two seeds that rank nearly alike: an angle of about zero."""
    data = table()
    return [data, data.assign(el2n=data["el2n"] * (1 + 1e-6 * np.arange(200)))]


def codes(selection: sk.selectors.pruning.Selection) -> set[str]:
    return {note.code for note in selection.notes}


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 60), st.floats(0.05, 0.9), st.sampled_from(SIDES), st.integers(0, 99))
def test_every_rule_keeps_as_many_as_asked(n: int, keep: float, side: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hardness = np.round(rng.random(n), 1)  # with ties
    count = max(round(keep * n), 1)
    mask = apply_rule(side, hardness, count, rng, cutoff=0.5 * (1 - count / n))
    assert mask.sum() == count


def test_hard_and_easy_keep_the_ends_whatever_the_score_is_called() -> None:
    data = table().drop(columns="label")
    hard = sk.prune(data, 0.25, by="el2n", side="hard")
    again = sk.prune(data, 0.25, by="p_true", side="hard")
    easy = sk.prune(data, 0.25, by="el2n", side="easy")
    assert set(hard.ids) == set(again.ids) == set(data.nlargest(50, "el2n")["id"])
    assert set(easy.ids) == set(data.nsmallest(50, "el2n")["id"])


def test_the_order_of_rows_changes_nothing() -> None:
    data = table()
    one = sk.prune(data, 0.3, by="el2n", side="hard")
    other = sk.prune(data.sample(frac=1, random_state=1), 0.3, by="el2n", side="hard")
    assert set(one.ids) == set(other.ids)


def test_a_window_leaves_out_the_hardest() -> None:
    data = table().drop(columns="label")
    found = sk.prune(data, 0.5, by="el2n", side="window", cutoff=0.1)
    assert not set(found.ids) & set(data.nlargest(20, "el2n")["id"])
    with pytest.raises(InputError, match=r"cutoff=0.7 drops 140 of 200 .* at most 0.5"):
        sk.prune(data, 0.5, by="el2n", side="window", cutoff=0.7)


def test_strata_share_the_budget_evenly() -> None:
    """Zheng et al. 2023: strata of equal width get equal budgets, small ones all they have."""
    hardness = np.concatenate([np.full(900, 0.01), np.linspace(0.1, 1, 100)])
    mask = apply_rule("stratified", hardness, 200, np.random.default_rng(0))
    assert mask[900:].all()
    assert mask[:900].sum() == 100


def test_ties_are_drawn_by_the_seed_and_told() -> None:
    data = pd.DataFrame({"id": range(100), "forgetting": [1] * 10 + [0] * 90})
    one, other = (sk.prune(data, 0.5, by="forgetting", side="hard", rng=k) for k in (0, 1))
    assert "ties" in codes(one)
    assert set(range(10)) <= set(one.ids) & set(other.ids)
    assert set(one.ids) != set(other.ids)
    assert set(one.ids) == set(sk.prune(data, 0.5, by="forgetting", side="hard", rng=0).ids)


def test_every_class_keeps_half_of_its_share_unless_asked_otherwise() -> None:
    found = sk.prune(table(400), 0.3, by="el2n", side="hard")
    assert found.retention()["share"].min() >= 0.15
    assert "classes" in codes(found)
    free = sk.prune(table(400), 0.3, by="el2n", side="hard", class_floor=0.0)
    assert free.retention()["share"].min() < 0.1
    even = sk.prune(table(400), 0.3, by="el2n", side="hard", balance="label")
    assert even.retention()["share"].min() == pytest.approx(0.3, abs=0.02)
    assert len(found) == len(free) == len(even) == 120


def test_quotas_are_kept_exactly() -> None:
    found = sk.prune(table(), 0.2, by="el2n", side="easy", quotas={0: 3, 2: 7})
    assert found.retention().set_index("label")["kept"].to_dict() == {0: 3, 1: 0, 2: 7, 3: 0}
    with pytest.raises(InputError, match=r"Class '0' is to keep 999 examples but has"):
        sk.prune(table(), 0.2, by="el2n", side="easy", quotas={0: 999})
    with pytest.raises(InputError, match="class '9', which has no example"):
        sk.prune(table(), 0.2, by="el2n", side="easy", quotas={9: 1})
    with pytest.raises(InputError, match="quota of the class '0' is -1"):
        sk.prune(table(), 0.2, by="el2n", side="easy", quotas={0: -1})
    assert found.manifest["quotas"] == {"0": 3, "2": 7}


def test_seeds_are_averaged_by_id_and_their_overlap_is_reported() -> None:
    rng = np.random.default_rng(0)
    base = table(classes=1)
    seeds = [base.assign(el2n=base["el2n"] + 0.1 * rng.standard_normal(200)) for _ in range(3)]
    seeds[1] = seeds[1].sample(frac=1, random_state=0)
    found = sk.prune(seeds, 0.3, by="el2n", side="hard")
    mean = np.mean([s.set_index("id")["el2n"].reindex(base["id"]) for s in seeds], axis=0)
    np.testing.assert_allclose(found.table["score"], mean)
    overlaps = found.overlaps.set_index("would keep")["overlap"]
    assert overlaps["seed 1"] > overlaps["random"] == pytest.approx(0.3 / 1.7)


def test_without_abundance_the_automatic_side_is_stratified() -> None:
    found = sk.prune(table(), 0.5, by="el2n")
    assert found.manifest["side"] == "stratified"
    assert {"abundance_unknown", "one_seed"} <= codes(found)


@pytest.mark.parametrize(("dimension", "side"), [(10.0, "hard"), (70.0, "easy")])
def test_abundance_chooses_the_side(dimension: float, side: str) -> None:
    found = sk.prune(two_seeds(), 0.3, by="el2n", learning_curve=curve(dimension), chance=0.5)
    assert found.manifest["side"] == side
    assert "side_chosen" in codes(found)


def test_a_share_below_the_angle_of_the_scores_is_not_kept_hard() -> None:
    rng = np.random.default_rng(0)
    seeds = [table(4000, classes=1).assign(el2n=rng.random(4000)) for _ in range(2)]
    found = sk.prune(seeds, 0.1, by="el2n", learning_curve=curve(5.0), chance=0.5)
    assert found.manifest["side"] == "random"
    assert "below_angle" in codes(found)


def test_trials_overrule_the_theory() -> None:
    rng = np.random.default_rng(0)
    trials = pd.DataFrame([
        {"side": side, "keep": 0.3, "error": error * np.exp(0.02 * rng.standard_normal())}
        for side, error in (("random", 0.2), ("hard", 0.3), ("easy", 0.1)) for _ in range(4)
    ])  # fmt: skip
    found = sk.prune(two_seeds(), 0.3, by="el2n", learning_curve=curve(10.0),
                     trials=trials, chance=0.5)  # fmt: skip
    assert found.manifest["side"] == "easy"
    leads, share = trial_leads(trials, 0.25)
    lead, error = leads["hard"]
    assert share == 0.3
    assert lead == pytest.approx(np.log(1.5), abs=3 * error)
    with pytest.raises(InputError, match="'random' must be among them"):
        trial_leads(trials[trials["side"] != "random"], 0.3)
    with pytest.raises(ColumnNotFoundError, match="no column 'keep'"):
        trial_leads(trials.drop(columns="keep"), 0.3)


def test_the_dimension_of_a_perceptron_is_found_from_its_curve() -> None:
    dimension, doubt = effective_dimension(curve(37.0), 0.5)
    assert dimension == pytest.approx(37, rel=1e-3)
    assert doubt < 1e-3


def test_the_angle_of_probes_is_found_from_their_disagreement() -> None:
    rng = np.random.default_rng(0)
    u, own = rng.standard_normal(20000), rng.standard_normal((4, 20000))
    angle = np.radians(30)
    seeds = [np.abs(np.cos(angle) * u + np.sin(angle) * v) for v in own]
    found, _ = metric_angle(seeds)
    assert found == pytest.approx(np.arctan(np.tan(angle) / 2), rel=0.1)


def test_near_copies_are_dropped_first_and_prototypes_score() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((100, 8))
    features = np.concatenate([features, features + 1e-3 * rng.standard_normal((100, 8))])
    data = table(200).drop(columns="label")
    found = sk.prune(data, 0.5, by="prototypes", side="hard", features=features, deduplicate=0.01)
    assert "deduplicated" in codes(found)
    assert len({int(name[1:]) % 100 for name in found.ids}) == 100
    with pytest.raises(InputError, match="after de-duplication"):
        sk.prune(data, 0.6, by="el2n", side="hard", features=features, deduplicate=0.01)
    with pytest.raises(InputError, match="needs features="):
        sk.prune(data, 0.5, by="prototypes", side="hard")


def test_a_selection_is_saved_with_its_manifest_and_loaded(tmp_path: Path) -> None:
    found = sk.prune(table(), 0.25, by="el2n", side="hard", rng=3)
    for suffix in ("csv", "parquet"):
        path = found.save(tmp_path / f"keep.{suffix}")
        read = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
        assert read["id"].tolist() == found.ids.tolist()
        manifest = json.loads((tmp_path / "keep.manifest.json").read_text())
        assert manifest["manifest"]["side"] == "hard"
        assert manifest["manifest"]["seed"] == 3
    found.save(tmp_path / "keep.json")
    again = sk.load(tmp_path / "keep.json")
    assert again.ids.tolist() == found.ids.tolist()
    assert again.summary() == found.summary()
    assert found.plot().get_legend() is not None


def test_a_selection_serves_torch() -> None:
    from torch import arange
    from torch.utils.data import DataLoader, TensorDataset

    data = table()
    found = sk.prune(data, 0.25, by="el2n", side="hard")
    dataset = TensorDataset(arange(200))
    kept = {int(x) for (x,) in found.subset(dataset)}
    assert {f"x{k}" for k in kept} == set(found.ids)
    seen = [int(k) for (batch,) in DataLoader(dataset, batch_size=7, sampler=found.sampler())
            for k in batch]  # fmt: skip
    assert sorted(seen) == sorted(kept)
    turned = list(reversed(data["id"]))
    assert {turned[k] for k in found.sampler(turned)} == set(found.ids)
    with pytest.raises(InputError, match="The data set has 10 examples, the scores 200"):
        found.subset(TensorDataset(arange(10)))
    with pytest.raises(InputError, match="kept ids are not in the data set"):
        found.sampler(["x0", "x1"])


@pytest.mark.parametrize("keep", [0.0, 1.0, 1.2, -0.1])
def test_shares_outside_zero_and_one_are_refused(keep: float) -> None:
    with pytest.raises(InputError, match="keep must lie between 0 and 1"):
        sk.prune(table(), keep, by="el2n")
    with pytest.raises(InputError, match=r"For 30% give 0\.3"):
        sk.prune(table(), 30, by="el2n")


def test_bad_scores_are_refused_by_name() -> None:
    data = table()
    with pytest.raises(InputError, match=r"2 of 200 examples have no 'el2n' \(ids x3, x7\)"):
        holes = data.copy()
        holes.loc[[3, 7], "el2n"] = np.nan
        sk.prune(holes, 0.5, by="el2n", side="hard")
    with pytest.raises(InputError, match=r"table 1: 50 of 200 examples .*ids x150"):
        sk.prune([data, data[:150]], 0.5, by="el2n", side="hard")
    with pytest.raises(InputError, match="id 'x0' occurs more than once"):
        sk.prune(pd.concat([data, data[:1]]), 0.5, by="el2n", side="hard")
    with pytest.raises(InputError, match="Whether a large 'mystery' means a hard or an easy"):
        sk.prune(data.assign(mystery=1.0), 0.5, by="mystery", side="hard")
    with pytest.raises(ColumnNotFoundError, match=r"the table: there is no score 'el2m'.*el2n"):
        sk.prune(data, 0.5, by="el2m", side="hard")
    with pytest.raises(InputError, match=r"say which score decides, by= \(--by\): el2n, p_true"):
        sk.prune(data, 0.5, side="hard")
    with pytest.raises(ColumnNotFoundError, match="no column 'id'"):
        sk.prune(data.drop(columns="id"), 0.5, by="el2n")
    with pytest.raises(InputError, match=r"There is no side 'hrad'.*hard"):
        sk.prune(data, 0.5, by="el2n", side="hrad")
    with pytest.raises(InputError, match=r"\(--quota\) need a column 'label'"):
        sk.prune(data.drop(columns="label"), 0.5, by="el2n", side="hard", balance="label")


def test_bad_learning_curves_are_refused() -> None:
    good = pd.DataFrame({"n": [200, 400, 800], "error": [0.3, 0.2, 0.1]})
    with pytest.raises(InputError, match="three are needed"):
        read_curve(good[:2], 0.5)
    with pytest.raises(InputError, match=r"error 0.9 at n=800 is not .*\(--chance\)"):
        read_curve(good.assign(error=[0.3, 0.2, 0.9]), 0.5)
    with pytest.raises(InputError, match=r"row 1 of column 'error' holds 'nan'"):
        read_curve(good.assign(error=[0.3, np.nan, 0.1]), 0.5)
    with pytest.raises(InputError, match=r"n=0; sizes"):
        read_curve(good.assign(n=[0, 1, 2]), 0.5)
    with pytest.raises(ColumnNotFoundError, match=r"no column 'error' \(nor err,.*Rename"):
        read_curve(good[["n"]], 0.5)
    with pytest.raises(InputError, match=r"chance \(--chance\) is the error of guessing"):
        sk.prune(table(), 0.3, by="el2n", learning_curve=good, chance=9.0)


def frontier_runs(gain: float) -> pd.DataFrame:
    rng, parts = np.random.default_rng(0), []
    for share, exponent in ((1.0, 0.3), (0.5, 0.3 + gain)):
        n = np.repeat(np.geomspace(100, 10000, 6), 3)
        error = 2 * (n / 100) ** -exponent * np.exp(0.03 * rng.standard_normal(len(n)))
        parts.append(pd.DataFrame({"fraction": share, "n": n, "error": error}))
    return pd.concat(parts)


def test_pruning_beats_the_power_law_where_it_does() -> None:
    found = sk.pruning_frontier(frontier_runs(0.1), rng=0)
    last = found.table.iloc[-1]
    assert last["best"] == 0.5
    assert last["probability"] > 0.99
    assert last["ci_lower"] < -0.1 * np.log(100) < last["ci_upper"]
    exponents = found.exponents.set_index("curve")
    assert exponents.loc["50% kept", "exponent"] == pytest.approx(0.4, abs=0.02)
    assert "wins there with probability" in found.summary()


def test_pruning_does_not_beat_the_power_law_where_it_does_not(tmp_path: Path) -> None:
    found = sk.pruning_frontier(frontier_runs(-0.1), rng=0)
    assert found.table["best"].iloc[-1] == 1.0
    assert found.table["gain"].iloc[-1] == 0
    found.save(tmp_path / "frontier.json")
    assert sk.load(tmp_path / "frontier.json").summary() == found.summary()
    assert found.plot().get_xlabel() == "kept examples"
    with pytest.raises(InputError, match="no unpruned rows"):
        sk.pruning_frontier(frontier_runs(0.1).query("fraction < 1"))
    with pytest.raises(InputError, match="a curve needs three"):
        sk.pruning_frontier(frontier_runs(0.1).query("fraction == 1 or n < 300"))
