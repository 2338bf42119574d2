"""Tables as users bring them to prune, agreement and mislabelled: names, seeds, odd values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.selectors.pruning.evidence import read_curve, trial_leads
from scalekit.selectors.scores.table import ScoreTable


def table(n: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"id": [f"x{k}" for k in range(n)], "label": rng.integers(0, 3, n),
                         "el2n": rng.random(n)})  # fmt: skip


def codes(found: sk.selectors.pruning.Selection) -> list[str]:
    return [note.code for note in found.notes]


def curve(**names: str) -> pd.DataFrame:
    return pd.DataFrame({"n": [100, 200, 400], "error": [0.3, 0.2, 0.1]}).rename(columns=names)


@pytest.mark.parametrize("name", ["id", "ids", "example_id"])
def test_the_ids_go_by_their_usual_names(name: str) -> None:
    data = table().rename(columns={"id": name, "label": "labels"})
    found = sk.prune(data, 0.25, side="hard")
    assert set(found.ids) <= {f"x{k}" for k in range(120)}
    assert len(found.retention()) == 3  # and so do the labels
    assert sk.mislabelled(data.rename(columns={"el2n": "loss"})).table["id"][0] == "x0"
    both = [data, data.assign(el2n=table(seed=1)["el2n"])]
    assert len(sk.agreement(both).pairs) == 1


def test_other_names_of_the_ids_are_asked_for() -> None:
    with pytest.raises(ColumnNotFoundError, match=r"'id' \(nor ids, example_id\); it has key,.*Re"):
        sk.prune(table().rename(columns={"id": "key"}), 0.25, side="hard")
    with pytest.raises(InputError, match="row 3 has no id"):
        sk.prune(table().assign(id=lambda t: t["id"].where(t.index != 3)), 0.25, side="hard")


def test_a_curve_may_name_its_columns_otherwise(tmp_path: Path) -> None:
    for n, error in (("samples", "err"), ("size", "test_error"), ("n_train", "error_rate")):
        read, notes = read_curve(curve(n=n, error=error), 0.9)
        assert read["error"].tolist() == [0.3, 0.2, 0.1]
        assert not notes
    assert read_curve(curve(error="loss"), 0.9)[1][0].code == "loss_as_error"
    path = tmp_path / "c.csv"
    curve(n="rows").to_csv(path, index=False)
    with pytest.raises(ColumnNotFoundError, match=r"c\.csv has no column 'n' .*rows, error.*Ren"):
        sk.prune(table(), 0.5, by="el2n", learning_curve=path)
    with pytest.raises(InputError, match=r"there is no side 'hrad'. Did you mean 'hard'"):
        trial_leads(pd.DataFrame({"side": ["hrad"], "keep": [0.5], "err": [0.1]}), 0.5)
    with pytest.raises(InputError, match=r"row 0 keeps 50; keep is the share"):
        trial_leads(pd.DataFrame({"side": ["hard"], "keep": [50], "err": [0.1]}), 0.5)


def test_the_same_seed_twice_is_told_and_counts_once() -> None:
    data = table()
    found = sk.prune([data, data.copy()], 0.5, by="el2n")
    assert {"identical_seeds", "one_seed"} <= set(codes(found))
    assert found.manifest["seeds"] == 1
    same = sk.agreement([data, data.copy()])
    assert "table 0 and table 1 hold the same 'el2n'" in same.notes[0].message
    assert not same.seeds_needed
    assert not sk.agreement([data, table(seed=1)]).notes


def test_tables_that_do_not_match_are_named(tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    data = table()
    data.to_csv(paths[0], index=False)
    data.rename(columns={"el2n": "el2n score"}).to_csv(paths[1], index=False)
    with pytest.raises(ColumnNotFoundError, match=r"b\.csv has no score 'el2n'; .* el2n score\..*"):
        sk.agreement(paths)
    pd.concat([data, data[:1].assign(id="new")]).to_csv(paths[1], index=False)
    with pytest.raises(InputError, match=r"b\.csv: 1 examples are not in .* \(ids new\)"):
        sk.prune(paths, 0.5, by="el2n")
    table(seed=1).assign(loss=1.0).to_csv(paths[1], index=False)
    assert "b.csv has loss" in sk.agreement(paths).notes[0].message


def test_scores_of_unknown_direction_are_an_error_that_says_how_to_tell() -> None:
    data = [table(seed=k).rename(columns={"el2n": "el2n score"}) for k in range(2)]
    with pytest.raises(InputError, match=r"found none\. .*el2n score.*--higher-is 'el2n score=ha"):
        sk.agreement(data)
    for said in ("hard", {"el2n score": "hard"}):
        assert sk.agreement(data, higher_is=said).pairs["first"][0] == "el2n score, seed 0"
    with pytest.raises(ColumnNotFoundError, match=r"names the score 'el2m', which the table has"):
        sk.agreement(data, higher_is={"el2m": "hard"})
    with pytest.raises(InputError, match="must be 'hard' or 'easy'; got 'high'"):
        sk.agreement(data, higher_is="high")
    mixed = table().assign(margin=lambda t: -t["el2n"], odd=lambda t: t["el2n"])
    pairs = sk.agreement(mixed, higher_is="hard").pairs  # the catalogue's directions stay
    assert pairs["spearman"].tolist() == pytest.approx([1, 1, 1])


def test_top_is_a_share() -> None:
    with pytest.raises(InputError, match=r"\(--top\) is a share .* got 10\. For 10% give 0\.1"):
        sk.agreement(table().assign(loss=1.0), 10)
    with pytest.raises(InputError, match="of 120 examples is 0"):
        sk.agreement(table().assign(loss=np.arange(120.0)), 0.001)


def test_infinite_scores_count_as_the_hardest() -> None:
    """Forgetting is infinite for what was never learned."""
    data = table().assign(el2n=np.r_[np.inf, np.inf, np.arange(118) / 118]).drop(columns="label")
    found = sk.prune(data, 0.25, by="el2n", side="hard")
    assert {"x0", "x1"} <= set(found.ids)
    assert "infinite" in codes(found)
    assert len(sk.prune(data, 0.25, by="el2n", side="stratified")) == 30
    with pytest.raises(InputError, match="All scores 'el2n' are infinite"):
        sk.prune(data.assign(el2n=np.inf), 0.25, by="el2n", side="hard")


def test_text_and_missing_labels_are_named() -> None:
    data = table()
    with pytest.raises(InputError, match=r"'el2n' is not numeric; row 2 holds the text 'high'"):
        bad = data["el2n"].astype(object)
        bad[2] = "high"
        sk.prune(data.assign(el2n=bad), 0.5, by="el2n")
    with pytest.raises(InputError, match=r"the id 'x4' has no label \(1 in all\)"):
        sk.prune(data.assign(label=data["label"].where(data.index != 4)), 0.5, by="el2n")


def test_notes_of_the_scores_are_not_lost() -> None:
    note = sk.notes.Note("incomplete", "error", "The run is not complete.")
    scores = ScoreTable(table(), notes=(note,))
    assert "incomplete" in codes(sk.prune(scores, 0.5, by="el2n"))


def test_a_cutoff_that_does_nothing_is_told_and_not_claimed() -> None:
    found = sk.prune(table(), 0.5, by="el2n", side="hard", cutoff=0.1)
    assert "cutoff_unused" in codes(found)
    assert "dropped first" not in found.summary()
    assert "dropped first" in sk.prune(table(), 0.5, side="window", cutoff=0.1).summary()
    with pytest.raises(InputError, match=r"cutoff \(--cutoff\) is the share"):
        sk.prune(table(), 0.5, side="window", cutoff=-0.1)


def test_what_was_chosen_and_what_was_kept_have_one_name() -> None:
    seeds = [table(), table().assign(el2n=lambda t: t["el2n"] * (1 + 1e-6 * t.index))]
    rich = pd.DataFrame({"n": [4000, 8000, 16000], "error": [0.02, 0.01, 0.005]})
    found = sk.prune(seeds, 0.5, by="el2n", learning_curve=rich, cutoff=0.05, chance=0.6)
    reason = next(note.message for note in found.notes if note.code.startswith("side_"))
    assert f"{found.manifest['side']}" in reason or "random" in reason


def test_floors_bring_back_nothing_that_the_cutoff_dropped() -> None:
    data = table(100).assign(label=["rare"] * 10 + ["common"] * 90)
    data["el2n"] = np.r_[
        np.linspace(0.95, 1, 5), np.linspace(0, 0.01, 5), np.linspace(0.1, 0.9, 90)
    ]
    found = sk.prune(data, 0.4, by="el2n", side="window", cutoff=0.05)
    assert not set(found.ids) & {f"x{k}" for k in range(5)}
    assert found.retention().set_index("label").loc["rare", "kept"] == 2


def test_floors_of_classes_too_small_for_them_are_told() -> None:
    data = table(200).assign(label=np.arange(200) // 2)
    found = sk.prune(data, 0.1, by="el2n", side="hard")
    assert len(found) == 20
    assert "floors_small" in codes(found)
    rng = np.random.default_rng(0)
    copies = rng.standard_normal((120, 4))
    copies[:30] = copies[0]
    data = table().assign(label=["twin"] * 30 + ["own"] * 90)
    found = sk.prune(data, 0.5, by="el2n", side="hard", features=copies, deduplicate=1e-4)
    told = next(note.message for note in found.notes if note.code == "floor_short")
    assert "'twin' keeps all its 1 examples, fewer than its floor of 8" in told


def test_ties_within_classes_are_told() -> None:
    data = pd.DataFrame({"id": range(40), "label": ["a"] * 20 + ["b"] * 20,
                         "forgetting": [1] * 20 + list(range(20))})  # fmt: skip
    found = sk.prune(data, 0.5, by="forgetting", side="hard", balance="label")
    assert "20 examples share the score" in next(
        note.message for note in found.notes if note.code == "ties"
    )


def test_the_error_of_guessing_is_not_assumed_in_silence() -> None:
    data = table().drop(columns="label")
    assert "chance_assumed" in codes(sk.prune(data, 0.5, by="el2n", learning_curve=curve()))
    assert "chance_assumed" not in codes(sk.prune(data, 0.5, by="el2n"))


def test_seeds_match_by_id_even_where_one_table_has_text() -> None:
    one = table().assign(id=range(120))
    other = table(seed=1).assign(id=[str(k) for k in range(120)])[["id", "el2n"]]
    found = sk.prune([one, other], 0.5, by="el2n", side="hard")
    np.testing.assert_allclose(found.table["score"], (one["el2n"] + other["el2n"]) / 2)


def test_seeds_that_disagree_on_labels_are_refused() -> None:
    other = table(seed=1).assign(label=table()["label"])
    sk.prune([table(), other], 0.5, by="el2n", side="hard")
    other.loc[7, "label"] = 9
    with pytest.raises(InputError, match=r"table 1: the id 'x7' has the label '9'.*\(1 differ"):
        sk.prune([table(), other], 0.5, by="el2n", side="hard")


def test_a_data_set_with_an_id_twice_is_refused() -> None:
    found = sk.prune(table(), 0.5, by="el2n", side="hard")
    twice = [*table()["id"], found.ids[0]]
    with pytest.raises(InputError, match="ids= repeats kept ids: 61 places for 60"):
        found.sampler(twice)


def test_features_of_prune_are_checked_by_row() -> None:
    features = np.random.default_rng(0).standard_normal((120, 4))
    features[9, 1] = np.nan
    with pytest.raises(InputError, match="row 9 holds NaN"):
        sk.prune(table(), 0.5, by="prototypes", side="easy", features=features)
    with pytest.raises(InputError, match="row 9 holds NaN"):
        sk.prune(table(), 0.5, by="el2n", side="easy", features=features, deduplicate=0.1)


def written(found: sk.selectors.pruning.Selection, code: str) -> list[str]:
    return [note.message for note in found.notes if note.code == code]


def test_ids_in_text_stay_as_they_are_written(tmp_path: Path) -> None:
    ids = ["007", "7", "12345678901234567890123", "1e3"]
    data = pd.DataFrame({"id": ids, "el2n": [0.4, 0.1, 0.3, 0.2]})
    data.to_csv(tmp_path / "scores.csv", index=False)
    data.to_parquet(tmp_path / "scores.parquet")
    seeds = [tmp_path / "scores.csv", tmp_path / "scores.parquet"]
    assert sk.prune(seeds, 0.5, by="el2n", side="hard").ids.tolist() == [ids[0], ids[2]]
    features = data[["id"]].assign(a=[1.0, 0.9, 0.0, 0.1], b=[0.0, 0.1, 1.0, 0.9])
    features.to_csv(tmp_path / "features.csv", index=False)
    kept = sk.prune(seeds[0], 0.5, by="el2n", side="hard", features=tmp_path / "features.csv",
                    deduplicate=0.1)  # fmt: skip
    assert len(kept) == 2


def test_ids_that_are_whole_numbers_stay_numbers(tmp_path: Path) -> None:
    table().assign(id=range(120)).to_csv(tmp_path / "scores.csv", index=False)
    found = sk.prune(tmp_path / "scores.csv", 0.5, by="el2n", side="hard")
    assert found.ids.dtype.kind == "i"


def test_frames_of_polars_are_read_and_other_things_refused() -> None:
    polars = pytest.importorskip("polars")
    found = sk.prune(polars.from_pandas(table()), 0.25, side="hard")
    assert found.ids.tolist() == sk.prune(table(), 0.25, side="hard").ids.tolist()
    with pytest.raises(InputError) as refused:
        sk.prune(None, 0.25)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "the table must be a folder or file of scores, or a frame; got NoneType."
    )


@pytest.mark.parametrize(
    ("data", "by", "message"),
    [
        (table().assign(label=1), "label", "the table: 'label' is no score but an id, a label or a "
         "standard error. Scores there: el2n."),
        (table().assign(el2n="0.5"), "el2n", "the table: the score 'el2n' is not numeric; row 0 "
         "holds the text '0.5'. Give numbers."),
        (table().head(0), "el2n", "the table has no rows. Give one row an example."),
    ],
)  # fmt: skip
def test_what_is_no_score_is_named(data: pd.DataFrame, by: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        sk.prune(data, 0.5, by=by, side="hard")
    assert str(refused.value) == message


def test_labels_may_be_numbers_and_text() -> None:
    mixed = table().assign(label=[k if k % 2 else "odd" for k in [1, 2] * 60])
    assert sk.prune(mixed, 0.5, side="hard").retention()["label"].tolist() == ["1", "odd"]


def test_quotas_that_overrule_the_share_are_told() -> None:
    found = sk.prune(table(), 0.5, side="hard", quotas={0: 10, 1: 5}, balance="label")
    assert len(found) == 15
    assert written(found, "quotas_decide") == [
        "The quotas add up to 15 examples, not the 60 of keep=: quotas= (--quota) decides how many "
        "stay, and a class without one keeps none."
    ]


def test_evidence_for_the_side_that_nothing_uses_is_told() -> None:
    found = sk.prune(table(), 0.5, side="hard", learning_curve=curve(), chance=0.5)
    assert written(found, "evidence_unused") == [
        "The side is 'hard' as asked: nothing uses learning_curve= and chance=, there for "
        "side='auto' (--side auto)."
    ]


def test_a_direction_against_the_catalogue_is_told() -> None:
    found = sk.prune(table(), 0.5, side="hard", higher_is="easy")
    assert written(found, "direction_against") == [
        "A large 'el2n' is hard by the catalogue of scores; it is taken as easy, as "
        "higher_is='easy' (--higher-is) says."
    ]
    assert "direction_against" not in codes(sk.prune(table(), 0.5, side="hard", higher_is="hard"))


def test_trials_of_another_share_say_which() -> None:
    trials = pd.DataFrame({"side": ["random", "random", "hard", "hard"], "keep": 0.9,
                           "error": [0.3, 0.31, 0.2, 0.21]})  # fmt: skip
    found = sk.prune(table(), 0.5, trials=trials, chance=0.5)
    assert written(found, "side_chosen") == [
        "Kept hard: trials that kept 0.9 found 0.67 (hard) times the error of random."
    ]


def test_shares_that_round_to_the_same_percent_keep_their_own_curves() -> None:
    n = np.geomspace(100, 10000, 4)
    runs = pd.concat(
        pd.DataFrame({"fraction": share, "n": n, "error": 3 * n**-exponent})
        for share, exponent in ((1.0, 0.3), (0.125, 0.31), (0.121, 0.32))
    )
    found = sk.pruning_frontier(runs, rng=0)
    assert found.exponents["curve"].tolist() == [
        "12.1% kept", "12.5% kept", "100% kept", "frontier",
    ]  # fmt: skip
