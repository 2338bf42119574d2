"""Readers: every format gives the same table, and a file that is none says what to do."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from scalekit.data import delimited, example_runs, read_runs, readers, sources
from scalekit.errors import InputError
from scalekit.tables import RunTable

RUNS = pd.DataFrame(
    {
        "name": ["s", "m", "l"],
        "n_params": [1_000_000, 10_000_000, 1_000_000_000],
        "tokens": [2e7, 2e8, 2e10],
        "val_loss": [4.0625, 3.5, 2.75],
        "lr": [0.01, 0.003, 0.001],
    }
)


def read(table: object, **columns: str | None) -> RunTable:
    return read_runs(table, quiet=True, last_step=False, **columns)


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


WRITERS: dict[str, Callable[[Path], object]] = {
    "runs.csv": lambda path: RUNS.to_csv(path, index=False),
    "runs.tsv": lambda path: RUNS.to_csv(path, index=False, sep="\t"),
    "semicolons.csv": lambda path: RUNS.to_csv(path, index=False, sep=";"),
    "decimal_commas.csv": lambda path: RUNS.to_csv(path, index=False, sep=";", decimal=","),
    "quoted.csv": lambda path: RUNS.to_csv(path, index=False, quoting=1),
    "bom.csv": lambda path: RUNS.to_csv(path, index=False, encoding="utf-8-sig"),
    "windows.csv": lambda path: RUNS.to_csv(path, index=False, lineterminator="\r\n"),
    "runs.csv.gz": lambda path: RUNS.to_csv(path, index=False),
    "no_suffix": lambda path: RUNS.to_csv(path, index=False),
    "runs.parquet": lambda path: RUNS.to_parquet(path),
    "wrong_suffix.csv": lambda path: RUNS.to_parquet(path),
    "runs.jsonl": lambda path: RUNS.to_json(path, orient="records", lines=True),
    "runs.json": lambda path: RUNS.to_json(path, orient="records"),
    "columns.json": lambda path: path.write_text(json.dumps(RUNS.to_dict("list"))),
    "runs.jsonl.gz": lambda path: RUNS.to_json(path, orient="records", lines=True),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_table(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    runs, expected = read(tmp_path / name), read(RUNS)
    pd.testing.assert_frame_equal(runs.frame, expected.frame, check_dtype=False)
    assert runs.provenance.source == name
    assert runs.provenance.input_hash == expected.provenance.input_hash


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        lambda frame: pl.from_pandas(frame).lazy(),
        pa.Table.from_pandas,
        lambda frame: frame.to_dict("list"),
        lambda frame: {name: frame[name].to_numpy() for name in frame},
        lambda frame: frame.to_dict("records"),
        lambda frame: frame.convert_dtypes(),
        read,
    ],
    ids=["polars", "lazy", "pyarrow", "lists", "arrays", "records", "nullable", "run table"],
)
def test_every_kind_of_frame_gives_the_same_table(convert: Callable[..., object]) -> None:
    pd.testing.assert_frame_equal(
        read(convert(RUNS)).frame, read(RUNS).frame, check_dtype=False, check_column_type=False
    )


def test_nested_records_are_read_by_their_path(tmp_path: Path) -> None:
    records = [{"hyperparameters": {"params": 1e6, "tokens": 2e7}, "eval": {"loss": 3.5}}] * 2
    runs = read(written(tmp_path / "runs.json", json.dumps(records)))
    assert [reading.column for reading in runs.readings][:2] == [
        "hyperparameters.params",
        "hyperparameters.tokens",
    ]


def test_the_interpretation_goes_to_stderr_unless_quiet(capsys: pytest.CaptureFixture) -> None:
    read_runs(RUNS)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[:2] == [
        "the table: 3 rows",
        "  params <- n_params (embeddings: unknown): 1M to 1B",
    ]
    read_runs(RUNS, quiet=True)
    assert capsys.readouterr().err == ""


def test_quantities_as_text_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "runs.csv", 'N,D,loss\n7B,"1.4T",2.0\n70M,"1,400,000,000",3.1\n')
    assert read(path).frame["params"].tolist() == [7e9, 7e7]
    assert read(path).frame["tokens"].tolist() == [1.4e12, 1.4e9]


def test_numbers_beyond_64_bits_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "runs.csv", f"flops,loss\n{10**24},2.0\n{10**21},2.5\n")
    assert read(path).frame["flops"].tolist() == [1e24, 1e21]


def test_the_last_step_of_each_run_can_be_asked_for(tmp_path: Path) -> None:
    text = "run,step,params,loss\na,1,1e6,5\na,2,1e6,4\nb,1,1e7,4.5\nb,2,1e7,\n"
    path = written(tmp_path / "runs.csv", text)
    assert len(read(path)) == 3
    assert read_runs(path, quiet=True, last_step=True).frame["loss"].tolist() == [4.0, 4.5]


# bad input


def test_a_missing_file_is_offered_its_nearest_name(tmp_path: Path) -> None:
    written(tmp_path / "runs.csv", "N,loss\n1e6,3\n")
    with pytest.raises(InputError, match=r"There is no file .*run\.csv. Did you mean 'runs.csv'"):
        read(tmp_path / "run.csv")


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file .*There are none"):
        read(tmp_path / "nowhere" / "runs.csv")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"runs\.csv is empty. Give a file with a header"):
        read(written(tmp_path / "runs.csv", content))


@pytest.mark.parametrize("content", ["params,loss\n", "[]", '{"params": [], "loss": []}'])
def test_a_table_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="runs has no rows"):
        read(written(tmp_path / "runs", content))


def test_an_excel_workbook_is_told_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "runs.xlsx", "w") as archive:
        archive.writestr("sheet.xml", "<x/>")
    with pytest.raises(InputError, match="an Excel workbook; save the sheet as CSV"):
        read(tmp_path / "runs.xlsx")


def test_utf_16_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="UTF-16 text; save it again as CSV in UTF-8"):
        read(written(tmp_path / "runs.csv", "N,loss\n1,2\n".encode("utf-16")))


def test_text_that_is_not_utf_8_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not UTF-8 text .* at byte"):
        read(written(tmp_path / "runs.csv", "name,N,loss\nfür,1,2\n".encode("latin-1")))


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"binary file of unknown format. Give CSV, TSV"):
        read(written(tmp_path / "run.wandb", b":W&B\x00\x01\x02"))


def test_a_damaged_parquet_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="damaged Parquet file"):
        read(written(tmp_path / "runs.parquet", b"PAR1 and nothing more"))


def test_a_damaged_gzip_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*runs\.csv\.gz: Not a gzipped file"):
        read(written(tmp_path / "runs.csv.gz", b"N,loss\n1,2\n"))


def test_a_cut_gzip_file_is_told(tmp_path: Path) -> None:
    whole = gzip.compress(b"N,loss\n" + b"".join(b"%d,%f\n" % (i, 1 / i) for i in range(1, 5000)))
    with pytest.raises(InputError, match=r"Cannot read .*Compressed file ended"):
        read(written(tmp_path / "runs.csv.gz", whole[: len(whole) // 2]))


def test_damaged_json_names_the_line(tmp_path: Path) -> None:
    text = '{"params": 1e6, "loss": 3.0}\n{"params": 1e7, "loss":\n'
    with pytest.raises(InputError, match=r"runs\.jsonl, line 2 is no JSON: Expecting value"):
        read(written(tmp_path / "runs.jsonl", text))


def test_a_list_of_numbers_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="entries are no records"):
        read(written(tmp_path / "runs.json", "[1, 2, 3]"))


def test_columns_of_different_lengths_are_told() -> None:
    with pytest.raises(InputError, match=r"cannot be read as columns: .*same length"):
        read({"params": [1, 2, 3], "loss": [1, 2]})


def test_an_object_that_is_no_table_is_refused() -> None:
    with pytest.raises(InputError, match=r"takes a path, a frame .* got int"):
        read(3)


def test_a_repeated_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"more than one column named 'loss'.*first line"):
        read(written(tmp_path / "runs.csv", "N,loss,loss\n1e6,3,4\n"))
    frame = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["N", "loss", "loss"])
    with pytest.raises(InputError, match="more than one column named 'loss'"):
        read(frame)


def test_a_file_without_a_header_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no header: its first line is '1e6,3.5'"):
        read(written(tmp_path / "runs.csv", "1e6,3.5\n1e7,3.1\n"))


@pytest.mark.parametrize("rows", ["1e6,3\n1e7,2,9\n", "1e6,3,9\n1e7,2,9\n"])
def test_rows_longer_than_the_header_are_refused(tmp_path: Path, rows: str) -> None:
    with pytest.raises(InputError, match="rows that do not fit its header of 2 columns"):
        read(written(tmp_path / "runs.csv", "N,loss\n" + rows))


def test_text_in_a_number_column_names_file_row_and_value(tmp_path: Path) -> None:
    path = written(tmp_path / "runs.csv", "N,val_loss\n1e6,3\n1e7,crashed\n")
    message = r"runs\.csv, data row 2: column 'val_loss' \(loss\) holds 'crashed', which is not"
    with pytest.raises(InputError, match=message):
        read(path)


def test_rows_left_out_are_named_by_their_place_in_the_file(tmp_path: Path) -> None:
    runs = read(written(tmp_path / "runs.csv", "N,loss\n1e6,3\n1e7,nan\n1e8,inf\n1e9,2\n"))
    assert runs.provenance.rows_left_out == {"loss is missing or NaN": 1, "loss is infinite": 1}
    assert "(data row 2); 1 where loss is infinite (data row 3)" in runs.notes[0].message


# large files


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SMALL_FILE", 1000)
    monkeypatch.setattr(sources, "MANY_ROWS", 100)
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 4096)


def many_runs(n: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    params = rng.uniform(1e6, 1e9, n)
    return pd.DataFrame(
        {
            "run": [f"run-{i}" for i in range(n)],
            "seed": rng.integers(0, 3, n),
            "n_params": params,
            "tokens": 20 * params,
            "loss": 2 + 400 * params**-0.34,
            "comment": "a long text that has no role " * 3,
        }
    )


@pytest.mark.parametrize("name", ["runs.csv", "runs.csv.gz", "runs.parquet"])
@pytest.mark.usefixtures("small_limits")
def test_a_large_file_is_read_in_blocks_with_the_columns_that_have_a_role(
    tmp_path: Path, name: str
) -> None:
    frame = many_runs()
    path = tmp_path / name
    frame.to_parquet(path) if "parquet" in name else frame.to_csv(path, index=False)
    runs = read(path)
    expected = read(frame.drop(columns="comment"))
    pd.testing.assert_frame_equal(runs.frame, expected.frame, check_dtype=False)
    told = next(note.message for note in runs.notes if note.code == "columns_left")
    assert "1 columns without a role are not kept: comment" in told


@pytest.mark.usefixtures("small_limits")
def test_a_large_file_is_never_held_whole(tmp_path: Path) -> None:
    many_runs().to_csv(tmp_path / "runs.csv", index=False)
    file = delimited.sniff(tmp_path / "runs.csv")
    sizes = [len(block) for block in file.blocks(["n_params", "loss"], ["n_params", "loss"])]
    assert sum(sizes) == 2000
    assert max(sizes) < 100


@pytest.mark.usefixtures("small_limits")
def test_text_deep_in_a_large_file_is_named_by_its_row(tmp_path: Path) -> None:
    frame = many_runs()
    frame["loss"] = frame["loss"].astype(object)
    frame["n_params"] = frame["n_params"].astype(object)
    frame.loc[1700, "n_params"] = "7B"
    frame.to_csv(tmp_path / "runs.csv", index=False)
    assert read(tmp_path / "runs.csv").frame["params"].iloc[1700] == 7e9
    frame.loc[1800, "loss"] = "crashed"
    frame.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(
        InputError, match=r"runs\.csv, data row 1801: column 'loss' holds 'crashed'"
    ):
        read(tmp_path / "runs.csv")


@pytest.mark.usefixtures("small_limits")
def test_rows_that_do_not_fit_the_header_of_a_large_file_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "runs.csv", "N,loss\n" + "1e6,3\n" * 1000 + "1e6,3,4\n")
    with pytest.raises(InputError, match=r"cannot be read as a table: .*Expected 2 columns, got 3"):
        read(path)


# real tables


@pytest.mark.parametrize(
    ("file", "columns", "n", "roles"),
    [
        ("chinchilla_epoch/points_NDCL.csv", {}, 245, "params tokens flops loss"),
        ("chinchilla_epoch/svg_extracted_data.csv", {}, 245, "params tokens flops loss"),
        ("chinchilla_pkg_llm/df.csv", {}, 234, "params tokens flops loss"),
        (
            "muennighoff_182/muennighoff_182.csv",
            {},
            182,
            "params tokens unique_tokens flops loss run",
        ),
        ("porian/isoflop_points.csv", {}, 1745, "params tokens flops loss"),
        ("bnsl_4digit_addition/curve.csv", {}, 17, "samples loss"),
        (
            "gadre_overtraining/model_losses.csv",
            {"loss": "loss_c4_val"},
            104,
            "params tokens flops loss run",
        ),
        (
            "laion_clip_mammut/segmentation_runs.csv",
            {"loss": "train_caption_loss"},
            850,
            "params samples flops loss run",
        ),
        (
            "olmo_ladder/ladder_runs_wide.parquet",
            {"loss": "eval/pile-validation/CrossEntropyLoss"},
            3569,
            "params tokens flops loss run step",
        ),
    ],
)
def test_a_real_table_is_read(
    shared: Path, file: str, columns: dict[str, str | None], n: int, roles: str
) -> None:
    runs = read(shared / file, **columns)
    assert len(runs) == n
    assert " ".join(runs.roles) == roles
    assert not any(note.severity == "error" for note in runs.notes)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("gadre_overtraining/model_losses.csv", "8 columns could be loss: loss_openlm, loss_c4"),
        ("laion_clip_mammut/best_per_arch_samples.csv", "no column looks like a loss.*value"),
        ("laion_clip_mammut/segmentation_runs.csv", "2 columns could be loss: train_contrastive"),
        ("regmix/train_pile_loss_1m.csv", "13 columns could be loss: metric/the_pile_arxiv_val"),
    ],
)
def test_a_real_table_that_needs_a_choice_says_so(shared: Path, file: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(shared / file)


def test_epochs_tokens_are_those_of_six_n_d(shared: Path) -> None:
    """The file of Epoch has no tokens; the derived file has D = C / 6N."""
    raw = read(shared / "chinchilla_epoch" / "svg_extracted_data.csv").frame["tokens"]
    derived = read(shared / "chinchilla_epoch" / "points_NDCL.csv").frame["tokens"]
    np.testing.assert_allclose(raw, derived, rtol=1e-12)


def test_laion_gflops_and_millions_are_turned_into_single_units(shared: Path) -> None:
    runs = read(shared / "laion_clip_mammut" / "segmentation_runs.csv", loss="train_caption_loss")
    assert runs.frame["params"].max() == pytest.approx(510.63e6)
    assert runs.frame["flops"].max() > 1e20


# examples


def test_the_bundled_runs_are_read() -> None:
    if not (readers.EXAMPLES_FOLDER / "stdlib_runs.csv").exists():
        pytest.skip("scalekit/data/examples/stdlib_runs.csv is not made yet")
    runs = example_runs()
    read_as = {reading.role: reading.column for reading in runs.readings}
    assert (read_as["loss"], read_as["group"]) == ("val_loss", "recipe")
    assert runs.frame["flops"].max() / runs.frame["flops"].min() >= 100
    assert runs.provenance.rows_left_out == {}


def test_an_unknown_example_is_offered_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"There is no example 'stdlb'. Did you mean 'stdlib'"):
        example_runs("stdlb")
