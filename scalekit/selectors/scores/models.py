"""Scores that compare trained models: PVI, disagreement, memorisation and influence, PA&DA."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from scalekit.errors import InputError


def pvi(p_true: np.ndarray, p_null: np.ndarray) -> np.ndarray:
    """Return pointwise V-information in bits: log2 p(y | x) - log2 p(y | nothing) [N].

    `p_true` is the probability that the model gives the label, `p_null` that of the model tuned
    on empty inputs; for several seeds give [S, N], whose mean is taken. Negative: the input makes
    the label less likely, which mislabelled examples do. Raises InputError outside (0, 1].
    Source: Ethayarajh et al. 2022, arXiv:2110.08420.

    >>> round(float(pvi(np.array([0.9]), np.array([1 / 3]))[0]), 5)
    1.43296
    """
    given, null = np.asarray(p_true, float), np.asarray(p_null, float)
    for name, values in (("p_true", given), ("p_null", null)):
        if not ((values >= 0) & (values <= 1)).all():
            raise InputError(f"{name} must hold probabilities in [0, 1].")
    tiny = np.finfo(float).tiny
    bits = np.log2(np.maximum(given, tiny)) - np.log2(np.maximum(null, tiny))
    return bits if bits.ndim == 1 else bits.mean(0)


def ensemble_difficulty(predictions: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return `ddd`, the share of models that are wrong, with its error, and `disagreement` [N].

    `predictions` [M, N] holds the class that each of M models says, `labels` [N] the truth.
    Disagreement is one less the share of the most frequent class. Sources: Meding et al. 2022
    (arXiv:2110.05922), Chitta et al. 2021 (arXiv:1905.12737).
    """
    votes, truth = np.asarray(predictions), np.asarray(labels)
    if votes.ndim != 2 or votes.shape[1] != len(truth):
        raise InputError(f"predictions must be [models, {len(truth)}]; got {votes.shape}.")
    wrong = (votes != truth).mean(0)
    ordered = np.sort(votes, axis=0)
    same = np.ones(votes.shape[1], int)
    run = np.ones(votes.shape[1], int)
    for before, after in pairwise(ordered):
        run = np.where(before == after, run + 1, 1)
        same = np.maximum(same, run)
    return {
        "ddd": wrong,
        "ddd_se": np.sqrt(wrong * (1 - wrong) / len(votes)),
        "disagreement": 1 - same / len(votes),
    }


@dataclass(frozen=True)
class Memorisation:
    """Memorisation of N training examples, and their influence on E other examples.

    `influence` [N, E] is None where there are none; `_se` are standard errors over models.
    """

    memorisation: np.ndarray
    memorisation_se: np.ndarray
    influence: np.ndarray | None
    influence_se: np.ndarray | None

    @property
    def influence_max(self) -> np.ndarray:
        """Largest influence of each training example [N]."""
        return self._influence().max(1)

    @property
    def influence_sum(self) -> np.ndarray:
        """Sum of absolute influences of each training example [N]."""
        return np.abs(self._influence()).sum(1)

    def _influence(self) -> np.ndarray:
        if self.influence is None:
            raise InputError("Give correct_elsewhere to get influences.")
        return self.influence


