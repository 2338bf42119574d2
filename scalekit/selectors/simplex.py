"""Points of the simplex over named sources: reading them, checking them, laying grids of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean

MixtureLike = Mapping[str, float] | Sequence[float] | np.ndarray | pd.DataFrame
ROUNDING = 1e-4  # a row of shares printed with four decimals may miss one by this much


def as_mixtures(value: MixtureLike, sources: Sequence[str]) -> np.ndarray:
    """Return mixtures as an array (k, m) in the order of `sources`, each row summing to one.

    A mapping or a table names its sources, so their order does not matter; a plain array must
    already be in the order of `sources`. Sums that miss one by no more than rounding (1e-4) are
    renormalised; anything further off is an error, as are negative or missing shares.

    >>> as_mixtures({"code": 0.25, "web": 0.75}, ["web", "code"])
    array([[0.75, 0.25]])
    """
    if isinstance(value, Mapping):
        value = pd.DataFrame([value])
    if isinstance(value, pd.DataFrame):
        _check_names(list(value.columns), sources)
        shares = value[list(sources)].to_numpy(dtype=float)
    else:
        try:
            shares = np.atleast_2d(np.asarray(value, dtype=float))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"A mixture is shares by source, {{'{sources[0]}': 0.6, ...}}, or a list of "
                f"numbers in the order {', '.join(sources)}; got {value!r}."
            ) from error
    if shares.ndim != 2 or shares.shape[1] != len(sources) or not len(shares):
        raise InputError(
            f"A mixture of {len(sources)} sources needs {len(sources)} shares, in the order "
            f"{', '.join(sources)}; got shape {shares.shape}."
        )
    return _normalised(shares, sources)


def _check_names(names: Sequence[object], sources: Sequence[str]) -> None:
    for source in sources:
        if source not in names:
            raise InputError(
                f"The mixture names no share for source '{source}'. Name every source, with 0 "
                f"where it is not used. {did_you_mean(source, map(str, names))}"
            )
    extra = [str(name) for name in names if name not in sources]
    if extra:
        raise InputError(f"The mixture names '{extra[0]}'. {did_you_mean(extra[0], sources)}")


def _normalised(shares: np.ndarray, sources: Sequence[str]) -> np.ndarray:
    bad = np.argwhere(~np.isfinite(shares) | (shares < 0))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"Mixture {row}: the share of '{sources[column]}' is {shares[row, column]}; "
            "shares are numbers from 0 to 1."
        )
    sums = shares.sum(axis=1)
    off = np.flatnonzero(np.abs(sums - 1) > ROUNDING)
    if len(off):
        raise InputError(
            f"Mixture {off[0]} sums to {sums[off[0]]:.6g}, not to 1. Shares are renormalised only "
            f"within rounding ({ROUNDING:g}); divide by the sum if these are counts."
        )
    result: np.ndarray = shares / sums[:, None]
    return result


def simplex_grid(n_sources: int, parts: int) -> np.ndarray:
    """Return all mixtures of `n_sources` whose shares are multiples of 1/parts, shape (k, m).

    >>> simplex_grid(3, 10).shape
    (66, 3)
    """
    if parts < 1:
        raise InputError(f"parts is the number of steps along an edge, at least 1; got {parts}.")
    bars = itertools.combinations(range(parts + n_sources - 1), n_sources - 1)
    cuts = np.array([(-1, *bar, parts + n_sources - 1) for bar in bars])
    grid: np.ndarray = (np.diff(cuts, axis=1) - 1) / parts
    return grid


def candidates(n_sources: int, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Return about `limit` mixtures that cover the simplex: the finest grid that fits, or draws.

    With many sources a grid with 1/10 steps has too many points; then the vertices, the centre,
    all pairs and Dirichlet draws of several concentrations stand in for it.
    """
    for parts in (100, 50, 40, 20, 10):
        if _grid_size(n_sources, parts) <= limit:
            return simplex_grid(n_sources, parts)
    special = np.concatenate([simplex_grid(n_sources, 2), np.full((1, n_sources), 1 / n_sources)])
    shares = max(limit - len(special), 1)
    concentration = 10 ** rng.uniform(-1, 1, size=(shares, 1))
    raw = rng.gamma(np.broadcast_to(concentration, (shares, n_sources))) + 1e-12
    return np.concatenate([special, raw / raw.sum(axis=1, keepdims=True)])


def _grid_size(n_sources: int, parts: int) -> int:
    from math import comb

    return comb(parts + n_sources - 1, n_sources - 1)


def describe_mixture(shares: np.ndarray, sources: Sequence[str]) -> str:
    """Return a mixture as text: "web 60%, code 40%"; sources below 0.05 % are left out."""
    parts = [
        f"{name} {share:.1%}" for name, share in zip(sources, shares, strict=True) if share > 5e-4
    ]
    return ", ".join(parts)
