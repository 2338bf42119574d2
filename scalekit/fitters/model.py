"""A law made ready for fitting: values and derivatives in the solver's coordinates.

The solver works on a matrix `theta` of shape (batch, parameters). Strictly positive parameters
enter as their logarithm, which makes `A / N**alpha` an exponential of something linear; all
others enter as they are, with bounds. Scales are arrays of shape (rows,) or (batch, rows).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scalekit.fitters import expressions as ex
from scalekit.fitters.derivatives import derivative
from scalekit.fitters.expressions import Expr
from scalekit.fitters.formula import linear_names
from scalekit.fitters.tape import Tape

Scales = Mapping[str, np.ndarray]
Pairs = dict[tuple[int, int], np.ndarray]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a law: its bounds, where to start it, whether it is fitted as a log.

    `start` is the range of starting values. With `scale` it is counted in units of that scale:
    0 is the smallest value in the data, 1 the largest, on a log axis. With `inverse` too, the
    parameter is compared with 1/scale. The scales `smallest_loss` and `largest_loss` count it in
    multiples of these.
    """

    name: str
    lower: float = 0.0
    upper: float = np.inf
    start: tuple[float, float] = (0.05, 1.5)
    log: bool = False
    scale: str | None = None
    inverse: bool = False

    @property
    def fixed(self) -> bool:
        """True where both bounds are equal: the parameter is not fitted."""
        return self.lower == self.upper


class Model(Protocol):
    """What the solver needs of a law."""

    parameters: tuple[Parameter, ...]
    linear: tuple[str, ...]

    def value(self, theta: np.ndarray, scales: Scales) -> np.ndarray:
        """Return the predictions, of shape (batch, rows)."""
        ...

    def derivatives(
        self, theta: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, list[np.ndarray], Pairs]:
        """Return predictions, first derivatives, and the second derivatives that are not 0."""
        ...

    def columns(self, theta: np.ndarray, scales: Scales) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the constant part and the columns of the parameters named in `linear`."""
        ...


def _columns_of(theta: np.ndarray, parameters: Sequence[Parameter]) -> dict[str, np.ndarray]:
    return {parameter.name: theta[:, [k]] for k, parameter in enumerate(parameters)}


class ExplicitModel:
    """A law that gives the loss by a formula."""

    def __init__(self, expr: Expr, parameters: Sequence[Parameter]) -> None:
        self.parameters = tuple(parameters)
        names = [parameter.name for parameter in self.parameters]
        self.linear = linear_names(expr, names)
        logs = {p.name: ex.call("exp", ex.symbol(p.name)) for p in self.parameters if p.log}
        inner = ex.substitute(expr, logs)
        first = [derivative(inner, name) for name in names]
        second = {
            (i, j): derivative(first[i], names[j])
            for i in range(len(names))
            for j in range(i, len(names))
        }
        self._pairs = [pair for pair, entry in second.items() if entry != ex.ZERO]
        self._value = Tape([inner])
        self._all = Tape([inner, *first, *[second[pair] for pair in self._pairs]])
        rest = ex.substitute(expr, dict.fromkeys(self.linear, ex.ZERO))
        self._columns = Tape([rest, *[derivative(expr, name) for name in self.linear]])

    def value(self, theta: np.ndarray, scales: Scales) -> np.ndarray:
        """Return the predictions, of shape (batch, rows)."""
        return np.asarray(self._value({**scales, **_columns_of(theta, self.parameters)})[0])

    def derivatives(
        self, theta: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, list[np.ndarray], Pairs]:
        """Return predictions, first derivatives, and the second derivatives that are not 0."""
        found = self._all({**scales, **_columns_of(theta, self.parameters)})
        count = len(self.parameters)
        second = dict(zip(self._pairs, found[1 + count :], strict=True))
        return np.asarray(found[0]), found[1 : 1 + count], second

    def columns(self, theta: np.ndarray, scales: Scales) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the constant part and the columns of the parameters named in `linear`."""
        natural = to_natural(theta, self.parameters)
        found = self._columns({**scales, **_columns_of(natural, self.parameters)})
        return np.asarray(found[0]), [np.asarray(column) for column in found[1:]]


