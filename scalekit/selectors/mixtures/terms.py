"""The parts that mixing laws are sums of, each with its derivatives in parameters and in shares.

A part is vectorised over sources: a law of 17 sources has 36 parameters, and the 666 second
derivatives of its formula's text would cost more than the fit. Every part but `JointPower` is
convex in the shares, so that their sum has one minimum under any linear limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from scalekit.fitters.model import Parameter

SMALLEST_EXPONENT = 0.02
LARGEST_PULL = 1000.0  # of exponential terms
SMALLEST_LOG = -70.0
SHARE_OFFSET = 1e-3  # BiMix takes powers of the shares, which have no value at zero
Scales = Mapping[str, np.ndarray]


class Prior(NamedTuple):
    """Where a parameter of a target divided by its mean is expected, in the solver's coordinates.

    Wide on purpose: it matters where the pilots say nothing.
    """

    location: float
    spread: float


class Point(NamedTuple):
    """A function of the shares at one point for each member: value, gradient, Hessian."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


class Term(Protocol):
    """One part of a mixing law.

    Shares have shape (1, rows, sources) in `rows` and (batch, sources) in `point`; scales have
    shape (rows,) and () or (batch,).
    """

    parameters: tuple[Parameter, ...]
    priors: tuple[Prior, ...]

    def rows(
        self, theta: np.ndarray, shares: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values (batch, rows) and slopes in the parameters (parameters, batch, rows)."""
        ...

    def point(self, theta: np.ndarray, shares: np.ndarray, scales: Scales) -> Point:
        """Return value, gradient and Hessian in the shares, one point a member of the batch."""
        ...


def _logs(shares: np.ndarray) -> np.ndarray:
    """Return logarithms; an absent source gets a number whose powers are zero."""
    return np.log(np.maximum(shares, 1e-300))


def _diagonals(values: np.ndarray) -> np.ndarray:
    """Return diagonal matrices (batch, n, n) with `values` (batch, n) on the diagonal."""
    return values[:, :, None] * np.eye(values.shape[1])


def _outer(values: np.ndarray) -> np.ndarray:
    return values[:, :, None] * values[:, None, :]


class Constant:
    """`E`: the loss that no mixture removes."""

    parameters: tuple[Parameter, ...] = (Parameter("E"),)
    priors: tuple[Prior, ...] = (Prior(0.6, 0.5),)

    def rows(
        self, theta: np.ndarray, shares: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values and slopes; see `Term`."""
        shape = (len(theta), shares.shape[1])
        return np.broadcast_to(theta[:, :1], shape), np.ones((1, *shape))

    def point(self, theta: np.ndarray, shares: np.ndarray, scales: Scales) -> Point:
        """Return value, gradient and Hessian; see `Term`."""
        batch, count = shares.shape
        return Point(theta[:, 0], np.zeros((batch, count)), np.zeros((batch, count, count)))


class Inverse:
    """`1 / (c + sum_i C_i h_i**gamma_i)`, the mixture term of Shukor et al. 2025.

    With every gamma at most one the sum is concave, so its inverse is convex.
    """

    def __init__(self, sources: Sequence[str], exponents: bool = True, label: str = "") -> None:
        """Make the term; parameters are named after the sources and scales."""
        self.count, self.exponents = len(sources), exponents
        level = -np.log(0.4)
        parameters = [Parameter(f"c{label}", log=True)]
        parameters += [Parameter(f"C{label}[{source}]", log=True) for source in sources]
        priors = [Prior(level - 2, 2.0)] + [Prior(level, 2.0)] * self.count
        if exponents:
            parameters += [
                Parameter(f"gamma{label}[{source}]", SMALLEST_EXPONENT, 1.0) for source in sources
            ]
            priors += [Prior(0.5, 0.5)] * self.count
        self.parameters, self.priors = tuple(parameters), tuple(priors)

    def _gamma(self, theta: np.ndarray) -> np.ndarray:
        if self.exponents:
            return theta[:, 1 + self.count :]
        return np.ones((len(theta), self.count))

    def rows(
        self, theta: np.ndarray, shares: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values and slopes; see `Term`."""
        m, gamma, logs = self.count, self._gamma(theta), _logs(shares)
        amounts = np.exp(theta[:, None, 1 : 1 + m] + gamma[:, None] * logs)
        floor = np.exp(theta[:, :1])
        value = 1 / (floor + amounts.sum(axis=2))
        square = value**2
        slopes = np.empty((theta.shape[1], *value.shape))
        slopes[0] = -square * floor
        pulls = -amounts * square[:, :, None]
        slopes[1 : 1 + m] = np.moveaxis(pulls, 2, 0)
        if self.exponents:
            slopes[1 + m :] = np.moveaxis(pulls * logs, 2, 0)
        return value, slopes

    def point(self, theta: np.ndarray, shares: np.ndarray, scales: Scales) -> Point:
        """Return value, gradient and Hessian; see `Term`."""
        gamma, logs = self._gamma(theta), _logs(shares)
        factor = theta[:, 1 : 1 + self.count]
        total = np.exp(theta[:, 0]) + np.exp(factor + gamma * logs).sum(axis=1)
        logs = np.maximum(logs, SMALLEST_LOG)  # slopes at zero are infinite; large will do
        first = gamma * np.exp(factor + (gamma - 1) * logs)
        second = (gamma - 1) * gamma * np.exp(factor + (gamma - 2) * logs)
        value, square = 1 / total, (1 / total**2)[:, None]
        hessian = 2 * _outer(first) / (total**3)[:, None, None] - _diagonals(second * square)
        return Point(value, -first * square, hessian)


class Exponential:
    """`exp(sum_i t_i h_i)`, the term of data mixing laws (Ye et al. 2025) and of Olmix.

    The factor in front is left out: since shares sum to one, it is a shift of all t.
    """

    def __init__(self, sources: Sequence[str], label: str = "") -> None:
        """Make the term; parameters are named after the sources and scales."""
        self.parameters = tuple(
            Parameter(f"t{label}[{source}]", -LARGEST_PULL, LARGEST_PULL) for source in sources
        )
        self.priors = (Prior(-2.0, 30.0),) * len(sources)

    def rows(
        self, theta: np.ndarray, shares: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values and slopes; see `Term`."""
        value = np.exp(theta @ shares[0].T)
        return value, shares[0].T[:, None, :] * value

    def point(self, theta: np.ndarray, shares: np.ndarray, scales: Scales) -> Point:
        """Return value, gradient and Hessian; see `Term`."""
        value = np.exp((theta * shares).sum(axis=1))
        return Point(value, theta * value[:, None], _outer(theta) * value[:, None, None])


class Powers:
    """`sum_i A_i / (h_i + 0.001)**alpha_i`, times `1 + B / tokens**beta` where there is a scale.

    The law of BiMix (Ge et al. 2024) summed over sources; the offset, which is ours, gives an
    absent source a finite loss.
    """

    def __init__(self, sources: Sequence[str], scale: str | None = None) -> None:
        """Make the term; parameters are named after the sources and scales."""
        self.count, self.scale = len(sources), scale
        parameters = [Parameter(f"A[{source}]", log=True) for source in sources]
        parameters += [Parameter(f"alpha[{source}]", 0.0, 5.0) for source in sources]
        level = -np.log(self.count)
        priors = [Prior(level, 2.0)] * self.count + [Prior(0.05, 0.3)] * self.count
        if scale:
            parameters += [Parameter("B", log=True), Parameter("beta", 0.0, 5.0)]
            priors += [Prior(-1.5, 2.0), Prior(0.4, 0.4)]
        self.parameters, self.priors = tuple(parameters), tuple(priors)

    def rows(
        self, theta: np.ndarray, shares: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values and slopes; see `Term`."""
        m, logs = self.count, np.log(shares + SHARE_OFFSET)
        parts = np.exp(theta[:, None, :m] - theta[:, None, m : 2 * m] * logs)
        value = parts.sum(axis=2)
        slopes = [np.moveaxis(parts, 2, 0), np.moveaxis(-parts * logs, 2, 0)]
        if self.scale is None:
            return value, np.concatenate(slopes)
        log_scale = np.log(scales[self.scale])
        decay = np.exp(theta[:, [2 * m]] - theta[:, [2 * m + 1]] * log_scale)
        grown = [part * (1 + decay) for part in slopes]
        last = np.stack([value * decay, -value * decay * log_scale])
        return value * (1 + decay), np.concatenate([*grown, last])

    def point(self, theta: np.ndarray, shares: np.ndarray, scales: Scales) -> Point:
        """Return value, gradient and Hessian; see `Term`."""
        m, base = self.count, shares + SHARE_OFFSET
        alpha = theta[:, m : 2 * m]
        parts = np.exp(theta[:, :m] - alpha * np.log(base))
        grown = np.ones(len(theta))
        if self.scale is not None:
            log_scale = np.log(scales[self.scale])
            grown = 1 + np.exp(theta[:, 2 * m] - theta[:, 2 * m + 1] * log_scale)
        parts = parts * grown[:, None]
        second = alpha * (alpha + 1) * parts / base**2
        return Point(parts.sum(axis=1), -alpha * parts / base, _diagonals(second))


class ScalePower:
    """`A / scale**alpha`: the same for all mixtures (scales are counted from their mean)."""

    def __init__(self, scale: str) -> None:
        """Make the term; parameters are named after the sources and scales."""
        self.scale = scale
        self.parameters: tuple[Parameter, ...] = (
            Parameter(f"A_{scale}", log=True),
            Parameter(f"alpha_{scale}", 0.0, 5.0),
        )
        self.priors: tuple[Prior, ...] = (Prior(-1.5, 2.0), Prior(0.4, 0.4))

    def rows(
        self, theta: np.ndarray, shares: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values and slopes; see `Term`."""
        log_scale = np.log(scales[self.scale])
        value = np.exp(theta[:, :1] - theta[:, 1:] * log_scale)
        return value, np.stack([value, -value * log_scale])

    def point(self, theta: np.ndarray, shares: np.ndarray, scales: Scales) -> Point:
        """Return value, gradient and Hessian; see `Term`."""
        batch, count = shares.shape
        value = np.exp(theta[:, 0] - theta[:, 1] * np.log(scales[self.scale]))
        return Point(value, np.zeros((batch, count)), np.zeros((batch, count, count)))


class JointPower:
    """`(sum_i a_i h_i)**g / scale**alpha`: the mixture changes what a scale is worth.

    The joint law of Shukor et al. 2025. Not convex where g is below one.
    """

    def __init__(self, sources: Sequence[str], scale: str) -> None:
        """Make the term; parameters are named after the sources and scales."""
        self.count, self.scale = len(sources), scale
        self.parameters = (
            *(Parameter(f"a_{scale}[{source}]", log=True) for source in sources),
            Parameter(f"g_{scale}", 0.0, 5.0),
            Parameter(f"alpha_{scale}", 0.0, 5.0),
        )
        self.priors = (*(Prior(-1.5, 1.0),) * self.count, Prior(1.0, 0.5), Prior(0.4, 0.4))

    def rows(
        self, theta: np.ndarray, shares: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values and slopes; see `Term`."""
        m, log_scale = self.count, np.log(scales[self.scale])
        weights, g = np.exp(theta[:, :m]), theta[:, [m]]
        inner = weights @ shares[0].T
        value = np.exp(g * np.log(inner) - theta[:, [m + 1]] * log_scale)
        slopes = np.empty((m + 2, *value.shape))
        slopes[:m] = shares[0].T[:, None, :] * weights.T[:, :, None] * (g * value / inner)
        slopes[m] = value * np.log(inner)
        slopes[m + 1] = -value * log_scale
        return value, slopes

    def point(self, theta: np.ndarray, shares: np.ndarray, scales: Scales) -> Point:
        """Return value, gradient and Hessian; see `Term`."""
        m = self.count
        weights, g = np.exp(theta[:, :m]), theta[:, m]
        inner = (weights * shares).sum(axis=1)
        value = inner**g * np.exp(-theta[:, m + 1] * np.log(scales[self.scale]))
        first, second = g * value / inner, g * (g - 1) * value / inner**2
        return Point(value, weights * first[:, None], _outer(weights) * second[:, None, None])
