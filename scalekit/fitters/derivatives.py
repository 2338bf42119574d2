"""Exact derivatives of expressions: one rule an operation, and the chain rule over the tree."""

from __future__ import annotations

from scalekit.fitters.expressions import (
    ONE,
    ZERO,
    Expr,
    add,
    call,
    const,
    divide,
    mul,
    negate,
    power,
    subtract,
    value_of,
)


def _slope(expr: Expr) -> tuple[Expr, ...]:
    """Return the partial derivatives of a function node in its arguments."""
    u = expr.children[0]
    match expr.op:
        case "exp":
            return (expr,)
        case "log":
            return (divide(ONE, u),)
        case "log1p":
            return (divide(ONE, add(ONE, u)),)
        case "expm1":
            return (call("exp", u),)
        case "sqrt":
            return (divide(const(0.5), expr),)
        case "tanh":
            return (subtract(ONE, mul(expr, expr)),)
        case "sin":
            return (call("cos", u),)
        case "cos":
            return (negate(call("sin", u)),)
        case "arctan":
            return (divide(ONE, add(ONE, mul(u, u))),)
        case "logistic":
            return (mul(expr, subtract(ONE, expr)),)
        case "softplus":
            return (call("logistic", u),)
        case "less":
            return (ZERO, ZERO)
        case "minimum":
            first = call("less", u, expr.children[1])
            return (first, subtract(ONE, first))
        case "maximum":
            second = call("less", u, expr.children[1])
            return (subtract(ONE, second), second)
    raise ValueError(f"no derivative for {expr.op}")


def derivative(expr: Expr, name: str) -> Expr:
    """Return the exact derivative of `expr` in the symbol `name`."""
    cache: dict[Expr, Expr] = {}

    def visit(node: Expr) -> Expr:
        if node not in cache:
            cache[node] = step(node)
        return cache[node]

    def step(node: Expr) -> Expr:
        if node.op == "const":
            return ZERO
        if node.op == "name":
            return ONE if node.args[0] == name else ZERO
        u = node.children
        match node.op:
            case "add":
                return add(visit(u[0]), visit(u[1]))
            case "sub":
                return subtract(visit(u[0]), visit(u[1]))
            case "neg":
                return negate(visit(u[0]))
            case "mul":
                return add(mul(visit(u[0]), u[1]), mul(u[0], visit(u[1])))
            case "div":
                quotient = divide(visit(u[0]), u[1])
                return subtract(quotient, mul(node, divide(visit(u[1]), u[1])))
            case "pow":
                exponent = value_of(u[1]) or 0.0
                slope = mul(const(exponent), power(u[0], const(exponent - 1)))
                return mul(slope, visit(u[0]))
        total = ZERO
        for argument, partial in zip(u, _slope(node), strict=True):
            total = add(total, mul(partial, visit(argument)))
        return total

    return visit(expr)
