"""A law: a formula of the loss in scales and parameters, and what its text says of them.

What the text does not say is inferred, and can be overridden by `parameters`: a constant term
(irreducible loss) is zero or more, a factor of a scale term is positive, everything else is an
exponent in [-10, 10]. Laws of one scale write it `x`; `along` names the column when they are
fitted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scalekit.errors import FormulaError, did_you_mean
from scalekit.fitters import expressions as ex
from scalekit.fitters.derivatives import derivative
from scalekit.fitters.expressions import Expr
from scalekit.fitters.formula import linear_names, parse, to_latex
from scalekit.fitters.model import ExplicitModel, ImplicitModel, Model, Parameter, to_internal

SCALES = ("params", "tokens", "samples", "flops", "unique_tokens", "step", "x")


@dataclass(frozen=True)
class Law:
    """A law: how the loss depends on scales.

    `formula` is text (see `scalekit.fitters.formula`); the names in `scales` are columns, all
    other names are parameters. With `between=(floor, ceiling)` the formula is an implicit
    equation `g = 0` in `loss`, increasing in it. `parameters` overrides what is inferred for some
    parameters. `domain` says where the law is meant to hold and `source` where it comes from.
    Raises FormulaError where the formula has no scale or no parameter.

    >>> Law("mine", "E + A / params**alpha").predict({"E": 2, "A": 8, "alpha": 0.5}, params=16.0)
    array(4.)
    """

    name: str
    formula: str
    source: str = ""
    domain: str = ""
    scales: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    between: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        names = ex.names_in(self.expr)
        scales = self.scales or tuple(scale for scale in SCALES if scale in names)
        if not scales:
            shown = ", ".join(sorted(names)) or "no names"
            raise FormulaError(
                f"The law '{self.formula}' depends on no scale: it has {shown}. Scales are "
                f"{', '.join(SCALES)}, or the columns that you name with scales=."
            )
        object.__setattr__(self, "scales", scales)
        free = names - set(scales) - ({"loss"} if self.between else set())
        if not free:
            raise FormulaError(f"The law '{self.formula}' has no parameter to fit.")
        unknown = [given.name for given in self.parameters if given.name not in free]
        if unknown:
            raise FormulaError(
                f"The law '{self.formula}' has no parameter '{unknown[0]}'. "
                f"{did_you_mean(unknown[0], sorted(free))}"
            )
        given = {parameter.name: parameter for parameter in self.parameters}
        order = [name for name in _names_in_order(self.formula) if name in free]
        inferred = _infer(self.expr, order, scales)
        object.__setattr__(
            self, "parameters", tuple(given.get(name, inferred[name]) for name in order)
        )

    @cached_property
    def expr(self) -> Expr:
        """The parsed formula."""
        return parse(self.formula)

    @cached_property
    def model(self) -> Model:
        """The law made ready for the solver."""
        if self.between:
            return ImplicitModel(self.expr, self.parameters, self.between)
        return ExplicitModel(self.expr, self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in the order of the formula."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def n_free(self) -> int:
        """The number of parameters that are fitted, not held fixed by equal bounds."""
        return sum(not parameter.fixed for parameter in self.parameters)

    @property
    def irreducible(self) -> str | None:
        """The name of the constant term, if the law has one."""
        for name in () if self.between else linear_names(self.expr, self.names):
            if not ex.names_in(derivative(self.expr, name)):
                return name
        return self.between[0] if self.between else None

    def predict(self, values: Mapping[str, float], **scales: object) -> np.ndarray:
        """Return the loss at the scales (broadcast against each other) for parameter `values`.

        Raises FormulaError where a parameter or a scale is missing.
        """
        for kind, needed, found in (
            ("parameter", self.names, values),
            ("scale", self.scales, scales),
        ):
            missing = [name for name in needed if name not in found]
            if missing:
                raise FormulaError(
                    f"The law '{self.name}' needs the {kind} '{missing[0]}'; given are "
                    f"{', '.join(map(str, found)) or 'none'}."
                )
        arrays = np.broadcast_arrays(*[np.asarray(scales[s], dtype=float) for s in self.scales])
        rows = {name: array.ravel() for name, array in zip(self.scales, arrays, strict=True)}
        natural = np.array([[float(values[name]) for name in self.names]])
        loss = self.model.value(to_internal(natural, self.parameters), rows)
        return np.broadcast_to(loss, (1, arrays[0].size)).reshape(arrays[0].shape)

    def along(self, column: str) -> Law:
        """Return a law of the one scale `x` as a law of the scale `column`."""
        if self.scales != ("x",) or column == "x":
            return self
        formula = re.sub(r"\bx\b", column, self.formula)
        moved = tuple(
            Parameter(**{**vars(p), "scale": column}) if p.scale == "x" else p
            for p in self.parameters
        )
        return Law(self.name, formula, self.source, self.domain, (column,), moved, self.between)

    @property
    def latex(self) -> str:
        """The formula as LaTeX, with N, D, C for params, tokens, flops."""
        return to_latex(self.formula) + (" = 0" if self.between else "")

    def _repr_latex_(self) -> str:
        return f"${self.latex}$"


def _names_in_order(formula: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"[A-Za-z_]\w*", formula)))


def _infer(expr: Expr, names: Iterable[str], scales: tuple[str, ...]) -> dict[str, Parameter]:
    """Return what the formula alone says about its parameters."""
    names = list(names)
    locations = _locations(expr, set(names), set(scales))
    linear = linear_names(expr, names)
    found = {}
    for name in names:
        if name in locations:
            found[name] = Parameter(name, start=(-0.3, 1.1), log=True, scale=locations[name])
        elif name not in linear:
            found[name] = Parameter(name, lower=-10.0, upper=10.0, start=(0.05, 1.5))
        elif ex.names_in(derivative(expr, name)) & set(scales):
            found[name] = Parameter(name, log=True)
        else:
            found[name] = Parameter(name)
    return found


def _locations(expr: Expr, names: set[str], scales: set[str]) -> dict[str, str]:
    """Return the parameters that are compared with a scale (`x / x0`, `x + x0`), and which."""
    found: dict[str, str] = {}
    for node in ex.walk(expr):
        if node.op not in ("add", "sub", "div"):
            continue
        inner = [ex.names_in(c) if c.op in ("name", "log") else set() for c in node.children]
        both = set().union(*inner)
        if all(len(part) == 1 for part in inner) and len(both & names) == len(both & scales) == 1:
            found.setdefault(next(iter(both & names)), next(iter(both & scales)))
    return found
