"""Text to expression: a small, safe language for laws.

A formula is arithmetic on names and numbers: `+ - * / **`, parentheses and the functions
listed in `FUNCTIONS`. Parts may be named behind semicolons: `E + A / n_eff**alpha; n_eff = ...`.
It is parsed into an `Expr`; nothing of the text is ever executed.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence

from scalekit.errors import FormulaError, did_you_mean
from scalekit.fitters import expressions as ex
from scalekit.fitters.derivatives import derivative
from scalekit.fitters.expressions import Expr

FUNCTIONS = {
    name: 2 if name in ("minimum", "maximum") else 1 for name in ex.NUMERIC if name != "less"
}
LONGEST = 2000  # characters; the laws of the literature need less than 200
DEEPEST = 100  # nested brackets

_BINARY = {
    ast.Add: ex.add,
    ast.Sub: ex.subtract,
    ast.Mult: ex.mul,
    ast.Div: ex.divide,
    ast.Pow: ex.power,
}


def parse(text: str) -> Expr:
    """Return the expression that `text` says.

    Raises FormulaError, which quotes the offending part, for anything outside the language: other
    calls, attributes, comparisons, strings, keywords.

    >>> sorted(ex.names_in(parse("E + A / n**alpha; n = params - embedding")))
    ['A', 'E', 'alpha', 'embedding', 'params']
    """
    if not isinstance(text, str) or not text.strip():
        raise FormulaError("The formula is empty. Write one such as 'E + A / params**alpha'.")
    if len(text) > LONGEST:
        raise FormulaError(f"The formula has {len(text)} characters; at most {LONGEST} are read.")
    head, *rest = text.replace("^", "**").split(";")
    expr = _parse_part(head)
    for definition in rest:
        name, equals, body = (part.strip() for part in definition.partition("="))
        if not (name.isidentifier() and equals):
            raise FormulaError(
                f"Cannot read '{definition.strip()}' behind the semicolon of '{text}'. "
                "Write a definition such as 'n_eff = params - embedding'."
            )
        expr = ex.substitute(expr, {name: _parse_part(body)})
    if any(not math.isfinite(ex.value_of(node) or 0.0) for node in ex.walk(expr)):
        raise FormulaError(f"The formula '{text}' has a part that is not a finite number.")
    return expr


def _parse_part(text: str) -> Expr:
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" near column {error.offset}" if isinstance(error, SyntaxError) else ""
        raise FormulaError(
            f"Cannot read the formula '{text.strip()}'{where}. Write arithmetic on names and "
            "numbers, such as 'E + A / params**alpha'."
        ) from None
    try:
        return _convert(tree.body, text, 0)
    except (ZeroDivisionError, OverflowError, TypeError) as error:
        raise FormulaError(f"The formula '{text}' has no finite value: {error}.") from None


def _convert(node: ast.expr, text: str, depth: int) -> Expr:
    if depth > DEEPEST:
        raise FormulaError(f"The formula is nested deeper than {DEEPEST} levels.")
    match node:
        case ast.Constant(value=bool()):
            raise _outside(node, text, "a truth value")
        case ast.Constant(value=int() | float() as number):
            return ex.const(number)
        case ast.Name(id=name):
            if name in FUNCTIONS:
                raise _outside(node, text, f"the function '{name}' without an argument")
            return ex.symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return ex.negate(_convert(operand, text, depth + 1))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _convert(operand, text, depth + 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](
                _convert(left, text, depth + 1), _convert(right, text, depth + 1)
            )
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            if name not in FUNCTIONS:
                raise FormulaError(
                    f"The formula '{text}' calls '{name}', which is not in the language. "
                    f"{did_you_mean(name, FUNCTIONS)}"
                )
            if len(args) != FUNCTIONS[name]:
                raise FormulaError(
                    f"In the formula '{text}', {name} takes {FUNCTIONS[name]} argument(s), "
                    f"not {len(args)}."
                )
            return ex.call(name, *[_convert(arg, text, depth + 1) for arg in args])
    raise _outside(node, text, f"'{ast.unparse(node)}'")


def _outside(node: ast.expr, text: str, what: str) -> FormulaError:
    return FormulaError(
        f"The formula '{text}' holds {what} (column {node.col_offset + 1}), which is outside the "
        f"language: names, numbers, + - * / ** and {', '.join(sorted(FUNCTIONS))}."
    )


def linear_names(expr: Expr, candidates: Sequence[str]) -> tuple[str, ...]:
    """Return those of `candidates` in which `expr` is jointly linear, in their order.

    Given all other names, `expr` is then a constant plus a sum of these names times columns,
    which is what variable projection needs.

    >>> linear_names(parse("E + A / params**alpha"), ["E", "A", "alpha"])
    ('E', 'A')
    """
    chosen: list[str] = []
    for name in candidates:
        slope = derivative(expr, name)
        if slope != ex.ZERO and not ex.names_in(slope) & {name, *chosen}:
            chosen.append(name)
    return tuple(chosen)


_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "kappa", "lambda", "mu", "nu",
    "rho", "sigma", "tau", "phi", "omega",
}  # fmt: skip
_SCALES = {"params": "N", "tokens": "D", "samples": "D", "flops": "C", "unique_tokens": "U"}


def to_latex(text: str) -> str:
    r"""Return the formula as LaTeX, with the field's symbols for the scales.

    >>> to_latex("E + A / params**alpha")
    'E + \\frac{A}{N^{\\alpha}}'
    """
    parse(text)
    head, *rest = text.replace("^", "**").split(";")
    shown = _latex(ast.parse(head.strip(), mode="eval").body, 0)
    for definition in rest:
        name, _, body = definition.partition("=")
        inner = _latex(ast.parse(body.strip(), mode="eval").body, 0)
        shown += rf",\quad {_latex_name(name.strip())} = {inner}"
    return shown


def _latex(node: ast.expr, outer: int) -> str:
    """Return LaTeX for `node`; `outer` is the binding strength around it (brackets if weaker)."""
    match node:
        case ast.Constant(value=number):
            return f"{number:g}" if isinstance(number, float) else str(number)
        case ast.Name(id=name):
            return _latex_name(name)
        case ast.UnaryOp(op=op, operand=operand):
            return _bracket("-" * isinstance(op, ast.USub) + _latex(operand, 2), 1, outer)
        case ast.Call(func=ast.Name(id=name), args=args):
            inner = ", ".join(_latex(arg, 0) for arg in args)
            known = {"exp", "log", "sin", "cos", "tanh", "arctan"}
            if name == "sqrt":
                return rf"\sqrt{{{inner}}}"
            shown = rf"\{name}" if name in known else rf"\operatorname{{{name}}}"
            return rf"{shown}\left({inner}\right)"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _bracket(rf"\frac{{{_latex(left, 0)}}}{{{_latex(right, 0)}}}", 3, outer)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{_latex(left, 4)}^{{{_latex(right, 0)}}}"
        case ast.BinOp(left=left, op=op, right=right):
            sign, strength = {ast.Add: ("+", 1), ast.Sub: ("-", 1)}.get(type(op), (r"\,", 2))
            rest = _latex(right, strength + isinstance(op, ast.Sub))
            first = _latex(left, 1 if isinstance(left, ast.UnaryOp) else strength)
            return _bracket(f"{first} {sign} {rest}", strength, outer)
    raise FormulaError(f"No LaTeX for {ast.dump(node)}.")  # pragma: no cover - parse refuses first


def _bracket(text: str, strength: int, outer: int) -> str:
    return rf"\left({text}\right)" if strength < outer else text


def _latex_name(name: str) -> str:
    if name in _SCALES:
        return _SCALES[name]
    head, _, tail = name.partition("_")
    if not tail and name.rstrip("0123456789") != name:
        head = name.rstrip("0123456789")
        tail = name[len(head) :]
    shown = rf"\{head}" if head in _GREEK else head if len(head) == 1 else rf"\mathrm{{{head}}}"
    return f"{shown}_{{{tail}}}" if tail else shown
