"""Prototypes, near copies, covers: against scikit-learn, brute force and their guarantees."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import scalekit as sk
from scalekit.errors import InputError


def blobs(rng: np.random.Generator, k: int = 6, each: int = 80, d: int = 16) -> np.ndarray:
    centres = rng.standard_normal((k, d)) * 3
    return np.repeat(centres, each, axis=0) + rng.standard_normal((k * each, d))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("half", [True, False])
def test_clusters_are_about_as_good_as_scikit_learns(metric: str, half: bool) -> None:
    from sklearn.cluster import KMeans

    x = blobs(np.random.default_rng(0))
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    found = min((sk.prototypes(x, 6, metric=metric, half=half, iterations=30, rng=r)
                 for r in range(5)), key=lambda f: f.distance.mean())  # fmt: skip
    oracle = KMeans(6, n_init=5, random_state=0).fit(x)
    if metric == "euclidean":
        assert (found.distance**2).sum() <= 1.03 * oracle.inertia_
    else:
        centres = oracle.cluster_centers_
        centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        assert found.distance.sum() <= 1.03 * (1 - (x @ centres.T).max(axis=1)).sum()


def test_distances_are_those_to_the_own_centroid() -> None:
    x = blobs(np.random.default_rng(1))
    found = sk.prototypes(x, 5, metric="euclidean", half=False)
    direct = np.linalg.norm(x - found.centroids[found.cluster], axis=1)
    np.testing.assert_allclose(found.distance, direct, rtol=1e-4)
    everywhere = np.linalg.norm(x[:, None] - found.centroids, axis=2)
    np.testing.assert_allclose(everywhere.min(axis=1), direct, rtol=1e-4)


def test_supervised_prototypes_are_class_means() -> None:
    rng = np.random.default_rng(2)
    x, labels = blobs(rng), np.repeat(list("abcdef"), 80)
    found = sk.prototypes(x, labels=labels, metric="euclidean")
    np.testing.assert_allclose(found.centroids[2], x[labels == "c"].mean(axis=0), atol=1e-5)
    assert found.names == tuple("abcdef")
    means = np.stack([x[labels == c].mean(axis=0) for c in "abcdef"])
    at_mean = sk.prototypes(np.vstack([x, means]), labels=np.append(labels, list("abcdef")),
                            metric="euclidean")  # fmt: skip
    np.testing.assert_allclose(at_mean.distance[-6:], 0, atol=1e-4)


def test_files_are_read_in_parts_and_the_seed_decides(tmp_path: Path) -> None:
    x = blobs(np.random.default_rng(3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    one = sk.prototypes(str(tmp_path / "x.npy"), 4, rng=5)
    other = sk.prototypes(x, 4, rng=5)
    np.testing.assert_array_equal(one.distance, other.distance)
    one.save(tmp_path / "p.json")
    np.testing.assert_array_equal(sk.load(tmp_path / "p.json").distance, one.distance)
    assert one.plot().get_xlabel()
    assert "4 clusters" in one.summary()


def test_more_clusters_than_points_of_their_kind_are_all_used() -> None:
    """Empty clusters restart; k equal to n puts every point in its own."""
    x = np.random.default_rng(4).standard_normal((40, 3))
    found = sk.prototypes(x, 40, metric="euclidean", half=False, iterations=50)
    assert found.distance.mean() < 0.25


def test_copies_are_found_and_one_of_each_group_stays(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    base = rng.standard_normal((50, 10))
    x = np.concatenate([base, base[:20] + 1e-3 * rng.standard_normal((20, 10))])
    found = sk.near_duplicates(x, 0.01)
    assert found.keep.sum() == 50
    for row in range(20):
        assert found.keep[row] != found.keep[50 + row]
        assert found.group[row] == found.group[50 + row]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    kept = np.flatnonzero(found.keep)
    assert all(unit[a] @ unit[b] < 0.99 for a, b in combinations(kept, 2))
    found.save(tmp_path / "c.json")
    assert sk.load(tmp_path / "c.json").keep.sum() == 50
    assert "20 are within" in found.summary()


def test_a_greedy_cover_is_within_twice_the_best(tmp_path: Path) -> None:
    """Gonzalez 1985, against every choice of three of twelve points."""
    x = np.random.default_rng(6).standard_normal((12, 2))
    distance = np.linalg.norm(x[:, None] - x[None], axis=2)
    best = min(distance[:, list(c)].min(axis=1).max() for c in combinations(range(12), 3))
    found = sk.k_center(x, 3)
    assert best - 1e-6 <= found.radius[-1] <= 2 * best + 1e-6
    assert (np.diff(sk.k_center(x, 12).radius) <= 1e-6).all()
    found.save(tmp_path / "k.json")
    assert sk.load(tmp_path / "k.json").rows.tolist() == found.rows.tolist()
    assert "no choice of as many" in found.summary()


def test_bad_features_are_refused_by_row() -> None:
    x = blobs(np.random.default_rng(7))
    holes = x.copy()
    holes[37, 2] = np.nan
    with pytest.raises(InputError, match="row 37 holds NaN or infinity"):
        sk.prototypes(holes, 3)
    zero = x.copy()
    zero[5] = 0
    with pytest.raises(InputError, match="row 5 has length 0"):
        sk.prototypes(zero, 3)
    with pytest.raises(InputError, match="k=999 clusters cannot be made of 480 examples"):
        sk.prototypes(x, 999)
    with pytest.raises(InputError, match="k=999 centres"):
        sk.k_center(x, 999)
    with pytest.raises(InputError, match="numbers of shape"):
        sk.prototypes(np.array([["a"]]), 1)
    with pytest.raises(InputError, match="k or labels"):
        sk.prototypes(x, 3, labels=np.zeros(480))
    with pytest.raises(InputError, match="need as many labels"):
        sk.prototypes(x, labels=np.zeros(3))
    with pytest.raises(InputError, match="'cosine' or 'euclidean'"):
        sk.prototypes(x, 3, metric="manhattan")
    with pytest.raises(InputError, match="from 0 to 2"):
        sk.near_duplicates(x, 3.0)
    with pytest.raises(InputError, match=r"Expected one of \.npy"):
        sk.prototypes("features.csv", 3)


def test_centres_far_from_the_origin_and_exact_copies_are_told_apart() -> None:
    x = blobs(np.random.default_rng(8))
    near, far = (sk.prototypes(x + off, 6, metric="euclidean") for off in (0, 1000))
    assert far.distance.mean() == pytest.approx(near.distance.mean(), rel=0.01)
    twice = np.repeat(x, 2, axis=0)
    assert sk.near_duplicates(twice, 0.0).keep.sum() == len(x)


def test_a_cover_ends_where_all_is_covered_and_bad_ids_are_named() -> None:
    found = sk.k_center(np.array([[0.0], [1.0], [0.0], [1.0]]), 3)
    assert len(found.rows) == 2
    assert found.notes[0].code == "all_covered"
    with pytest.raises(InputError, match="id '7' occurs more than once"):
        sk.prototypes(np.eye(3), 2, ids=[7, 8, 7])
    with pytest.raises(InputError, match="row 1 has none"):
        sk.prototypes(np.eye(3), labels=[0.0, np.nan, 1.0])
