"""Arithmetic on hyperparameter names, such as `n_embd // 64`: parsed and bounded, never `eval`.

`parse` accepts numbers, names, `+ - * / // % **`, parentheses, a sign, and `min` and `max` of two or more; anything
else is a ValueError. `Expression.evaluate` takes the names' values; every step of it is bounded, so that no source
costs time or memory.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Number = int | float

SOURCE_MAX = 200  # characters
MAGNITUDE_MAX = 2.0**63
EXPONENT_MAX = 64
GRAMMAR = "use numbers, hyperparameter names, + - * / // % **, parentheses, min() and max()"

_CHARACTERS = re.compile(r"[A-Za-z0-9_+\-*/%(),. \t]*")
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_CALLS: dict[str, Callable[[list[Number]], Number]] = {"min": min, "max": max}


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Expressions with the same source are equal."""

    source: str
    names: frozenset[str] = field(compare=False)
    tree: ast.expr = field(compare=False, repr=False)

    def evaluate(self, values: Mapping[str, Any]) -> Number:
        """Return the result for the values of the names. ValueError: division by zero, or too large a result."""
        try:
            return _evaluate(self.tree, values)
        except ZeroDivisionError:
            raise ValueError("divides by zero") from None


def parse(source: str) -> Expression:
    """Parse an expression. ValueError says why `source` is not arithmetic."""
    if len(source) > SOURCE_MAX:
        raise ValueError(f"is a derived expression of more than {SOURCE_MAX} characters")
    not_arithmetic = ValueError(f"is a derived expression that is not arithmetic: {GRAMMAR}")
    if not _CHARACTERS.fullmatch(source):
        raise not_arithmetic
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns about "1or 2", which is refused below
            tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise not_arithmetic from None
    names: set[str] = set()
    if not _is_arithmetic(tree, names):
        raise not_arithmetic
    return Expression(source, frozenset(names), tree)


def _is_arithmetic(node: ast.expr, names: set[str]) -> bool:
    """Tell whether a tree is arithmetic, and add the names it uses to `names`."""
    match node:
        case ast.Constant(value=value):
            return type(value) in (int, float)
        case ast.Name(id=name):
            names.add(name)
            return name not in _CALLS
        case ast.UnaryOp(op=op, operand=operand):
            return type(op) in _UNARY and _is_arithmetic(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            return type(op) in _BINARY and _is_arithmetic(left, names) and _is_arithmetic(right, names)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return name in _CALLS and len(arguments) > 1 and all(_is_arithmetic(a, names) for a in arguments)
        case _:
            return False


def _evaluate(node: ast.expr, values: Mapping[str, Any]) -> Number:
    match node:
        case ast.Constant(value=value):
            return _bounded(value)
        case ast.Name(id=name):
            if name not in values:
                raise ValueError(f"needs {name}, which is not set")
            return _bounded(values[name])
        case ast.UnaryOp(op=op, operand=operand):
            return _bounded(_UNARY[type(op)](_evaluate(operand, values)))
        case ast.BinOp(left=left, op=op, right=right):
            first, second = _evaluate(left, values), _evaluate(right, values)
            if isinstance(op, ast.Pow) and abs(second) > EXPONENT_MAX:
                raise ValueError(f"raises to a power beyond {EXPONENT_MAX}")
            try:
                return _bounded(_BINARY[type(op)](first, second))
            except OverflowError:
                raise ValueError("is too large") from None
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _CALLS[name]([_evaluate(argument, values) for argument in arguments])
        case _:
            raise ValueError(f"is not arithmetic: {GRAMMAR}")


def _bounded(result: Any) -> Number:
    if isinstance(result, bool) or not isinstance(result, int | float):
        raise ValueError("is not a real number")
    if math.isnan(result) or abs(result) > MAGNITUDE_MAX:
        raise ValueError("is too large")
    return result
