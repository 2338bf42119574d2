"""Measures from a source model's predictions on the target: LEEP and NCE."""

from __future__ import annotations

import numpy as np

from scalekit.selectors.transferability.from_features import one_hot


def leep(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean log likelihood of labels under the empirical predictor.

    `predictions` (n, source classes) are probabilities; P(y|z) comes from their joint with the
    labels, and P(y|x) = sum_z P(y|z) p(z|x). Source: Nguyen et al. 2020, eq. 2.
    """
    joint = one_hot(labels).T @ predictions / len(labels)  # (classes, source classes)
    marginal = joint.sum(axis=0)
    given = joint / np.where(marginal > 0, marginal, 1.0)
    return float(np.mean(np.log((predictions @ given.T)[np.arange(len(labels)), labels])))


def nce(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return minus the entropy of labels given the predicted source class, in nats.

    Source: Tran et al. 2019, eq. 5.
    """
    hard = predictions.argmax(axis=1)
    joint = one_hot(labels).T @ np.eye(predictions.shape[1])[hard] / len(labels)
    marginal = np.broadcast_to(joint.sum(axis=0), joint.shape)
    there = joint > 0
    return float(np.sum(joint[there] * np.log(joint[there] / marginal[there])))
