"""A surface over mixtures and sizes: few terms, shrunk as much as the pilots ask for.

The (log) error is linear in groups of terms: shares, products of shares, the distance; each
group acts on the height of the curve and on its slope in log samples, and what remains is an
effect of each mixture. How large a group may be is not known: its variance, relative to the
noise, is drawn log-uniformly, and draws are weighted by their marginal likelihood. So twelve
pilots give a flat surface with a shared exponent, and sixty a bent one, without a switch.

Source of the method: Bayesian linear model with flat priors on intercept and shared slope,
Gelman et al., Bayesian Data Analysis (3rd ed.), chapters 14 and 15.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GROUP_RANGE = (-1.0, 3.0)  # log10 of a group's variance relative to the noise of one run
EFFECT_RANGE = (-2.0, 2.0)


@dataclass(frozen=True)
class Design:
    """`columns` (r, q): fixed terms first (group -1), then the groups; scaled on the pilots."""

    columns: np.ndarray
    group: np.ndarray

    @property
    def n_groups(self) -> int:
        """The number of shrunk groups."""
        return int(self.group.max(initial=-1)) + 1


@dataclass(frozen=True)
class Posterior:
    """Weighted draws of the variances and, given each, the Gaussian posterior of the terms.

    `means` (B, q), `roots` (B, q, q) with covariance roots @ roots.T times the noise variance,
    `rss` (B,) on `free` degrees of freedom, `effect` (B,) the mixture effect's relative variance,
    `weight` (B,) summing to one.
    """

    means: np.ndarray
    roots: np.ndarray
    rss: np.ndarray
    free: int
    effect: np.ndarray
    weight: np.ndarray
    evidence: float

    @property
    def centre(self) -> np.ndarray:
        """The mean of the terms over all draws, shape (q,)."""
        result: np.ndarray = self.weight @ self.means
        return result

    @property
    def shrinkage(self) -> float:
        """The mean relative variance of the mixture effect."""
        return float(self.weight @ self.effect)


def draw_variances(
    n_groups: int, count: int, with_effect: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return draws of the groups' variances (count, n_groups) and of the effect's (count,)."""
    groups = 10 ** rng.uniform(*GROUP_RANGE, size=(count, n_groups))
    effect = 10 ** rng.uniform(*EFFECT_RANGE, size=count) if with_effect else np.zeros(count)
    return groups, effect


def fit_surface(
    design: Design,
    y: np.ndarray,
    count: np.ndarray,
    which: np.ndarray,
    variances: tuple[np.ndarray, np.ndarray],
) -> Posterior:
    """Return the posterior of the terms for y (r,), each the mean of `count` runs.

    `which` (r,) names the mixture of each row, for the mixture effect.
    """
    groups, effect = variances
    n, fixed = len(y), int((design.group < 0).sum())
    both = np.column_stack([design.columns, y])
    # mixture effects are integrated out: N^-1 = D - D 1 (1/tau + 1'D1)^-1 1'D in each mixture
    _, place = np.unique(which, return_inverse=True)
    sums = np.zeros((place.max() + 1, both.shape[1]))
    np.add.at(sums, place, both * count[:, None])
    total = np.bincount(place, weights=count)
    shrink = effect[:, None] / (1 + effect[:, None] * total)
    gram = (both * count[:, None]).T @ both - np.einsum("tg,gi,gj->tij", shrink, sums, sums)
    precision = np.where(
        design.group < 0, 0.0, 1 / groups[:, np.maximum(design.group, 0)]
    ) if groups.shape[1] else np.zeros((len(effect), len(design.group)))  # fmt: skip
    matrix = gram[:, :-1, :-1] + np.eye(len(design.group)) * precision[:, None, :]
    right = gram[:, :-1, -1]
    lower = np.linalg.cholesky(matrix)
    roots = np.linalg.inv(lower).transpose(0, 2, 1)
    means = np.einsum("tij,tkj,tk->ti", roots, roots, right, optimize=True)
    rss = np.maximum(gram[:, -1, -1] - np.einsum("ti,ti->t", means, right), 1e-300)
    shrunk = precision[:, design.group >= 0]
    log_evidence = (
        -0.5 * (n - fixed) * np.log(rss)
        - np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
        + 0.5 * np.log(shrunk).sum(axis=1)
        - 0.5 * np.log1p(effect[:, None] * total).sum(axis=1)
    )
    weight = np.exp(log_evidence - log_evidence.max())
    evidence = float(log_evidence.max() + np.log(weight.mean()))
    return Posterior(means, roots, rss, max(n - fixed, 1), effect, weight / weight.sum(), evidence)


def predictive(
    posterior: Posterior, columns: np.ndarray, y: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors of prediction (r,) and the log predictive density of each held-out row.

    Rows are of new mixtures: the effect of each counts as noise.
    """
    from scipy.special import logsumexp

    means = posterior.means @ columns.T
    spread = (np.einsum("ri,tij->trj", columns, posterior.roots) ** 2).sum(axis=2)
    noise = (posterior.rss / posterior.free)[:, None]
    variance = noise * (spread + posterior.effect[:, None] + 1 / count)
    density = -0.5 * (np.log(2 * np.pi * variance) + (y - means) ** 2 / variance)
    joint = logsumexp(density, axis=0, b=posterior.weight[:, None])
    return y - posterior.weight @ means, joint


def draw_terms(
    posterior: Posterior, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return draws of the terms (count, q), the noise sd of one run (count,), the effect sd."""
    pick = rng.choice(len(posterior.weight), size=count, p=posterior.weight)
    sigma = np.sqrt(posterior.rss[pick] / rng.chisquare(posterior.free, size=count))
    normal = rng.normal(size=(count, posterior.means.shape[1]))
    terms = posterior.means[pick] + sigma[:, None] * np.einsum(
        "tij,tj->ti", posterior.roots[pick], normal
    )
    return terms, sigma, sigma * np.sqrt(posterior.effect[pick])
