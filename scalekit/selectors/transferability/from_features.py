"""Measures from features and labels: H-score (and regularised), LogME, TransRate, TMI."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma

NEIGHBOUR, NEAREST = 3, 1.0  # of TMI: which neighbour, and the least distance counted
DISTORTION = 1e-4  # of TransRate
PAIRS = 4_000_000  # distances held at once


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Return (n, classes) of zeros and ones for labels numbered from 0."""
    return np.asarray(np.eye(labels.max() + 1)[labels])


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """Return tr(cov(f)^-1 cov(E[f|y])): the share of feature variance that classes explain.

    Source: Bao et al. 2019, "An information-theoretic approach to transferability", eq. 4.
    """
    centred = features - features.mean(axis=0)
    between = _class_means(centred, labels)
    inverse = np.linalg.pinv(centred.T @ centred / len(features), rcond=1e-15, hermitian=True)
    return float(np.trace(inverse @ (between.T @ between / len(features))))


def regularised_h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the H-score with the covariance shrunk by Ledoit and Wolf's rule, for n below d.

    Source: Ibrahim et al. 2022, "Newer is not always better"; the class part is scaled by one
    minus the shrinkage.
    """
    from sklearn.covariance import ledoit_wolf

    centred = features - features.mean(axis=0)
    covariance, shrinkage = ledoit_wolf(centred, assume_centered=True)
    between = _class_means(centred, labels) * np.sqrt(1 - shrinkage)
    inverse = np.linalg.pinv(covariance, rcond=1e-15, hermitian=True)
    return float(np.trace(inverse @ (between.T @ between / len(features))))


def _class_means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean of its class for each row."""
    hot = one_hot(labels)
    return np.asarray(hot @ ((hot.T @ features) / hot.sum(axis=0)[:, None]))


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the largest log evidence of Bayesian linear regression on each class, mean per row.

    One target a class (1 against 0), prior precision and noise by MacKay's fixed point. The
    directions in which the features have no variance carry no evidence (they are left out of the
    published code's determinant too, but not of its prior term; here they cancel).
    Source: You et al. 2021, eq. 2 to 5.
    """
    left, size, _ = np.linalg.svd(features, full_matrices=False)
    known = size > size[0] * max(features.shape) * np.finfo(float).eps
    projected = left[:, known].T @ one_hot(labels)  # (rank, classes)
    total = (one_hot(labels) ** 2).sum(axis=0)
    return float(np.mean([
        _evidence(size[known] ** 2, projected[:, k] ** 2, float(total[k]), len(features))
        for k in range(projected.shape[1])
    ])) / len(features)  # fmt: skip


def _evidence(spectrum: np.ndarray, power: np.ndarray, total: float, rows: int) -> float:
    """Return the log evidence at the best precisions alpha (weights) and beta (noise)."""
    outside = max(total - power.sum(), 0.0)
    alpha = beta = 1.0
    for _ in range(200):
        ratio = alpha / beta
        freedom = float(np.sum(spectrum / (spectrum + ratio)))
        weight = float(np.sum(spectrum * power / (spectrum + ratio) ** 2))
        miss = outside + float(np.sum(power * (ratio / (spectrum + ratio)) ** 2))
        alpha, beta = freedom / max(weight, 1e-12), (rows - freedom) / max(miss, 1e-12)
        if abs(alpha / beta - ratio) <= 1e-10 * ratio:
            break
    return float(
        0.5 * len(spectrum) * np.log(alpha) + 0.5 * rows * np.log(beta)
        - 0.5 * np.sum(np.log(alpha + beta * spectrum)) - 0.5 * beta * miss - 0.5 * alpha * weight
        - 0.5 * rows * np.log(2 * np.pi)
    )  # fmt: skip


def transrate(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the coding rate of all features less the mean rate within classes, in nats.

    R(f) = logdet(1 + f'f / (n eps)) / 2 of the centred features. Source: Huang et al. 2022, eq. 4.
    """
    centred = features - features.mean(axis=0)
    classes = [_rate(centred[labels == k]) for k in np.unique(labels)]
    return _rate(centred) - float(np.mean(classes))


def _rate(features: np.ndarray) -> float:
    rows, wide = features.shape
    gram = features.T @ features if wide <= rows else features @ features.T
    return 0.5 * float(np.linalg.slogdet(np.eye(len(gram)) + gram / (rows * DISTORTION))[1])


def tmi(features: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the conditional entropy H(features | class) in nats, and each row's radius.

    Kozachenko and Leonenko's estimate by the third neighbour of the own class in the largest
    coordinate, radii of at least 1; classes of fewer than two rows count as 0. The sum over
    classes, weighted by their shares (the published code divides by their number besides, which
    orders the same). Depends on the features' scale. Source: Xu & Kang 2023, "Fast and accurate
    transferability measurement by evaluating intra-class feature variance".
    """
    centred = features - features.mean(axis=0)
    radius = np.zeros(len(features))
    entropy = 0.0
    for k in np.unique(labels):
        mine = np.flatnonzero(labels == k)
        if len(mine) < 2:
            continue
        nearest = min(NEIGHBOUR, len(mine) - 1)
        radius[mine] = np.maximum(_neighbour(centred[mine], nearest), NEAREST)
        part = -digamma(nearest) + digamma(len(mine))
        part += features.shape[1] * float(np.mean(np.log(2 * radius[mine])))
        entropy += len(mine) / len(features) * float(part)
    return entropy, radius


def _neighbour(rows: np.ndarray, which: int) -> np.ndarray:
    """Return the distance, in the largest coordinate, to the `which`-th neighbour of each row."""
    from scipy.spatial.distance import cdist

    found = np.empty(len(rows))
    step = max(1, PAIRS // len(rows))
    for start in range(0, len(rows), step):
        part = cdist(rows[start : start + step], rows, "chebyshev")
        found[start : start + step] = np.partition(part, which, axis=1)[:, which]
    return found
