"""Variance components of crossed designs: exact when balanced, by moments when not.

Model for one recipe (generalisability theory): an answer of seed s to item i at step t is
mu + a_s + b_i + c_t + (ab)_si + (ac)_st + (bc)_it + e_sit, all independent. Balanced data are
solved by the expected mean squares (Searle, Casella and McCulloch 1992, ch. 4), others by one
pass: two factors by fitting constants (Henderson's method III, the sum of squares of each factor
adjusted for the other), three by within-group sums of squares for every subset of factors (which
for two are the U-statistics of Gao and Owen 2017, Electronic Journal of Statistics 11:1235).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from scalekit.errors import InputError

Array = NDArray[np.float64]
FACTORS = ("seed", "item", "step")
MOST_CONSTANTS = 2000  # levels of the smaller factor whose constants are solved for


@dataclass(frozen=True, eq=False)
class MeanSquares:
    """Mean squares with their degrees of freedom, and each component as a sum of them.

    `weights[name] @ mean_squares` is the unbiased (possibly negative) estimate of a component.
    """

    mean_squares: Array
    df: Array
    weights: dict[str, Array]

    def estimate(self, name: str) -> float:
        """Return the unbiased estimate of a component, which may be negative."""
        return float(self.weights[name] @ self.mean_squares)

    def interval(self, name: str, confidence_level: float = 0.95) -> tuple[float, float]:
        """Return the modified large-sample interval of a component, cut off at zero."""
        lower, upper = combination_interval(
            self.weights[name], self.mean_squares, self.df, confidence_level
        )
        return max(lower, 0.0), max(upper, 0.0)


def crossed_components(values: ArrayLike, names: Sequence[str] = FACTORS) -> MeanSquares:
    """Return the mean squares of a crossed table (seeds, items, steps); NaN marks missing cells.

    Any number of axes works; axes with one level are left out, and the highest interaction is
    called "residual". Balanced tables are solved exactly (Searle et al. 1992), others by moments.
    Raises InputError where no axis has two levels, or the missing cells leave the factors tangled.

    >>> table = np.random.default_rng(0).normal(size=(10, 200, 1)) + np.arange(10)[:, None, None]
    >>> round(crossed_components(table).estimate("seed"))
    9
    """
    table = np.asarray(values, dtype=np.float64)
    return pooled_components([table], names[: table.ndim])


def pooled_components(tables: Sequence[Array], names: Sequence[str] = FACTORS) -> MeanSquares:
    """Return the mean squares of several tables (one a recipe) that share their components."""
    active = [axis for axis in range(len(names)) if any(t.shape[axis] > 1 for t in tables)]
    if not active:
        raise InputError("One seed, one item, one step: there is no variance to decompose.")
    effects = _subsets(len(active))
    labels = [_label([names[active[axis]] for axis in effect]) for effect in effects]
    if len(active) > 1:
        labels[-1] = "residual"
    reduced = [t.reshape([t.shape[axis] for axis in active]) for t in tables]
    if all(np.isfinite(t).all() for t in reduced):
        squares, df, design = (sum(parts) for parts in zip(*map(_anova, reduced), strict=True))
    elif len(active) == 2 and all(min(t.shape) <= MOST_CONSTANTS for t in reduced):
        parts = zip(*map(_fitting_constants, reduced), strict=True)
        squares, df, design = (np.sum(part, axis=0) for part in parts)
    else:
        squares, df, design = _moments_as_mean_squares(reduced, effects)
    seen = df > 0
    mean_squares = squares[seen] / df[seen]
    expectation = design[np.ix_(seen, seen)] / df[seen][:, None]
    inverse = np.linalg.inv(expectation)
    kept = [label for label, is_seen in zip(labels, seen, strict=True) if is_seen]
    return MeanSquares(mean_squares, df[seen], dict(zip(kept, inverse, strict=True)))


def _subsets(n: int) -> list[tuple[int, ...]]:
    return [subset for size in range(1, n + 1) for subset in combinations(range(n), size)]


def _label(parts: Sequence[str]) -> str:
    return ":".join(parts)


def _anova(table: Array) -> tuple[Array, Array, Array]:
    """Return sums of squares, their df, and the expected sums of squares per unit of component."""
    effects = _subsets(table.ndim)
    shape = np.array(table.shape, dtype=np.float64)
    centred = table - table.mean()
    means = {effects[-1]: centred}
    for effect in effects[-2::-1]:  # each mean from one with one axis more: few passes over all
        wider = next(e for e in effects if len(e) == len(effect) + 1 and set(effect) < set(e))
        means[effect] = means[wider].mean(axis=(set(wider) - set(effect)).pop(), keepdims=True)
    squares, df = np.zeros(len(effects)), np.zeros(len(effects))
    for k, effect in enumerate(effects[:-1]):
        for smaller in _subsets(len(effect))[:-1]:
            means[effect] = means[effect] - means[tuple(effect[i] for i in smaller)]
        squares[k] = np.vdot(means[effect], means[effect]) * table.size / means[effect].size
        df[k] = np.prod(shape[list(effect)] - 1)
    squares[-1] = max(np.vdot(centred, centred) - squares.sum(), 0.0)
    df[-1] = np.prod(shape - 1)
    design = np.array([
        [df[i] * table.size / np.prod(shape[list(v)]) if set(u) <= set(v) else 0.0 for v in effects]
        for i, u in enumerate(effects)
    ])  # fmt: skip
    return squares, df, design


def _fitting_constants(table: Array) -> tuple[Array, Array, Array]:
    """Return what `_anova` does for a two-way table with missing cells (Henderson's method III).

    E[SS of a factor given the other] = rank V_residual + (n - levels of the other) V_factor, and
    the residual sum of squares is that of both factors' constants fitted.
    """
    if table.shape[0] > table.shape[1]:
        squares, df, design = _fitting_constants(table.T)
        swap = [1, 0, 2]
        return squares[swap], df[swap], design[np.ix_(swap, swap)]
    present = np.isfinite(table)
    table, present = table[present.any(axis=1)], present[present.any(axis=1)]
    table, present = table[:, present.any(axis=0)], present[:, present.any(axis=0)]
    n, rows, columns = int(present.sum()), *table.shape
    y = np.where(present, table - np.nanmean(table), 0.0)
    per_row, per_column = present.sum(axis=1), present.sum(axis=0)
    column_means = y.sum(axis=0) / per_column
    mask = present.astype(np.float64)
    constants = np.diag(per_row.astype(np.float64)) - (mask / per_column) @ mask.T
    right = y.sum(axis=1) - mask @ column_means
    rank = int(np.linalg.matrix_rank(constants, hermitian=True))
    rows_given_columns = float(right @ np.linalg.pinv(constants, hermitian=True) @ right)
    rows_alone = float((y.sum(axis=1) ** 2 / per_row).sum())
    columns_alone = float((y.sum(axis=0) ** 2 / per_column).sum())
    residual = float((y**2).sum()) - columns_alone - rows_given_columns
    columns_given_rows = columns_alone + rows_given_columns - rows_alone
    lost = rows - 1 - rank  # constants that the missing cells leave tangled with the columns
    df = np.array([rank, columns - 1 - lost, n - columns - rank], dtype=np.float64)
    design = np.array([[n - columns, 0.0, df[0]], [0.0, n - rows, df[1]], [0.0, 0.0, df[2]]])
    return np.maximum([rows_given_columns, columns_given_rows, residual], 0.0), df, design


def _moments_as_mean_squares(
    tables: Sequence[Array], effects: list[tuple[int, ...]]
) -> tuple[Array, Array, Array]:
    """Solve the components by moments and write them as the sums of squares they imply.

    The implied mean squares use the harmonic mean of the cells per level, as in the method of
    unweighted means: they carry the estimates exactly and the intervals approximately.
    """
    parts = [_moments(table, effects) for table in tables]
    left, right = np.sum([p[0] for p in parts], axis=0), np.sum([p[1] for p in parts], axis=0)
    scale = np.maximum(np.abs(left).max(axis=1, keepdims=True), 1.0)
    if np.linalg.matrix_rank(left / scale) < len(effects):
        raise InputError(
            "The missing cells leave the factors tangled (for example, every seed has its own "
            "steps). Compare at common steps, or average over the steps first."
        )
    components = np.linalg.solve(left, right)
    design = np.sum([p[2] for p in parts], axis=0)
    df = np.sum([p[3] for p in parts], axis=0)
    squares = np.maximum(design @ components, 0.0)
    return squares, df, design


def _moments(table: Array, effects: list[tuple[int, ...]]) -> tuple[Array, Array, Array, Array]:
    """Return coefficients and within-group sums of squares, and the implied balanced design."""
    codes = np.nonzero(np.isfinite(table))
    y = table[codes] - np.nanmean(table)
    n = len(y)
    groups = {effect: _group(codes, table.shape, effect) for effect in [(), *effects]}
    left, right = np.zeros((len(effects),) * 2), np.zeros(len(effects))
    for i, u in enumerate([(), *effects[:-1]]):
        label, size = groups[u]
        sums = np.bincount(label, y, len(size))
        right[i] = (y * y).sum() - (sums**2 / size).sum()
        for j, v in enumerate(effects):
            union = tuple(sorted(set(u) | set(v)))
            inner, inner_size = groups[union]
            outer_size = np.zeros(len(inner_size))
            outer_size[inner] = size[label]
            left[i, j] = n - (inner_size**2 / outer_size).sum()
    per_level = {
        effect: len(groups[effect][1]) / (1 / groups[effect][1]).sum() for effect in effects
    }
    levels = np.array([len(np.unique(code)) for code in codes], dtype=np.float64)
    df = np.array([np.prod(levels[list(effect)] - 1) for effect in effects])
    df[-1] = max(n - 1 - df[:-1].sum(), 1.0)
    design = np.array([
        [df[i] * per_level[v] if set(u) <= set(v) else 0.0 for v in effects]
        for i, u in enumerate(effects)
    ])  # fmt: skip
    return left, right, design, df


def _group(
    codes: tuple[NDArray[np.intp], ...], shape: tuple[int, ...], effect: tuple[int, ...]
) -> tuple[NDArray[np.intp], Array]:
    """Return the group of each cell for a subset of factors, and the size of each group."""
    if not effect:
        return np.zeros(len(codes[0]), dtype=np.intp), np.array([float(len(codes[0]))])
    flat = np.ravel_multi_index([codes[a] for a in effect], [shape[a] for a in effect])
    counts = np.bincount(flat)
    compact = np.cumsum(counts > 0) - 1
    return compact[flat], counts[counts > 0].astype(np.float64)


def combination_interval(
    weights: Array, mean_squares: Array, df: Array, confidence_level: float = 0.95
) -> tuple[float, float]:
    """Return the modified large-sample interval of `weights @ mean_squares`.

    Ting, Burdick, Graybill, Jeyaratnam and Lu 1990 (J. Statist. Comput. Simul. 35:135), which
    holds its level where some weights are negative; Satterthwaite's interval does not.
    """
    tail = (1 - confidence_level) / 2
    used = (weights != 0) & (mean_squares > 0)
    w, nu = (weights * mean_squares)[used], df[used]
    estimate = float(w.sum())
    below = _mls_variance(w[w > 0], nu[w > 0], -w[w < 0], nu[w < 0], tail)
    above = _mls_variance(-w[w < 0], nu[w < 0], w[w > 0], nu[w > 0], tail)
    return estimate - np.sqrt(max(below, 0.0)), estimate + np.sqrt(max(above, 0.0))


def _mls_variance(plus: Array, nu: Array, minus: Array, eta: Array, tail: float) -> float:
    """Return the squared lower half-width of sum(plus) - sum(minus)."""
    g = 1 - nu / special.chdtri(nu, tail)  # 1 - 1/F with infinite second df
    h = eta / special.chdtri(eta, 1 - tail) - 1
    total = float((g**2 * plus**2).sum() + (h**2 * minus**2).sum())
    for q in range(len(plus)):
        for r in range(len(minus)):
            f = special.fdtri(nu[q], eta[r], 1 - tail)
            cross = ((f - 1) ** 2 - g[q] ** 2 * f**2 - h[r] ** 2) / f
            total += cross * plus[q] * minus[r]
        for t in range(q + 1, len(plus)):
            both = nu[q] + nu[t]
            joint = (1 - both / special.chdtri(both, tail)) ** 2 * both**2 / (nu[q] * nu[t])
            star = (joint - g[q] ** 2 * nu[q] / nu[t] - g[t] ** 2 * nu[t] / nu[q]) / (len(plus) - 1)
            total += star * plus[q] * plus[t]
    return total
