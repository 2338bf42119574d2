"""read_evals: every log in, one checked table out, and nothing dropped without a word."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.evals.conventions import framing, known_chance, known_direction
from scalekit.evals.logs import split_run_name

DATE = "2026-01-02T03-04-05.000006"


def codes(result: object) -> set[str]:
    return {note.code for note in result.notes}  # type: ignore[attr-defined]


def tidy(**changes: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"model": m, "seed": s, "task": "arc_easy", "doc_id": i, "acc": float(rng.random() < 0.6)}
        for m in "ab" for s in range(2) for i in range(20)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


# --- tables


def test_a_tidy_table_is_read_by_its_usual_column_names() -> None:
    evals = sk.read_evals(tidy())
    assert evals.frame["metric"].unique().tolist() == ["acc"]
    task = evals.tasks.iloc[0]
    assert (task["recipes"], task["seeds"], task["items"], task["missing"]) == (2, 2, 20, 0)
    assert (task["direction"], task["chance"]) == (1, 0.25)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".tsv", ".jsonl"])
def test_a_file_says_the_same_as_the_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log{suffix}"
    write = {".csv": lambda t: t.to_csv(path, index=False),
             ".parquet": lambda t: t.to_parquet(path),
             ".tsv": lambda t: t.to_csv(path, index=False, sep="\t"),
             ".jsonl": lambda t: t.to_json(path, orient="records", lines=True)}  # fmt: skip
    write[suffix](tidy())
    pd.testing.assert_frame_equal(sk.read_evals(path).frame, sk.read_evals(tidy()).frame)


def test_names_with_spaces_and_answers_of_true_and_false_are_read(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        "Model;Question ID;Correct\na/b 125M;q 1;True\na/b 125M;q 2;\nc;q 1;False\nc;q 2;True\n"
    )
    items = sk.read_evals(path)
    assert items.frame["value"].tolist() == [1.0, 0.0, 1.0]
    assert items.frame["item"].tolist() == ["q 1", "q 1", "q 2"]
    assert items.frame["metric"].unique().tolist() == ["Correct"]


def test_decimal_commas_are_read_where_semicolons_separate_columns(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_text("model;seed;acc\na;0;0,41\na;1;0,43\n")
    assert sk.read_evals(path).frame["value"].tolist() == [0.41, 0.43]


def test_without_a_column_of_items_the_message_asks_for_it() -> None:
    rows = pd.DataFrame({"model": ["a", "a"], "prompt_no": ["p1", "p2"], "acc": [1, 0]})
    with pytest.raises(InputError, match="--columns item=COLUMN"):
        sk.read_evals(rows)


def test_a_wide_table_of_recipes_is_melted_and_told() -> None:
    wide = pd.DataFrame(
        {"item": range(4), "small-seed0": [1, 0, 1, 1], "small-seed1": [1, 1, 0, 1]}
    )
    evals = sk.read_evals(wide)
    assert evals.frame["recipe"].unique().tolist() == ["small"]
    assert sorted(evals.frame["seed"].unique()) == [0, 1]
    assert {"wide-table", "seed-from-name"} <= codes(evals)


def test_a_wide_table_of_metrics_keeps_each_metric_and_its_direction() -> None:
    evals = sk.read_evals(tidy(nll=1.5).assign(nll=np.linspace(1, 2, 80)))
    assert dict(zip(evals.tasks["metric"], evals.tasks["direction"], strict=True)) == {
        "acc": 1, "nll": -1
    }  # fmt: skip


def test_arrays_have_the_shape_seeds_items_steps() -> None:
    evals = sk.read_evals({"a": np.zeros((2, 5, 3)), ("b", 7): np.ones(5)})
    assert evals.frame.groupby("recipe").size().to_dict() == {"a": 30, "b": 5}
    assert evals.frame.loc[evals.frame["recipe"] == "b", "seed"].unique().tolist() == [7]


def test_a_saved_table_is_read_back(tmp_path: Path) -> None:
    evals = sk.read_evals(tidy())
    evals.save(tmp_path / "evals.json")
    pd.testing.assert_frame_equal(sk.load(tmp_path / "evals.json").to_frame(), evals.frame)


def test_in_a_notebook_a_log_shows_its_benchmarks_not_its_answers() -> None:
    page = sk.example_evals()._repr_html_()
    assert "digits_noisy" in page
    assert len(page) < 5000


def test_selecting_offers_the_nearest_name() -> None:
    evals = sk.read_evals(tidy())
    assert len(evals.select(recipe="a").frame) == 40
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'arc_easy'"):
        evals.select(benchmark="arc_eazy")


# --- bad input, one by one


def test_nan_values_are_left_out_counted_and_told() -> None:
    table = tidy()
    table.loc[:4, "acc"] = np.nan
    evals = sk.read_evals(table)
    assert evals.provenance.rows_left_out == {"NaN value": 5}
    assert {"nan-values", "missing-cells"} <= codes(evals)
    assert evals.tasks["missing"].iloc[0] == 5


def test_a_log_of_only_nan_is_an_error() -> None:
    with pytest.raises(InputError, match="no row has a value"):
        sk.read_evals(tidy(acc=np.nan))


def test_text_in_the_value_column_names_the_row() -> None:
    table = tidy().astype({"acc": object})
    table.loc[2, "acc"] = "correct"
    with pytest.raises(InputError, match=r"row 3, column 'value'.*'correct'"):
        sk.read_evals(table, value="acc")


def test_infinite_values_are_refused() -> None:
    with pytest.raises(InputError, match="the value is infinite"):
        sk.read_evals(tidy().assign(acc=np.inf))


def test_exact_repeats_are_left_out_and_told() -> None:
    table = pd.concat([tidy(), tidy().head(3)])
    evals = sk.read_evals(table)
    assert evals.provenance.rows_left_out == {"repeated row": 3}
    assert "repeated-rows" in codes(evals)


def test_two_values_for_one_answer_are_an_error_that_asks_for_samples() -> None:
    table = pd.concat([tidy(), tidy().head(1).assign(acc=lambda t: 1 - t["acc"])])
    with pytest.raises(InputError, match=r"two values.*item=0.*sample=COLUMN"):
        sk.read_evals(table)


def test_missing_answers_are_counted() -> None:
    evals = sk.read_evals(tidy().drop(index=[0, 1, 2]))
    assert evals.tasks["missing"].iloc[0] == 3
    assert "missing-cells" in codes(evals)


def test_percent_becomes_fractions() -> None:
    evals = sk.read_evals(tidy().assign(acc=lambda t: 100 * t["acc"]))
    assert evals.frame["value"].max() == 1
    assert "percent" in codes(evals)


def test_percent_and_fractions_together_are_an_error() -> None:
    table = tidy().assign(acc=lambda t: np.where(t["model"] == "a", 100, 1) * t["acc"])
    with pytest.raises(
        InputError, match=r"in percent for arc_easy, a.*in fractions for arc_easy, b"
    ):
        sk.read_evals(table)
    assert sk.read_evals(table, unit="fraction").frame["value"].max() == 100


def test_other_metrics_in_two_units_are_suspected() -> None:
    scores = pd.DataFrame({"model": ["a", "b"], "my_score": [0.4, 45.0]})
    assert "units-suspect" in codes(sk.read_evals(scores, value="my_score"))


def test_an_unknown_direction_is_assumed_and_told() -> None:
    evals = sk.read_evals(tidy().rename(columns={"acc": "wobble"}), value="wobble")
    assert "direction-assumed" in codes(evals)
    assert evals.frame["metric"].iloc[0] == "wobble"
    assert sk.read_evals(tidy(), lower_is_better=["acc"]).tasks["direction"].iloc[0] == -1


def test_a_metric_cannot_be_better_both_ways() -> None:
    with pytest.raises(InputError, match="'acc' is in lower_is_better and in higher_is_better"):
        sk.read_evals(tidy(), lower_is_better=["acc"], higher_is_better=["acc"])


def test_one_seed_one_item_and_constant_metrics_are_told() -> None:
    one = sk.read_evals({"a": np.ones((1, 10)), "b": np.ones((1, 10))})
    assert {"one-seed", "constant-metric"} <= codes(one)
    assert "every answer is correct" in " ".join(n.message for n in one.notes)
    scores = pd.DataFrame({"model": ["a", "b"], "acc": [0.4, 0.5]})
    assert "one-item" in codes(sk.read_evals(scores))


def test_clusters_of_one_are_told_and_ignored() -> None:
    evals = sk.read_evals(tidy().assign(cluster=lambda t: t["doc_id"]))
    assert "clusters-of-one" in codes(evals)
    assert "cluster" not in evals.frame


def test_an_item_in_two_clusters_is_an_error() -> None:
    with pytest.raises(InputError, match="item '0' of 'arc_easy' is in 2 clusters"):
        sk.read_evals(tidy().assign(cluster=lambda t: t["model"]))


def test_an_empty_cluster_is_an_error() -> None:
    with pytest.raises(InputError, match="'cluster' is empty in 40 rows"):
        sk.read_evals(tidy().assign(cluster=lambda t: np.where(t["model"] == "a", "x", None)))


def test_an_empty_name_is_an_error() -> None:
    with pytest.raises(InputError, match="'recipe' is empty in 40 rows"):
        sk.read_evals(tidy().assign(model=lambda t: t["model"].where(t["model"] == "a")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeed": "x"}, "No role 'seeed'. Did you mean 'seed'"),
        ({"item": "dok_id"}, "no column 'dok_id' for item. Did you mean 'doc_id'"),
        ({"unit": "promille"}, "unit must be"),
        ({"chance": {"arc_eas": 0.2}}, "No benchmark 'arc_eas'. Did you mean 'arc_easy'"),
        ({"chance": {"arc_easy": 25.0}}, "must be a fraction"),
    ],
)
def test_wrong_arguments_say_what_is_there(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.read_evals(tidy(), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.csv", "No file or folder"),
        ([], "list of files is empty"),
        ({}, "mapping is empty"),
        ({"a": "abc.txt"}, "No file or folder"),
        ({"a": [["x"]]}, "expected numbers"),
        ({"a": np.zeros((1, 1, 1, 1))}, "got shape"),
        (pd.DataFrame({"model": []}), "no rows"),
        (pd.DataFrame({"model": ["a"], "x": ["y"]}), "no column of values"),
    ],
)
def test_sources_that_cannot_be_read_say_why(source: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.read_evals(source)  # type: ignore[arg-type]


def test_an_unknown_file_and_an_empty_folder_say_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("hello")
    with pytest.raises(InputError, match=r"Cannot tell what notes\.md is"):
        sk.read_evals(tmp_path / "notes.md")
    with pytest.raises(InputError, match="holds no lm-eval results or samples"):
        sk.read_evals(tmp_path)


# --- lm-evaluation-harness


def lm_eval_sample(doc: int, right: bool, choices: int = 4) -> dict[str, object]:
    scores = [[-2.0 - (k != 0) * (1 if right else -1), False] for k in range(choices)]
    return {
        "doc_id": doc, "doc": {"question": "?", "passage": f"p{doc // 5}"}, "target": 0,
        "arguments": {f"gen_args_{k}": {"arg_0": "Q", "arg_1": " four"} for k in range(choices)},
        "resps": [[s] for s in scores], "filtered_resps": scores, "filter": "none",
        "metrics": ["acc", "acc_norm"], "acc": float(right), "acc_norm": float(right),
    }  # fmt: skip


def write_samples(
    folder: Path, rights: list[bool], task: str = "arc_easy", date: str = DATE
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{date}.jsonl"
    path.write_text("".join(json.dumps(lm_eval_sample(i, r)) + "\n" for i, r in enumerate(rights)))
    return path


def test_lm_eval_samples_take_recipe_seed_and_step_from_the_folder(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_samples(tmp_path / f"org__base-seed{seed}-step100", [True, False] * 10)
    frame = sk.read_evals(tmp_path).frame
    assert frame["recipe"].unique().tolist() == ["org__base"]
    assert sorted(frame["seed"].unique()) == [1, 2]
    assert frame["step"].unique().tolist() == [100]


def test_lm_eval_choices_give_chance_probability_and_bits_per_byte(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "m", [True, False])
    evals = sk.read_evals(path)
    metrics = evals.frame.pivot_table("value", "item", "metric")
    mass = np.exp(-2) / (np.exp(-2) + 3 * np.exp(-3))
    assert metrics.loc["0", "p_correct"] == pytest.approx(mass)
    assert metrics.loc["0", "bits_per_byte"] == pytest.approx(2 / (5 * np.log(2)))  # " four"
    assert evals.tasks.set_index("metric")["chance"]["acc"] == 0.25
    assert np.isnan(evals.tasks.set_index("metric")["chance"]["bits_per_byte"])
    assert evals.tasks.set_index("metric")["direction"]["bits_per_byte"] == -1


def test_lm_eval_has_one_row_per_filter_and_one_filter_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "m" / f"samples_gsm8k_{DATE}.jsonl"
    path.parent.mkdir()
    rows = [
        {"doc_id": i, "filter": f, "target": "4", "exact_match": float(f == "flexible")}
        for i in range(3) for f in ("strict", "flexible")
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    evals = sk.read_evals(path)
    assert len(evals.frame) == 3
    assert evals.frame["value"].sum() == 0
    assert "one-filter" in codes(evals)
    assert sk.read_evals(path, filter_name="flexible").frame["value"].sum() == 3
    with pytest.raises(InputError, match=r"no filter 'flexibel'. Did you mean 'flexible'"):
        sk.read_evals(path, filter_name="flexibel")


def test_of_repeated_evaluations_the_newest_is_read(tmp_path: Path) -> None:
    write_samples(tmp_path / "m", [True] * 4, date="2026-01-01T00-00-00.1")
    write_samples(tmp_path / "m", [False] * 4, date="2026-02-01T00-00-00.1")
    evals = sk.read_evals(tmp_path)
    assert "older-logs" in codes(evals)
    assert evals.select(metric="acc").frame["value"].sum() == 0


def test_lm_eval_clusters_come_from_a_field_of_doc(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "m", [True, False] * 10)
    assert sk.read_evals(path, cluster="passage").frame["cluster"].nunique() == 4
    with pytest.raises(
        InputError, match=r"no field 'pasage' to cluster by. Did you mean 'passage'"
    ):
        sk.read_evals(path, cluster="pasage")


def test_a_cut_line_of_samples_is_named(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "m", [True])
    path.write_text(path.read_text() + '{"doc_id": 1, "acc"')
    with pytest.raises(InputError, match="line 2: expected an lm-eval sample"):
        sk.read_evals(path)


def lm_eval_results(**changes: object) -> dict[str, object]:
    return {
        "results": {
            "mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": "mmlu"},
            "mmlu_law": {"acc,none": 0.4, "acc_stderr,none": "N/A", "alias": " - law"},
            "mmlu_art": {"acc,none": 0.6, "acc_stderr,none": 0.02, "sample_len": 100},
        },
        "groups": {"mmlu": {"acc,none": 0.5}},
        "higher_is_better": {"mmlu_law": {"acc": True}},
    } | changes  # fmt: skip


def test_lm_eval_groups_and_text_errors_in_results_are_held(tmp_path: Path) -> None:
    path = tmp_path / "m" / f"results_{DATE}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(lm_eval_results()))
    evals = sk.read_evals(path)
    assert sorted(evals.frame["benchmark"]) == ["mmlu_art", "mmlu_law"]
    assert evals.frame.set_index("benchmark")["stderr"].isna().to_dict() == {
        "mmlu_art": False, "mmlu_law": True
    }  # fmt: skip
    assert {"groups-left-out", "one-item"} <= codes(evals)


def test_samples_go_before_the_scores_of_the_same_task(tmp_path: Path) -> None:
    write_samples(tmp_path / "m", [True] * 5, task="mmlu_law")
    (tmp_path / "m" / f"results_{DATE}.json").write_text(json.dumps(lm_eval_results()))
    counts = sk.read_evals(tmp_path).select(metric="acc").frame["benchmark"].value_counts()
    assert counts.to_dict() == {"mmlu_law": 5, "mmlu_art": 1}


def test_files_that_disagree_about_a_direction_are_an_error(tmp_path: Path) -> None:
    for name, better in (("a", True), ("b", False)):
        path = tmp_path / name / f"results_{DATE}.json"
        path.parent.mkdir()
        log = lm_eval_results(higher_is_better={"mmlu_law": {"acc": better}})
        path.write_text(json.dumps(log))
    with pytest.raises(InputError, match="Mixed directions: 'acc'"):
        sk.read_evals(tmp_path)
    assert (sk.read_evals(tmp_path, higher_is_better=["acc"]).tasks["direction"] == 1).all()


def test_bare_metric_names_of_old_results_are_read(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"results": {"piqa": {"acc": 0.7, "acc_stderr": 0.01}}}))
    frame = sk.read_evals(path).frame
    assert frame[["metric", "value", "stderr"]].iloc[0].tolist() == ["acc", 0.7, 0.01]


# --- Inspect


def inspect_log(status: str = "success") -> dict[str, object]:
    values = ["C", "I", "P", "N"]
    return {
        "version": 2, "status": status, "eval": {"model": "org/base-seed4", "task": "gpqa"},
        "samples": [
            {"id": f"q{i}", "epoch": e, "scores": {"match": {"value": values[(i + e) % 4]}},
             "metadata": {"topic": i // 2}}
            for i in range(4) for e in (1, 2)
        ],
    }  # fmt: skip


def test_inspect_letters_are_numbers_and_epochs_are_samples(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps(inspect_log()))
    evals = sk.read_evals(tmp_path / "log.json", cluster="topic")
    assert evals.frame["value"].sum() == 2 * (1 + 0.5)
    assert (evals.tasks["samples"].iloc[0], evals.tasks["clusters"].iloc[0]) == (2, 2)
    assert evals.frame[["recipe", "seed"]].iloc[0].tolist() == ["org__base", 4]


def test_an_inspect_archive_is_read(tmp_path: Path) -> None:
    log = inspect_log()
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("header.json", json.dumps({k: log[k] for k in ("status", "eval")}))
        for k, sample in enumerate(log["samples"]):  # type: ignore[arg-type]
            archive.writestr(f"samples/{k}.json", json.dumps(sample))
    assert len(sk.read_evals(tmp_path).frame) == 8


def test_an_archive_compressed_with_zstandard_is_read(tmp_path: Path) -> None:
    """Python's zipfile cannot open method 93 before 3.14; inspect-ai writes it."""
    pa = pytest.importorskip("pyarrow")
    log, path = inspect_log(), tmp_path / "log.eval"
    members = {"header.json": {k: log[k] for k in ("status", "eval")}}
    members |= {f"samples/{k}.json": s for k, s in enumerate(log["samples"])}  # type: ignore[arg-type]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            packed = pa.compress(json.dumps(content).encode(), codec="zstd", asbytes=True)
            archive.writestr(name, packed)
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = raw.find(signature)
        while start >= 0:
            raw[start + at] = 93
            start = raw.find(signature, start + 1)
    path.write_bytes(raw)
    with zipfile.ZipFile(path) as archive:
        assert {member.compress_type for member in archive.infolist()} == {93}
    assert len(sk.read_evals(path).frame) == 8


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (inspect_log() | {"samples": []}, "has no samples .status: success"),
        (inspect_log() | {"samples": [{"id": 1, "scores": {}}]}, "no sample has a score"),
        (
            inspect_log() | {"samples": [{"id": 1, "scores": {"m": {"value": "good"}}}]},
            "sample 1: the score is 'good'",
        ),
    ],
)
def test_inspect_logs_without_scores_say_so(tmp_path: Path, log: object, message: str) -> None:
    (tmp_path / "log.json").write_text(json.dumps(log))
    with pytest.raises(InputError, match=message):
        sk.read_evals(tmp_path / "log.json")


