"""Evaluating expressions over a batch: each distinct part once, in one NumPy call."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scalekit.fitters.expressions import NUMERIC, Expr, walk

_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "pow": operator.pow,
    **NUMERIC,
}


class Tape:
    """Several expressions as one list of operations, with their common parts computed once.

    >>> from scalekit.fitters.formula import parse
    >>> Tape([parse("a * x + 1"), parse("a * x")])({"a": 2.0, "x": 3.0})
    [7.0, 6.0]
    """

    def __init__(self, outputs: Sequence[Expr]) -> None:
        places: dict[Expr, int] = {}
        self._steps: list[tuple[Callable[..., Any] | None, Any]] = []
        for output in outputs:
            for node in walk(output):
                if node not in places:
                    places[node] = len(self._steps)
                    self._steps.append(self._step(node, places))
        self._outputs = [places[output] for output in outputs]

    @staticmethod
    def _step(node: Expr, places: Mapping[Expr, int]) -> tuple[Callable[..., Any] | None, Any]:
        if node.op in ("const", "name"):
            return None, node.args[0]
        return _OPERATORS[node.op], tuple(places[child] for child in node.children)

    def __call__(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the outputs at `values`, whose arrays broadcast against each other.

        Floating-point warnings are silenced: a step outside the domain of a law gives NaN, which
        the solver refuses.
        """
        done: list[Any] = []
        with np.errstate(all="ignore"):
            for function, args in self._steps:
                if function is not None:
                    done.append(function(*[done[place] for place in args]))
                elif isinstance(args, str):
                    done.append(values[args])
                else:
                    done.append(args)
        return [done[place] for place in self._outputs]
