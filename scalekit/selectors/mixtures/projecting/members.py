"""One member of the projection: a distance family, its fit, its draws, its score in CV."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalekit.errors import InputError
from scalekit.selectors.mixtures.projecting.distances import DistanceTable
from scalekit.selectors.mixtures.projecting.pilots import Pilots
from scalekit.selectors.mixtures.projecting.published import (
    least_squares,
    log_weights,
    stage_one_features,
)
from scalekit.selectors.mixtures.projecting.surface import (
    Design,
    draw_terms,
    draw_variances,
    fit_surface,
    predictive,
)
from scalekit.selectors.mixtures.projecting.terms import Terms

VARIANCE_DRAWS, CV_DRAWS, KEPT = 400, 150, 40
MOST_FOLDS = 24
BOOTSTRAP = 1000


@dataclass(frozen=True)
class Member:
    """A fitted member: `centre` (q,) and `effects` (u,) give the point prediction.

    `terms` (D, q), `sigma` (D,), `effect` (D,) are posterior draws, made under the draw
    `of_draw` (D,) of the disclosed samples. `weight` is its share in the projection, from the
    log predictive densities `density` (r,) of the pilots when their mixtures are held out.
    """

    name: str
    form: str
    table: DistanceTable | None
    scaling: Terms
    centre: np.ndarray
    effects: np.ndarray
    terms: np.ndarray
    sigma: np.ndarray
    effect: np.ndarray
    of_draw: np.ndarray
    density: np.ndarray
    cv_error: float
    cv_r2: float
    alone_r2: float
    weight: float = 1.0

    def distance(self, mixtures: np.ndarray, draws: np.ndarray) -> np.ndarray | None:
        """Return the distances (len(draws), k), or None for the member without any."""
        return None if self.table is None else self.table.at(mixtures, draws)

    def columns(
        self, mixtures: np.ndarray, log_samples: np.ndarray, draws: np.ndarray
    ) -> list[np.ndarray]:
        """Return the design (k, q) under each of the given draws of the disclosed samples."""
        distance = self.distance(mixtures, draws)
        return [
            self.scaling.design(
                mixtures, None if distance is None else distance[row], log_samples
            ).columns
            if self.form == "surface"
            else published_columns(self, mixtures, distance, row, log_samples)
            for row in range(len(draws))
        ]


def response(pilots: Pilots) -> np.ndarray:
    """Return what is fitted: the log error with several sizes, the error itself with one."""
    return np.log(pilots.error) if len(pilots.sizes) > 1 else pilots.error


def fit_member(
    name: str, table: DistanceTable | None, pilots: Pilots, draws: int, rng: np.random.Generator
) -> Member:
    """Return the surface member for one distance family, or for none."""
    mixtures, logs = pilots.mixtures[pilots.which], np.log(pilots.samples)
    y = response(pilots)
    every = None if table is None else table.at(pilots.mixtures)[:, pilots.which]
    scaling = Terms.from_pilots(mixtures, None if every is None else every[0], logs)
    design = scaling.design(mixtures, None if every is None else every[0], logs)
    variances = draw_variances(design.n_groups, VARIANCE_DRAWS, scaling.with_sizes, rng)
    posterior = fit_surface(design, y, pilots.count, pilots.which, variances)
    keep = rng.choice(VARIANCE_DRAWS, size=KEPT, p=posterior.weight)
    kept = (variances[0][keep], variances[1][keep])
    replicates = 1 if every is None else len(every)
    parts = []
    for row in range(replicates):
        drawn = scaling.design(mixtures, None if every is None else every[row], logs)
        local = fit_surface(drawn, y, pilots.count, pilots.which, kept)
        parts.append(draw_terms(local, max(1, draws // replicates), rng))
    terms, sigma, effect = (np.concatenate(part) for part in zip(*parts, strict=True))
    scores = cross_validate(design, pilots, y, rng)
    means = posterior.means @ design.columns.T
    return Member(
        name, "surface", table, scaling, posterior.centre,
        _effects(posterior.effect, posterior.weight, y - means, pilots),
        terms, sigma, effect, np.repeat(np.arange(replicates), max(1, draws // replicates)),
        *scores, alone_r2(None if every is None else every[0], pilots, y),
    )  # fmt: skip


def _effects(
    effect: np.ndarray, weight: np.ndarray, residual: np.ndarray, pilots: Pilots
) -> np.ndarray:
    """Return the mean effect of each pilot mixture, averaged over the variance draws (u,)."""
    total = np.bincount(pilots.which, weights=pilots.count)
    sums = np.stack([np.bincount(pilots.which, weights=row * pilots.count) for row in residual])
    shrink = effect[:, None] / (1 + effect[:, None] * total)
    result: np.ndarray = weight @ (shrink * sums)
    return result


def folds(pilots: Pilots, rng: np.random.Generator) -> list[np.ndarray]:
    """Return masks of held-out rows: whole mixtures, one each or in at most 24 folds."""
    count = len(pilots.mixtures)
    fold = rng.permutation(count) % min(count, MOST_FOLDS)
    return [fold[pilots.which] == k for k in range(min(count, MOST_FOLDS))]


def cross_validate(
    design: Design, pilots: Pilots, y: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float, float]:
    """Return (log predictive densities (r,), RMSE, R^2) on mixtures held out."""
    fold_rng = np.random.default_rng(0)  # the same folds for every member
    variances = draw_variances(design.n_groups, CV_DRAWS, len(pilots.sizes) > 1, rng)
    errors, density = np.empty(len(y)), np.empty(len(y))
    for held in folds(pilots, fold_rng):
        if len(pilots.sizes) > 1 and np.ptp(pilots.samples[~held]) == 0:
            raise InputError(
                f"All but {len(np.unique(pilots.which[held]))} of {len(pilots.mixtures)} pilot "
                f"mixtures were run at {pilots.samples[~held][0]:g} samples only, too few to "
                "cross-validate how the error falls. Run three or more mixtures at a second size."
            )
        part = Design(design.columns[~held], design.group)
        fitted = fit_surface(part, y[~held], pilots.count[~held], pilots.which[~held], variances)
        errors[held], density[held] = predictive(
            fitted, design.columns[held], y[held], pilots.count[held]
        )
    baseline = _size_only_errors(pilots, y)
    return (
        density,
        float(np.sqrt(np.mean(errors**2))),
        float(1 - (errors**2).sum() / (baseline**2).sum()),
    )


def alone_r2(distance: np.ndarray | None, pilots: Pilots, y: np.ndarray) -> float:
    """Return the cross-validated R^2 of a straight line in the distance alone."""
    if distance is None or np.ptp(distance) <= 1e-9 * np.abs(distance).max():
        return 0.0  # alike for all mixtures, it says nothing; rounding must not say otherwise
    errors = _held_out_errors(distance[:, None], pilots, y)
    return float(1 - (errors**2).sum() / (_size_only_errors(pilots, y) ** 2).sum())


def _size_only_errors(pilots: Pilots, y: np.ndarray) -> np.ndarray:
    return _held_out_errors(np.empty((len(y), 0)), pilots, y)


def _held_out_errors(extra: np.ndarray, pilots: Pilots, y: np.ndarray) -> np.ndarray:
    # a parabola in log samples, not a mean a size: sizes that no other mixture has are predicted
    logs = np.log(pilots.samples)
    scaled = (logs - logs.mean()) / (np.ptp(logs) or 1.0)
    sizes = scaled[:, None] ** np.arange(min(len(pilots.sizes), 3))
    columns, errors = np.column_stack([sizes, extra]), np.empty(len(y))
    for held in folds(pilots, np.random.default_rng(0)):
        found = np.linalg.lstsq(columns[~held], y[~held], rcond=None)[0]
        errors[held] = y[held] - columns[held] @ found
    return errors


def weigh(members: list[Member], pilots: Pilots) -> list[Member]:
    """Return the members with weights from their predictive densities: pseudo-BMA+.

    The sums of log densities are themselves noisy; a Bayesian bootstrap over the mixtures
    averages over that, so that few pilots do not bet all on one distance.
    Source: Yao, Vehtari, Simpson, Gelman, Bayesian Analysis 2018, section 3.4.
    """
    density = np.stack([_of_mixture(member.density, pilots) for member in members])
    count = density.shape[1]
    shares = np.random.default_rng(0).dirichlet(np.ones(count), size=BOOTSTRAP) * count
    totals = shares @ density.T
    weights = np.exp(totals - totals.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = weights.mean(axis=0)
    return [replace(m, weight=float(w)) for m, w in zip(members, mean, strict=True)]


def _of_mixture(density: np.ndarray, pilots: Pilots) -> np.ndarray:
    return np.bincount(pilots.which, weights=density, minlength=len(pilots.mixtures))


def fit_published(
    form: str, table: DistanceTable, pilots: Pilots, draws: int, rng: np.random.Generator
) -> Member:
    """Return the published model: least squares at the smallest and the largest size.

    Fitted on the metric's scale; draws are the Gaussian posterior of least squares.
    """
    y, parts, sigma = pilots.error, [], np.zeros(0)
    distance = table.at(pilots.mixtures, np.array([0]))[0][pilots.which]
    low, high = pilots.sizes[0], pilots.sizes[-1]
    sizes = [low, high] if low < high else [low]
    for size in sizes:
        rows = pilots.samples == size
        columns = stage_one_features(pilots.mixtures[pilots.which[rows]], distance[rows], form)
        needed = np.linalg.matrix_rank(columns, tol=1e-10 * np.linalg.norm(columns, 2)) + 1
        if len(columns) < needed:
            raise InputError(
                f"The form '{form}' has as many coefficients as there are pilot mixtures at "
                f"{size:g} samples ({len(columns)}): no error is left to make an interval from. "
                "Add mixtures there, or use form='surface'."
            )
        centre, root, free = least_squares(columns, y[rows])
        scale = np.sqrt(free / rng.chisquare(free, size=draws))
        normal = rng.normal(size=(draws, root.shape[1])) * scale[:, None]
        residual = y[rows] - columns @ centre
        sigma = np.sqrt(residual @ residual / free) * scale
        parts.append((centre, centre + normal @ root.T))
    logs = np.log(pilots.samples)
    scaling = Terms(np.array(sizes), np.empty(0), float(logs.mean()), len(sizes) > 1, True)
    return Member(
        table.name, form, table, scaling,
        np.concatenate([centre for centre, _ in parts]), np.zeros(len(pilots.mixtures)),
        np.concatenate([terms for _, terms in parts], axis=1), sigma, np.zeros(draws),
        np.zeros(draws, dtype=int), np.zeros(len(pilots.error)), np.nan, np.nan,
        alone_r2(distance, pilots, y),
    )  # fmt: skip


def published_columns(
    member: Member,
    mixtures: np.ndarray,
    distance: np.ndarray | None,
    row: int,
    log_samples: np.ndarray,
) -> np.ndarray:
    """Return stage 1 columns times the weights of the line in log N."""
    assert distance is not None
    columns = stage_one_features(mixtures, distance[row], member.form)
    if len(member.scaling.centre) == 1:
        return columns
    w0, w1 = log_weights(np.exp(log_samples), *member.scaling.centre)
    return np.column_stack([w0[:, None] * columns, w1[:, None] * columns])
