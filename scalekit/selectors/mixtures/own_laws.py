"""A mixing law of one's own: a formula in the names of the sources."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scalekit.errors import FormulaError
from scalekit.fitters import expressions as ex
from scalekit.fitters.derivatives import derivative
from scalekit.fitters.law import Law
from scalekit.fitters.model import Parameter
from scalekit.fitters.tape import Tape
from scalekit.selectors.mixtures.terms import Point, Prior, Scales

SMALLEST_SHARE = 1e-9  # powers and logarithms of an absent source


class Formula:
    """A term that a formula says, such as "E + 1 / (a * web**p + b * code**q)".

    The language is that of `scalekit.Law`; names that are sources or scales are data, all others
    parameters. Losses are counted from the mean of the target and scales from theirs.
    """

    def __init__(self, formula: str, sources: Sequence[str], scales: Sequence[str]) -> None:
        """Make the term; raises FormulaError where the formula names no source."""
        self.sources = tuple(sources)
        self._law = Law("own", formula, scales=(*sources, *scales))
        if not ex.names_in(self._law.expr) & set(sources):
            raise FormulaError(
                f"The mixing law '{formula}' names none of the sources {', '.join(sources)}. "
                "Sources must be plain names to stand in a formula: rename the columns if not."
            )
        self.parameters: tuple[Parameter, ...] = self._law.parameters
        self.priors: tuple[Prior, ...] = tuple(map(_prior, self.parameters))
        logs = {p.name: ex.call("exp", ex.symbol(p.name)) for p in self.parameters if p.log}
        inner = ex.substitute(self._law.expr, logs)
        first = [derivative(inner, name) for name in sources]
        second = [derivative(slope, name) for slope in first for name in sources]
        self._in_shares = Tape([inner, *first, *second])

    def rows(
        self, theta: np.ndarray, shares: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values and slopes; see `Term`."""
        shape = (len(theta), shares.shape[1])
        value, slopes, _ = self._law.model.derivatives(theta, self._data(shares[0], scales))
        whole = np.stack([np.broadcast_to(slope, shape) for slope in slopes])
        return np.broadcast_to(value, shape), whole

    def point(self, theta: np.ndarray, shares: np.ndarray, scales: Scales) -> Point:
        """Return value, gradient and Hessian; see `Term`."""
        columns = {p.name: theta[:, k] for k, p in enumerate(self.parameters)}
        found = self._in_shares(self._data(shares, scales) | columns)
        batch, count = shares.shape
        value, *rest = [np.broadcast_to(entry, (batch,)) for entry in found]
        hessian = np.stack(rest[count:], axis=1).reshape(batch, count, count)
        return Point(value, np.stack(rest[:count], axis=1), hessian)

    def _data(self, shares: np.ndarray, scales: Scales) -> dict[str, np.ndarray]:
        columns = np.maximum(shares, SMALLEST_SHARE).T
        known = {name: np.asarray(value) for name, value in scales.items()}
        return known | dict(zip(self.sources, columns, strict=True))


def _prior(parameter: Parameter) -> Prior:
    """Return a wide prior about the middle of where the law starts a parameter."""
    low, high = parameter.start
    if parameter.log:
        middle = math.sqrt(low * high) if low > 0 else 1.0
        return Prior(math.log(middle), 3.0)
    return Prior((low + high) / 2, max(1.0, high - low))