def test_a_broken_archive_and_an_unfinished_log_are_told(tmp_path: Path) -> None:
    (tmp_path / "log.eval").write_text("no zip")
    with pytest.raises(InputError, match="not a complete Inspect archive"):
        sk.read_evals(tmp_path / "log.eval")
    (tmp_path / "log.json").write_text(json.dumps(inspect_log("error")))
    assert "inspect-status" in codes(sk.read_evals(tmp_path / "log.json"))


# --- conventions


def test_names_say_seed_step_direction_chance_and_framing() -> None:
    assert split_run_name("run_seed=12/step_500") == ("run", 12, 500)
    assert split_run_name("seedling-7b").seed is None
    assert known_direction("eval_loss") == -1
    assert known_direction("acc_norm,none") == 1
    assert known_direction("wobble") is None
    assert known_chance("mmlu_abstract_algebra") == 0.25
    assert known_chance("winogrande_val_rc_5shot") == 0.5
    assert framing("arc_easy_rc_5shot") == ("arc_easy_5shot", "cloze")


# --- what a table says besides


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_names_of_a_table_stay_as_they_are_written(tmp_path: Path) -> None:
    lines = "model,item,score\n01,007,1\n01,7,0\n1,007,0\n1,7,1\n"
    frame = sk.read_evals(write(tmp_path / "log.csv", lines)).frame
    assert frame["recipe"].tolist() == ["01", "01", "1", "1"]
    assert frame["item"].tolist() == ["007", "7", "007", "7"]
    rows = '{"model": "a", "item": "007", "score": 1}\n{"model": "a", "item": "7", "score": 0}\n'
    assert sk.read_evals(write(tmp_path / "log.jsonl", rows)).frame["item"].tolist() == ["007", "7"]


