"""Samples of data sets: what is read, what is refused, in words that help."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalekit.errors import InputError
from scalekit.selectors.transport.samples import (
    Sample,
    as_named_samples,
    as_sample,
    check_same_features,
)

X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.array([0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet", ".csv", ".tsv"])
def test_a_feature_file_reads_back_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"web{suffix}"
    table = pd.DataFrame(X, columns=list("abc")).assign(label=Y)
    if suffix == ".npz":
        np.savez(path, features=X, labels=Y)
    elif suffix == ".npy":
        np.save(path, X)
    elif suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    sample = as_sample(path, "web")
    np.testing.assert_allclose(sample.features, X)
    if suffix != ".npy":
        assert (sample.known_labels == Y).all()


def test_tensors_lists_pairs_and_tables_are_the_same_sample() -> None:
    import torch

    forms = [X.tolist(), torch.tensor(X, requires_grad=True), pd.DataFrame(X), {"features": X}]
    for form in forms:
        np.testing.assert_array_equal(as_sample(form).features, X)


def test_weights_are_normalised_and_uniform_by_default() -> None:
    assert as_sample(X, weights=np.arange(6.0)).mass.tolist() == pytest.approx(
        (np.arange(6) / 15).tolist()
    )
    assert (as_sample(X).mass == 1 / 6).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (X[:1], r"'web' has 1 point\(s\).*at least 2"),
        (X[0], r"must have shape \(n, d\); got \(3,\).*Flatten"),
        (np.where(X[2, 1] == X, np.nan, X), r"'web': feature 1 of row 2 is nan \(1 rows"),
        (np.where(X[2, 1] == X, np.inf, X), r"feature 1 of row 2 is inf.*Drop or impute"),
        ([["a", "b"], ["c", "d"]], r"features must be numbers"),
        (X * 1e160, r"feature \d of row \d is .*squared distances overflow.*Rescale"),
        (X * 1j, r"must be real numbers; got complex128"),
        (pd.DataFrame(X).rename(columns={0: "Unnamed: 0"}), r"column 'Unnamed: 0' has no name"),
        ((X, Y[:4]), r"labels must have shape \(6,\), one a row; got \(4,\)"),
        ((X, [0, None, 1, 1, 2, 2]), r"the label of row 1 is missing \(1 in all\)"),
        ({"feature": X}, r"no array 'features'. Did you mean 'feature'"),
        (pd.DataFrame({"a": [1.0, 2.0], "text": ["x", "y"]}), r"column 'text' is not numeric"),
        (pd.DataFrame(X).assign(Id=range(6)), r"column 'Id' looks like an identifier"),
        (pd.DataFrame(X[:, :2], columns=["x", "y"]), r"the label of row 0 is .*must be whole"),
        ((X, np.array([0, "a"] * 3, dtype=object)), r"some labels are text and some are not"),
        ([[0.0, 1.0], [2.0]], r"'web' is no array; its rows differ in length"),
        ("nowhere.npz", r"no feature file nowhere.npz. Expected one of .npy"),
    ],
)
def test_what_cannot_be_a_sample_is_refused(value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_sample(value, "web")


def test_an_unknown_or_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"x")
    with pytest.raises(InputError, match=r"Cannot read features from 'a.pkl'. Use one of"):
        as_sample(tmp_path / "a.pkl")
    (tmp_path / "a.npy").write_bytes(b"not numpy")
    with pytest.raises(InputError, match=r"Cannot read features from .*a.npy"):
        as_sample(tmp_path / "a.npy")


def write_table(path: Path, **form: object) -> Path:
    pd.DataFrame(X, columns=list("abc")).to_csv(path, index=False, **form)  # type: ignore[call-overload]
    return path


@pytest.mark.parametrize("form", [{"sep": ";"}, {"sep": ";", "decimal": ","}, {"sep": "\t"}])
def test_a_csv_may_be_written_with_semicolons_and_decimal_commas(
    tmp_path: Path, form: dict
) -> None:
    path = write_table(tmp_path / "web.csv", **form)
    np.testing.assert_allclose(as_sample(path).features, X)


def test_a_csv_without_a_header_is_refused_since_its_first_point_would_be_lost(
    tmp_path: Path,
) -> None:
    path = write_table(tmp_path / "web.csv", header=False)
    with pytest.raises(InputError, match=r"web.csv has no header: its first line holds 0\.12"):
        as_sample(path)
    pd.DataFrame(X).to_csv(path, index=False)  # a header, if only of 0, 1, 2
    np.testing.assert_allclose(as_sample(path).features, X)


def test_a_csv_with_more_values_than_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "web.csv").write_text("a,b\n1,2,3\n4,5,6\n")
    with pytest.raises(InputError, match=r"header of 2 columns .*: they have more values"):
        as_sample(tmp_path / "web.csv")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off"])
def test_files_that_are_empty_or_cut_off_are_refused(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"web{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"Cannot read features from .*web"):
        as_sample(path)


def test_a_polars_table_is_read_as_a_pandas_table_is() -> None:
    polars = pytest.importorskip("polars")
    table = pd.DataFrame(X, columns=list("abc")).assign(label=Y)
    sample = as_sample(polars.from_pandas(table))
    np.testing.assert_array_equal(sample.features, X)
    np.testing.assert_array_equal(sample.known_labels, Y)


def test_a_sample_made_by_hand_is_checked_and_named_by_its_key() -> None:
    by_hand = Sample(X, weights=np.arange(6.0))
    assert as_sample(by_hand).mass.sum() == pytest.approx(1)
    named = as_named_samples({"web": by_hand, "code": by_hand}, as_sample(X))
    assert [sample.name for sample in named.values()] == ["web", "code"]
    with pytest.raises(InputError, match="'web' has zero mass"):
        as_sample(Sample(X, weights=np.zeros(6), name="web"))


def test_numbered_classes_are_the_same_as_objects_and_as_integers() -> None:
    assert as_sample((X, Y.astype(object))).known_labels.dtype == int
    assert as_sample((X, Y.astype(float))).classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["a"] * 6, "weights must be numbers"),
        (np.zeros(6), "zero mass: all its weights are 0"),
        (np.array([1, 1, 1, 1, 1, -1.0]), "none negative"),
        (np.ones(5), r"weights must be 6 finite numbers.*shape \(5,\)"),
    ],
)
def test_weights_without_mass_are_refused(weights: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_sample(X, "web", weights)


def test_samples_with_other_features_do_not_compare() -> None:
    with pytest.raises(InputError, match="'a' has 3 features and 'b' has 2"):
        check_same_features(as_sample(X, "a"), as_sample(X[:, :2], "b"))


def test_columns_in_another_order_are_refused() -> None:
    table = pd.DataFrame(X, columns=list("abc"))
    web, code = as_sample(table, "web"), as_sample(table[["a", "c", "b"]], "code")
    with pytest.raises(InputError, match="in another order: column 1 is 'b' in one and 'c' in"):
        check_same_features(web, code)
    check_same_features(web, as_sample(X, "bare"))
    shifted = as_sample(table.set_axis(list("bcd"), axis=1), "shifted")
    with pytest.raises(InputError, match="have different features: column 0 is 'a' in one and 'b'"):
        check_same_features(web, shifted)
