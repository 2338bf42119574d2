"""The run table: which rows are used, what is told of them, and what it offers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scalekit
from scalekit.columns import as_numbers
from scalekit.data import read_runs
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.tables import RunTable, check_runs


def runs(**columns: object) -> pd.DataFrame:
    base = {"params": [1e6, 1e7, 1e8], "tokens": [2e7, 2e8, 2e9], "loss": [4.0, 3.5, 3.1]}
    return pd.DataFrame(base | columns)


def codes(table: RunTable) -> set[str]:
    return {note.code for note in table.notes}


def note(table: RunTable, code: str) -> str:
    return next(note.message for note in table.notes if note.code == code)


def test_good_runs_pass_without_a_note() -> None:
    table = check_runs(runs())
    pd.testing.assert_frame_equal(table.frame, runs())
    assert table.notes == ()
    assert table.provenance.n_rows == 3
    assert table.provenance.rows_left_out == {}


def test_role_columns_come_first_and_others_are_kept() -> None:
    frame = runs(width=[8, 16, 32])[["width", "loss", "tokens", "params"]]
    assert list(check_runs(frame).frame) == ["params", "tokens", "loss", "width"]


def test_the_input_is_not_modified() -> None:
    frame = runs(params=["1M", "10M", "-"])
    before = frame.copy(deep=True)
    check_runs(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_the_index_is_kept() -> None:
    frame = runs(loss=[4.0, np.nan, 3.1]).set_axis(["a", "b", "c"])
    assert list(check_runs(frame).frame.index) == ["a", "c"]


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("loss", [4.0, np.nan, 3.1], "loss is missing or NaN"),
        ("loss", [4.0, np.inf, 3.1], "loss is infinite"),
        ("loss", ["4.0", "", "3.1"], "loss is missing or NaN"),
        ("params", [1e6, 0, 1e8], "params is not positive"),
        ("tokens", [2e7, -2e8, 2e9], "tokens is not positive"),
        ("tokens", [2e7, None, 2e9], "tokens is missing or NaN"),
        ("params", [1e6, np.inf, 1e8], "params is infinite"),
        ("noise", [0.1, 0.0, 0.1], "noise is not positive"),
        ("weight", [1.0, -1.0, 1.0], "weight is negative"),
    ],
)
def test_an_unusable_row_is_left_out_counted_and_told(
    column: str, values: list[object], reason: str
) -> None:
    table = check_runs(runs(**{column: values}))
    assert list(table.frame.index) == [0, 2]
    assert table.provenance.rows_left_out == {reason: 1}
    assert note(table, "rows_left_out").startswith(f"1 of 3 rows are left out: 1 where {reason}")
    assert "(row 1)" in note(table, "rows_left_out")


def test_a_row_with_two_faults_counts_once() -> None:
    table = check_runs(runs(loss=[4, np.nan, 3], params=[1, 0, 3]))
    assert sum(table.provenance.rows_left_out.values()) == 1


@given(
    st.lists(
        st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 2), min_size=1, max_size=20
    )
)
def test_rows_used_and_rows_left_out_are_all_rows(rows: list[tuple[float, float]]) -> None:
    frame = pd.DataFrame(rows, columns=["params", "loss"])
    usable = np.isfinite(frame).all(axis=1) & (frame["params"] > 0)
    if not usable.any():
        with pytest.raises(InputError, match=r"none of the .* rows can be used"):
            check_runs(frame)
        return
    table = check_runs(frame)
    assert len(table) + sum(table.provenance.rows_left_out.values()) == len(frame)
    assert list(table.frame.index) == list(frame.index[usable])


def test_text_in_a_number_column_names_row_and_value() -> None:
    with pytest.raises(InputError, match=r"row 1: column 'loss' holds 'diverged'.*leave it empty"):
        check_runs(runs(loss=["4.0", "diverged", "3.1"]))


def test_a_loss_has_no_suffix() -> None:
    with pytest.raises(InputError, match=r"'3.5k', which is not a number"):
        check_runs(runs(loss=["4.0", "3.5k", "3.1"]))


def test_a_column_of_dates_is_refused() -> None:
    dates = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])
    with pytest.raises(InputError, match=r"'tokens' .* holds datetime64.* values, not numbers"):
        check_runs(runs(tokens=dates))


def test_a_missing_column_is_offered_its_nearest_name() -> None:
    with pytest.raises(ColumnNotFoundError, match=r"no column 'loss'. Did you mean 'los'"):
        check_runs(runs().rename(columns={"loss": "los"}))


def test_the_scales_of_a_law_may_have_any_name() -> None:
    frame = runs(unique=["1B", "0", "3B"])
    table = check_runs(frame, scales=["params", "unique"])
    assert table.frame["unique"].tolist() == [1e9, 3e9]
    with pytest.raises(ColumnNotFoundError, match=r"no column 'width'. There are"):
        check_runs(frame, scales=["width"])


def test_a_repeated_column_is_refused() -> None:
    frame = pd.DataFrame([[1e6, 3.0, 3.1]], columns=["params", "loss", "loss"])
    with pytest.raises(InputError, match="more than one column named 'loss'"):
        check_runs(frame)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(InputError, match="has no rows"):
        check_runs(runs().iloc[:0])


def test_a_table_without_a_usable_row_is_refused_with_the_counts() -> None:
    with pytest.raises(InputError, match=r"none of the 3 rows .*2 where loss is missing.*1 where"):
        check_runs(runs(loss=[np.nan, np.nan, 3.0], params=[1, 1, 0]))


def test_duplicate_rows_are_kept_and_told() -> None:
    table = check_runs(pd.concat([runs(), runs().head(2)]))
    assert len(table) == 5
    assert "2 of 5 rows repeat" in note(table, "duplicate_rows")
    assert "drop_duplicates" in note(table, "duplicate_rows")
    assert "(row 0, row 1)" in note(table, "duplicate_rows")


def test_duplicate_rows_are_numbered_as_the_file_counts(tmp_path: Path) -> None:
    """A row left out before them does not shift the numbers, nor does a later selection."""
    frame = pd.concat([runs(loss=[np.nan, 3.0, 2.0]), runs(loss=[1.0, 3.0, 2.0])])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    table = read_runs(tmp_path / "runs.csv", quiet=True)
    assert "(data row 5, data row 6)" in note(table, "duplicate_rows")
    again = check_runs(table.where("loss>2").frame, source=table.provenance.source)
    assert "(data row 5)" in note(again, "duplicate_rows")


def test_rows_that_differ_in_any_column_are_no_duplicates() -> None:
    frame = pd.concat([runs(tags=[["a"]] * 3), runs(tags=[["b"]] * 3)])
    assert "duplicate_rows" not in codes(check_runs(frame))


def test_one_row_is_told() -> None:
    assert codes(check_runs(runs().head(1))) == {"one_row"}


def test_runs_of_one_scale_are_told() -> None:
    table = check_runs(runs(params=[1e6] * 3, tokens=[2e7] * 3))
    assert "params = 1M, tokens = 20M" in note(table, "one_scale")
    assert "one_scale" not in codes(check_runs(runs(params=[1e6] * 3)))


def test_a_loss_below_zero_is_kept_and_told() -> None:
    table = check_runs(runs(loss=[-4.0, 3.5, 3.1]))
    assert len(table) == 3
    assert "1 of 3 rows have a loss of zero or less" in note(table, "loss_not_positive")


def logged() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "params": [1e6] * 3 + [1e7] * 2,
            "loss": [5.0, 4.0, 4.5, 4.8, 3.8],
            "run": ["a", "a", "a", "b", "b"],
            "step": [10, 30, 20, 10, 20],
        }
    )


def test_logged_steps_are_kept_and_told_and_the_last_can_be_had() -> None:
    table = check_runs(logged())
    assert "2 of 2 runs have several logged steps" in note(table, "several_steps")
    last = table.final_only()
    assert last.frame["loss"].tolist() == [4.0, 3.8]
    assert codes(last) == {"last_steps"}
    assert len(table) == 5


def test_the_last_step_needs_run_and_step() -> None:
    with pytest.raises(InputError, match="no column for run and step"):
        check_runs(runs()).final_only()


def test_a_saved_table_is_loaded_as_it_was(tmp_path: Path) -> None:
    frame = logged().assign(**{"a/b": [True] * 5, "file": list("vwxyz"), "n": pd.array([1] * 5)})
    table = check_runs(frame.set_axis([3, 4, 5, 6, 8]))
    loaded = scalekit.load(table.save(tmp_path / "runs.json"))
    assert isinstance(loaded, RunTable)
    pd.testing.assert_frame_equal(loaded.frame, table.frame, check_dtype=False)
    assert loaded.to_dict() == table.to_dict()


def test_the_same_runs_have_the_same_hash_and_others_another() -> None:
    def hash_of(frame: pd.DataFrame) -> str:
        return check_runs(frame).provenance.input_hash

    assert hash_of(runs()) == hash_of(runs(width=[1, 2, 3]))
    assert hash_of(runs()) == hash_of(runs(params=["1M", "10M", "100M"]))
    assert hash_of(runs()) != hash_of(runs(loss=[4.0, 3.5, 3.2]))


def test_the_summary_tells_rows_readings_and_notes() -> None:
    text = check_runs(runs(loss=[4, np.nan, 3]), source="runs.csv").summary()
    assert text.startswith("runs.csv: 2 rows used, 1 left out\n  params <- params: 1M to 100M")
    assert "warning: 1 of 3 rows are left out" in text


def test_the_page_shows_the_first_rows_only() -> None:
    many = pd.DataFrame({"params": np.geomspace(1e6, 1e9, 50), "loss": np.linspace(4, 3, 50)})
    page = check_runs(many)._repr_html_()
    assert page.count("<tr") == 31
    assert "<b>the table: 50 rows</b>" in page
    assert "50 rows in all" in page


@pytest.mark.parametrize(
    ("frame", "xlabel", "series"),
    [
        (runs(flops=[1e14, 1e16, 1e18]), "training FLOPs", 1),
        (runs(group=["a", "b", "b"]), "tokens", 2),
        (runs()[["params", "loss"]], "parameters", 1),
        (runs(loss=[-1.0, 0, 1]), "tokens", 1),
    ],
)
def test_the_plot_shows_loss_against_scale(frame: pd.DataFrame, xlabel: str, series: int) -> None:
    ax = check_runs(frame).plot()
    assert (ax.get_xlabel(), ax.get_xscale()) == (xlabel, "log")
    assert ax.get_yscale() == ("log" if (frame["loss"] > 0).all() else "linear")
    assert len(ax.collections) == series


def test_a_plot_without_a_scale_is_an_error() -> None:
    with pytest.raises(InputError, match="no scale to draw"):
        check_runs(pd.DataFrame({"loss": [1.0, 2.0]})).plot()


@pytest.mark.parametrize(
    ("texts", "role", "decimal_comma", "values"),
    [
        (["7B", "1.4T", "3e9"], "params", False, [7e9, 1.4e12, 3e9]),
        (["1,234", "1,234,567"], "tokens", False, [1234.0, 1234567.0]),
        (["1,5", "2,25e9"], "tokens", True, [1.5, 2.25e9]),
        (["3,405", "2,9"], "loss", False, [3.405, 2.9]),
        (["n/a", "null", "-", None, ""], "loss", False, [np.nan] * 5),
        ([10**24, 5], "flops", False, [1e24, 5.0]),
    ],
)
def test_text_is_read_as_numbers(
    texts: list[object], role: str, decimal_comma: bool, values: list[float]
) -> None:
    column = pd.Series(texts, dtype=object)
    numbers = as_numbers(column, role, decimal_comma=decimal_comma)
    np.testing.assert_array_equal(numbers, values)


def test_a_value_with_its_own_unit_ignores_the_unit_of_its_column() -> None:
    assert as_numbers(pd.Series(["7", "7B"]), "params", factor=1e9).tolist() == [7e9, 7e9]


def test_nullable_columns_are_read() -> None:
    column = pd.Series([1, None], dtype="Int64")
    np.testing.assert_array_equal(as_numbers(column, "params"), [1.0, np.nan])


def test_rows_are_selected_by_the_name_of_the_table_or_of_its_source() -> None:
    runs = read_runs(
        {"N": [1e6, 1e7, 1e8], "loss": [4.0, 3.5, 3.0], "recipe": ["a", "b", "a"]}, quiet=True
    )
    for condition in ("group=a", "recipe = a", "recipe!=b"):
        kept = runs.where(condition)
        assert kept.frame["params"].tolist() == [1e6, 1e8]
        assert "2 of 3 rows have" in str(kept.notes[-1])
    assert runs.where("recipe=a", "N > 1M").frame["params"].tolist() == [1e8]
    assert len(runs.where("loss<=3.5")) == 2


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("recipe=A", "no row where recipe=A. Did you mean 'a'"),
        ("recipes=a", "Did you mean 'recipe'"),
        ("params", "Cannot read the condition 'params'"),
        ("recipe<b", "holds text"),
        ("params>1T", "no row where params>1T"),
        ("params>many", "Cannot read 'many' as a quantity"),
    ],
)
def test_a_condition_that_selects_nothing_says_why(condition: str, message: str) -> None:
    runs = read_runs(
        {"N": [1e6, 1e7, 1e8], "loss": [4.0, 3.5, 3.0], "recipe": ["a", "b", "a"]}, quiet=True
    )
    with pytest.raises(InputError, match=message):
        runs.where(condition)