def test_two_columns_of_one_name_are_refused() -> None:
    twice = pd.concat([tidy(), tidy()[["acc"]]], axis=1)
    with pytest.raises(InputError) as refused:
        sk.read_evals(twice)
    assert str(refused.value) == ("table has more than one column named 'acc'. Rename all but one.")


def test_recipes_may_be_called_true_and_false(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "ema,item,correct\nTrue,1,True\nFalse,1,False\n")
    frame = sk.read_evals(log, recipe="ema").frame
    assert frame[["recipe", "value"]].to_numpy().tolist() == [["True", 1.0], ["False", 0.0]]


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz"])
def test_compressed_tables_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log{suffix}"
    if suffix == ".csv.gz":
        tidy().to_csv(path, index=False)
    else:
        tidy().to_json(path, orient="records", lines=True)
    pd.testing.assert_frame_equal(sk.read_evals(path).frame, sk.read_evals(tidy()).frame)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_of_several_tables_without_recipes_each_is_one(tmp_path: Path, suffix: str) -> None:
    for name, part in tidy().groupby("model"):
        table, path = part.drop(columns="model"), tmp_path / f"{name}{suffix}"
        if suffix == ".csv":
            table.to_csv(path, index=False)
        else:
            table.to_json(path, orient="records", lines=True)
    whole = sk.read_evals(tidy()).frame
    for source in (tmp_path, [tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"]):
        evals = sk.read_evals(source)
        pd.testing.assert_frame_equal(evals.frame, whole)
        assert [note.message for note in evals.notes if note.code == "recipe-from-file"] == [
            "No column names the recipe: each file is one, by its name: a, b."
        ]


def test_seeds_are_read_out_of_the_names_of_files(tmp_path: Path) -> None:
    for (name, seed), part in tidy().groupby(["model", "seed"]):
        part[["task", "doc_id", "acc"]].to_csv(tmp_path / f"{name}-seed{seed}.csv", index=False)
    pd.testing.assert_frame_equal(
        sk.read_evals(tmp_path).frame, sk.read_evals(tidy()).frame, check_dtype=False
    )


def test_columns_named_by_seeds_are_seeds() -> None:
    wide = tidy().pivot_table("acc", ["model", "task", "doc_id"], "seed")
    evals = sk.read_evals(wide.add_prefix("seed").reset_index().rename(columns=str))
    assert evals.tasks[["metric", "seeds", "items"]].to_numpy().tolist() == [["score", 2, 20]]
    assert [note.message for note in evals.notes if note.code == "wide-table"] == [
        "table: read as a wide table, one column per seed: seed0, seed1."
    ]


def test_columns_without_a_part_are_told() -> None:
    evals = sk.read_evals(tidy(latency=1.0, mine=2.0))
    told = "table: not read: latency, mine. Name a part with --columns role=COLUMN."
    assert [note.message for note in evals.notes if note.code == "columns-not-read"] == [told]
    assert "columns-not-read" not in codes(sk.read_evals(tidy()))


def test_tables_beside_the_logs_of_a_harness_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    row = '{"doc_id": 0, "filter": "none", "metrics": ["acc"], "acc": 1.0, "doc": {}}'
    write(folder / f"samples_arc_easy_{DATE}.jsonl", row)
    write(tmp_path / "more.csv", "model,acc\nb,0.5\n")
    told = f"{tmp_path}: read as logs of a harness; the tables beside are not read: more.csv."
    notes = sk.read_evals(tmp_path).notes
    assert [note.message for note in notes if note.code == "tables-not-read"] == [told]


def test_a_seed_in_some_names_only_is_told() -> None:
    names = tidy()["model"].where(tidy()["model"] == "b", "a-seed" + tidy()["seed"].astype(str))
    evals = sk.read_evals(tidy(model=names).query("model != 'b' or seed == 0").drop(columns="seed"))
    assert evals.tasks["recipes"].tolist() == [3]
    assert [note.message for note in evals.notes if note.code == "seed-in-some-names"] == [
        "'a-seed0' names a seed, 'b' does not: every name is a recipe of its own. Give the seed in "
        "all names, or in a column."
    ]


def test_frames_of_other_libraries_are_read_and_other_things_refused() -> None:
    polars = pytest.importorskip("polars")
    frame = sk.read_evals(polars.from_pandas(tidy())).frame
    pd.testing.assert_frame_equal(frame, sk.read_evals(tidy()).frame)
    with pytest.raises(InputError) as refused:
        sk.read_evals(None)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "read_evals takes a path, a list of paths, a frame, or a mapping from recipe to any of "
        "these or to an array; got NoneType."
    )
