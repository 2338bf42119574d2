"""Mixtures: named in any order, summing to one, laid out over the simplex."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import InputError
from scalekit.selectors.simplex import as_mixtures, candidates, simplex_grid

SOURCES = ["web", "code", "books"]


def test_the_order_of_named_shares_does_not_matter() -> None:
    table = pd.DataFrame({"books": [0.5], "web": [0.2], "code": [0.3]})
    np.testing.assert_allclose(as_mixtures(table, SOURCES), [[0.2, 0.3, 0.5]])


@given(st.integers(2, 5), st.integers(1, 8))
def test_a_grid_holds_every_mixture_once(sources: int, parts: int) -> None:
    grid = simplex_grid(sources, parts)
    assert len(np.unique(grid.round(9), axis=0)) == len(grid) == comb(parts + sources - 1, parts)
    np.testing.assert_allclose(grid.sum(axis=1), 1)


def test_candidates_cover_many_sources_with_the_vertices() -> None:
    points = candidates(17, 1000, np.random.default_rng(0))
    assert points.shape == (1000, 17)
    np.testing.assert_allclose(points.sum(axis=1), 1)
    assert (points.max(axis=1) == 1).sum() == 17


def test_rounding_is_renormalised_and_nothing_more() -> None:
    np.testing.assert_allclose(as_mixtures([0.3333, 0.3333, 0.3333], SOURCES), 1 / 3)
    with pytest.raises(InputError, match=r"sums to 0.9, not to 1. Shares are renormalised only"):
        as_mixtures([0.3, 0.3, 0.3], SOURCES)


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({"web": 0.5, "cod": 0.5, "books": 0.0}, "no share for source 'code'.*Did you mean 'cod'"),
        ({"web": 0.5, "code": 0.5, "books": 0.0, "math": 0.0}, "names 'math'"),
        ([0.5, 0.5], r"3 sources needs 3 shares, in the order web, code, books"),
        ([1.5, -0.5, 0.0], "the share of 'code' is -0.5"),
        ([np.nan, 0.5, 0.5], "the share of 'web' is nan"),
    ],
)
def test_what_is_no_mixture_is_refused(mixture: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_mixtures(mixture, SOURCES)  # type: ignore[arg-type]