class ImplicitModel:
    """A law that gives the loss by an equation `g(loss, scales, parameters) = 0`.

    `g` must increase in the loss between `between` (two parameter names: floor and ceiling); the
    root is found by bisection and Newton steps, the derivatives by the implicit function theorem.
    """

    linear: tuple[str, ...] = ()

    def __init__(
        self, equation: Expr, parameters: Sequence[Parameter], between: tuple[str, str]
    ) -> None:
        self.parameters = tuple(parameters)
        self._between = between
        names = ["loss", *[parameter.name for parameter in self.parameters]]
        logs = {p.name: ex.call("exp", ex.symbol(p.name)) for p in self.parameters if p.log}
        inner = ex.substitute(equation, logs)
        first = [derivative(inner, name) for name in names]
        count = len(names)
        self._index = [(i, j) for i in range(count) for j in range(i, count)]
        second = [derivative(first[i], names[j]) for i, j in self._index]
        self._equation = Tape([inner, first[0]])
        # a parameter that only shifts the equation: its start follows from those of the others
        self._shifts = [k for k in range(count - 1) if first[k + 1] == ex.const(-1)]
        self._all = Tape([*first, *second])

    def _floor_and_ceiling(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        natural = _columns_of(to_natural(theta, self.parameters), self.parameters)
        return natural[self._between[0]], natural[self._between[1]]

    def value(self, theta: np.ndarray, scales: Scales) -> np.ndarray:
        """Return the root of the equation, of shape (batch, rows); NaN where there is none."""
        given = {**scales, **_columns_of(theta, self.parameters)}
        floor, ceiling = self._floor_and_ceiling(theta)
        rows = np.broadcast_shapes(*[np.shape(scale) for scale in scales.values()])
        shape = np.broadcast_shapes(floor.shape, rows)
        # in z = logit of the position between floor and ceiling the equation is nearly linear
        low, high = np.full(shape, -60.0), np.full(shape, 60.0)
        z = np.zeros(shape)
        for _ in range(80):
            share = 0.5 * (1 + np.tanh(0.5 * z))
            gap, slope = self._equation({**given, "loss": floor + (ceiling - floor) * share})
            low, high = np.where(gap < 0, z, low), np.where(gap < 0, high, z)
            with np.errstate(all="ignore"):
                step = z - gap / (slope * (ceiling - floor) * share * (1 - share))
            new = np.where((step > low) & (step < high), step, 0.5 * (low + high))
            settled = ~(np.abs(new - z) > 1e-12 * (1 + np.abs(z)))
            z = new
            if settled.all():
                break
        loss = floor + (ceiling - floor) * 0.5 * (1 + np.tanh(0.5 * z))
        return np.where(ceiling > floor, loss, np.nan)

    def derivatives(
        self, theta: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, list[np.ndarray], Pairs]:
        """Return the root, its first and its second derivatives in the parameters."""
        loss = self.value(theta, scales)
        given = {**scales, **_columns_of(theta, self.parameters), "loss": loss}
        found = self._all(given)
        count = len(self.parameters) + 1
        slope, *partial = found[:count]
        second = dict(zip(self._index, found[count:], strict=True))
        with np.errstate(all="ignore"):
            first = [-entry / slope for entry in partial]
            pairs = {
                (i, j): -(
                    second[i + 1, j + 1]
                    + second[0, i + 1] * first[j]
                    + second[0, j + 1] * first[i]
                    + second[0, 0] * first[i] * first[j]
                )
                / slope
                for i in range(count - 1)
                for j in range(i, count - 1)
            }
        return loss, first, pairs

    def centred(self, theta: np.ndarray, scales: Scales, target: np.ndarray) -> np.ndarray:
        """Return `theta` with the shift set so that the equation holds on average at `target`."""
        theta = theta.copy()
        for k in self._shifts[:1]:
            theta[:, k] = 0.0
            gap = self._equation({**scales, **_columns_of(theta, self.parameters), "loss": target})[
                0
            ]
            theta[:, k] = np.nanmean(np.where(np.isfinite(gap), gap, np.nan), axis=1)
        return theta

    def columns(self, theta: np.ndarray, scales: Scales) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the predictions and no columns: nothing is linear in an implicit law."""
        return self.value(theta, scales), []


def to_internal(natural: np.ndarray, parameters: Sequence[Parameter]) -> np.ndarray:
    """Return parameter values (batch, parameters) in the solver's coordinates."""
    theta = np.array(natural, dtype=float)
    for k, parameter in enumerate(parameters):
        if parameter.log:
            with np.errstate(all="ignore"):
                theta[..., k] = np.log(theta[..., k])
    return theta


def to_natural(theta: np.ndarray, parameters: Sequence[Parameter]) -> np.ndarray:
    """Return the solver's coordinates (batch, parameters) as parameter values."""
    natural = np.array(theta, dtype=float)
    for k, parameter in enumerate(parameters):
        if parameter.log:
            with np.errstate(all="ignore"):
                natural[..., k] = np.exp(natural[..., k])
    return natural


def bounds_of(parameters: Sequence[Parameter]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper bounds in the solver's coordinates."""
    lower = np.array([p.lower for p in parameters], dtype=float)
    upper = np.array([p.upper for p in parameters], dtype=float)
    low, high = to_internal(lower, parameters), to_internal(upper, parameters)
    return np.where(np.isnan(low), -np.inf, low), high
