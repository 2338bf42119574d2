"""Expressions: the small algebra under every law.

An expression is an immutable tree of `Expr`. The builders (`add`, `mul`, `power`, ...) fold
constants and merge exponentials, so that a law and all its derivatives share most of their
parts: `A / params**alpha` becomes `exp(log(A) - alpha * log(params))`, whose derivatives in
`log(A)` and `alpha` are the same exponential times a factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np


class Expr:
    """A node: an operation and its arguments; `const` holds a number and `name` a symbol."""

    __slots__ = ("_hash", "args", "op")

    def __init__(self, op: str, *args: Expr | float | str) -> None:
        self.op: Final = op
        self.args: Final = args
        self._hash: Final = hash((op, args))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Expr)
            and self._hash == other._hash
            and self.op == other.op
            and self.args == other.args
        )

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(repr, self.args))})"

    @property
    def children(self) -> tuple[Expr, ...]:
        """The arguments that are expressions."""
        return tuple(arg for arg in self.args if isinstance(arg, Expr))


def const(value: float) -> Expr:
    """Return the expression of a number."""
    return Expr("const", float(value))


def symbol(name: str) -> Expr:
    """Return the expression of a named scale or parameter."""
    return Expr("name", name)


ZERO, ONE = const(0), const(1)


def value_of(expr: Expr) -> float | None:
    """Return the number of a constant, None for anything else."""
    return expr.args[0] if expr.op == "const" else None  # type: ignore[return-value]


def add(left: Expr, right: Expr) -> Expr:
    """Return left + right."""
    a, b = value_of(left), value_of(right)
    if a is not None and b is not None:
        return const(a + b)
    if a == 0:
        return right
    if b == 0:
        return left
    if right.op == "neg":
        return subtract(left, right.children[0])
    if left.op == "neg":
        return subtract(right, left.children[0])
    return Expr("add", left, right)


def subtract(left: Expr, right: Expr) -> Expr:
    """Return left - right."""
    a, b = value_of(left), value_of(right)
    if a is not None and b is not None:
        return const(a - b)
    if b == 0:
        return left
    if a == 0:
        return negate(right)
    if left == right:
        return ZERO
    if right.op == "neg":
        return add(left, right.children[0])
    return Expr("sub", left, right)


def negate(expr: Expr) -> Expr:
    """Return -expr."""
    value = value_of(expr)
    if value is not None:
        return const(-value)
    if expr.op == "neg":
        return expr.children[0]
    if expr.op == "sub":
        return subtract(expr.children[1], expr.children[0])
    return Expr("neg", expr)


def mul(left: Expr, right: Expr) -> Expr:
    """Return left * right; products of exponentials become one exponential."""
    a, b = value_of(left), value_of(right)
    if a is not None and b is not None:
        return const(a * b)
    if a == 0 or b == 0:
        return ZERO
    if a == 1:
        return right
    if b == 1:
        return left
    if left.op == "neg":
        return negate(mul(left.children[0], right))
    if right.op == "neg":
        return negate(mul(left, right.children[0]))
    if left.op == "exp" and right.op == "exp":
        return call("exp", add(left.children[0], right.children[0]))
    if left.op == "exp" and right.op == "mul" and right.children[0].op == "exp":
        return mul(mul(left, right.children[0]), right.children[1])
    if right.op == "exp" and left.op == "mul" and left.children[0].op == "exp":
        return mul(mul(left.children[0], right), left.children[1])
    if right.op == "exp":  # exponentials to the front, so that they meet
        left, right = right, left
    return Expr("mul", left, right)


def divide(left: Expr, right: Expr) -> Expr:
    """Return left / right."""
    a, b = value_of(left), value_of(right)
    if b == 0:
        raise ZeroDivisionError("division by zero")
    if b is not None:
        return const(a / b) if a is not None else mul(left, const(1 / b))
    if a == 0:
        return ZERO
    if left == right:
        return ONE
    if right.op == "exp":
        return mul(left, call("exp", negate(right.children[0])))
    if right.op == "mul" and right.children[0].op == "exp":
        return divide(divide(left, right.children[0]), right.children[1])
    return Expr("div", left, right)


def power(base: Expr, exponent: Expr) -> Expr:
    """Return base ** exponent; a base of unknown exponent must be positive: exp(e * log(base))."""
    a, b = value_of(base), value_of(exponent)
    if a is not None and b is not None:
        return const(a**b)
    if b is not None:
        simple = {0.0: ONE, 1.0: base, 2.0: mul(base, base), 0.5: call("sqrt", base)}
        if b in simple:
            return simple[b]
        if b == -1.0:
            return divide(ONE, base)
        if b == int(b):
            return Expr("pow", base, exponent)
    return call("exp", mul(exponent, call("log", base)))


def call(function: str, *args: Expr) -> Expr:
    """Return function(args); logarithms of exponentials and the like are undone."""
    inner = args[0]
    if function == "log" and inner.op == "exp":
        return inner.children[0]
    if function == "exp" and inner.op == "log":
        return inner.children[0]
    if function == "log" and inner.op == "div":
        return subtract(call("log", inner.children[0]), call("log", inner.children[1]))
    if function == "log" and inner.op == "mul" and inner.children[0].op == "exp":
        return add(inner.children[0].children[0], call("log", inner.children[1]))
    values = [value_of(arg) for arg in args]
    if all(value is not None for value in values):
        with np.errstate(all="ignore"):
            return const(float(NUMERIC[function](*values)))
    return Expr(function, *args)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(x)))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def _less(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.less(x, y).astype(float)


# every function of the language (and `less`, which only derivatives use), as NumPy computes it
NUMERIC: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "arctan": np.arctan,
    "logistic": _logistic,
    "softplus": _softplus,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "less": _less,
}


def substitute(expr: Expr, replacements: Mapping[str, Expr]) -> Expr:
    """Return `expr` with symbols replaced by expressions, simplified again."""
    builders = {"add": add, "sub": subtract, "mul": mul, "div": divide, "pow": power}
    cache: dict[Expr, Expr] = {}

    def visit(node: Expr) -> Expr:
        if node not in cache:
            cache[node] = step(node)
        return cache[node]

    def step(node: Expr) -> Expr:
        if node.op == "const":
            return node
        if node.op == "name":
            return replacements.get(str(node.args[0]), node)
        children = [visit(child) for child in node.children]
        if node.op == "neg":
            return negate(children[0])
        if node.op in builders:
            return builders[node.op](*children)
        return call(node.op, *children)

    return visit(expr)


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield every distinct node of `expr`, arguments before what uses them."""
    seen: set[Expr] = set()

    def visit(node: Expr) -> Iterator[Expr]:
        if node in seen:
            return
        seen.add(node)
        for child in node.children:
            yield from visit(child)
        yield node

    yield from visit(expr)


def names_in(expr: Expr) -> set[str]:
    """Return the symbols that occur in `expr`."""
    return {str(node.args[0]) for node in walk(expr) if node.op == "name"}