def memorisation(
    mask: np.ndarray, correct: np.ndarray, correct_elsewhere: np.ndarray | None = None,
    chunk: int = 4096,
) -> Memorisation:  # fmt: skip
    """Return memorisation and influence from models trained on random subsets.

    mask [M, N]: whether example i was in the training set of model m; correct [M, N]: whether
    model m is right on it; correct_elsewhere [M, E]: the same on other examples. A value is
    P[right | in] - P[right | out]; its standard error is that of two independent shares. Raises
    InputError where an example is in all or in none of the training sets.
    Source: Feldman & Zhang 2020, arXiv:2008.03703.
    """
    inside, right = np.asarray(mask, bool), np.asarray(correct, float)
    if inside.shape != right.shape or inside.ndim != 2:
        raise InputError(f"mask {inside.shape} and correct {right.shape} must both be [M, N].")
    n_in, n_out = inside.sum(0), (~inside).sum(0)
    stuck = np.flatnonzero((n_in == 0) | (n_out == 0))
    if len(stuck):
        raise InputError(
            f"{len(stuck)} examples, such as {stuck[:5].tolist()}, are in all or in none of the "
            "training sets, so nothing can be compared. Train more models, or leave them out."
        )
    p_in = (right * inside).sum(0) / n_in
    p_out = (right * ~inside).sum(0) / n_out
    own, own_se = difference(p_in, n_in, p_out, n_out)
    if correct_elsewhere is None:
        return Memorisation(own, own_se, None, None)
    elsewhere = np.asarray(correct_elsewhere, float)
    if len(elsewhere) != len(inside):
        raise InputError(f"correct_elsewhere must have {len(inside)} rows; got {len(elsewhere)}.")
    values, errors = [], []
    for first in range(0, inside.shape[1], chunk):
        some = slice(first, first + chunk)
        with_it = inside[:, some].T.astype(float) @ elsewhere / n_in[some, None]
        without = (~inside[:, some]).T.astype(float) @ elsewhere / n_out[some, None]
        value, error = difference(with_it, n_in[some, None], without, n_out[some, None])
        values.append(value)
        errors.append(error)
    return Memorisation(own, own_se, np.concatenate(values), np.concatenate(errors))


def difference(
    p: np.ndarray, n: np.ndarray, q: np.ndarray, m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return p - q and its standard error, for shares of n and m trials.

    A share of 0 or 1 does not mean certainty: errors use (k + 1/2) / (n + 1).
    """

    def variance(share: np.ndarray, count: np.ndarray) -> np.ndarray:
        smooth = (share * count + 0.5) / (count + 1)
        return smooth * (1 - smooth) / count

    return p - q, np.sqrt(variance(p, n) + variance(q, m))


def sampling_weights(norms: np.ndarray, tau: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return PA&DA's sampling probabilities and the loss weights that keep the mean unbiased.

    p_i = tau norms_i / sum + (1 - tau) / N with gradient norms or EL2N [N]; weights are
    1 / (N p_i). The published code leaves the weights out, so its gradient is biased towards
    large norms. Source: Lu et al. 2023, arXiv:2302.14772.
    """
    values = np.asarray(norms, float)
    if not 0 <= tau <= 1:
        raise InputError(f"tau must be in [0, 1]; got {tau}.")
    if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise InputError("norms must be finite, not negative and not all zero.")
    p = tau * values / values.sum() + (1 - tau) / len(values)
    with np.errstate(divide="ignore"):
        weights = np.where(p > 0, 1 / (len(values) * p), 0.0)
    return p, weights


def opposing_groups(
    losses: np.ndarray, step: int | None = None, k: int = 20
) -> dict[str, np.ndarray | int | float]:
    """Return the k examples whose loss rises, and the k whose loss falls, most in one step.

    losses [T, N] over training steps; `step` is the earlier step of the pair (by default the one
    with the widest spread of changes). `correlation` is that of the two groups' mean changes over
    all steps: near -1 where the groups oppose each other. Source: Rosenfeld & Risteski 2024,
    arXiv:2311.04163 (a description in words; the ranking by change of loss follows it).
    """
    table = np.asarray(losses, float)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 2 * k:
        raise InputError(f"losses must be [T >= 2, N >= {2 * k}]; got {table.shape}.")
    change = np.diff(table, axis=0)
    at = int(change.std(1).argmax()) if step is None else step
    if not 0 <= at < len(change):
        raise InputError(f"step must be 0 to {len(change) - 1}; got {at}.")
    order = np.argsort(change[at], kind="stable")
    falling, rising = order[:k], order[::-1][:k]
    up, down = change[:, rising].mean(1), change[:, falling].mean(1)
    together = np.corrcoef(up, down)[0, 1] if len(change) > 2 else np.nan
    return {"step": at, "rising": rising, "falling": falling, "correlation": float(together)}
