"""Hyperparameter values: their checks, and derived values.

A *setting* is a plain value or an expression on other hyperparameters. Every mistake is a ValueError whose text
continues the hyperparameter's name ("must be more than 0, not 0"); the reader of the file adds the name, the file and
the line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from litegpt.errors import did_you_mean
from litegpt.study.expression import Expression, parse
from litegpt.study.hyperparameter import Value
from litegpt.study.trial import BYTES, DEFAULTS, HYPERPARAMETERS, REQUIRED

Setting = Value | Expression

_REQUIRED = frozenset(REQUIRED)


def short_repr(value: object) -> str:
    """Return a value as error messages show it: short and on one line."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def plain_value(name: str, raw: object) -> Value:
    """Return a raw value as the type of a hyperparameter. ValueError: it has another type or is out of range."""
    hyperparameter = HYPERPARAMETERS[name]
    kind, choices = hyperparameter.kind, hyperparameter.choices
    if kind is str:
        if raw not in choices:
            hint = did_you_mean(raw, choices) if isinstance(raw, str) else ""
            raise ValueError(f"must be one of {', '.join(choices)}, not {short_repr(raw)}{hint}")
        return str(raw)
    if kind is bool:
        if not isinstance(raw, bool):
            raise ValueError(f"must be true or false, not {short_repr(raw)}")
        return raw
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ValueError(f"must be a {'whole ' if kind is int else ''}number, not {short_repr(raw)}")
    if isinstance(raw, float) and not math.isfinite(raw):
        raise ValueError(f"must be finite, not {raw}")
    if kind is int and raw != int(raw):
        raise ValueError(f"must be a whole number, not {short_repr(raw)}")
    if raw not in hyperparameter.range:
        raise ValueError(f"must be {hyperparameter.range}, not {short_repr(raw)}")
    try:
        return int(raw) if kind is int else float(raw)
    except OverflowError:
        raise ValueError("is too large") from None


def setting(name: str, raw: object) -> Setting:
    """Return `raw` as a setting. A string that is the value of a number is an expression."""
    if not isinstance(raw, str) or not HYPERPARAMETERS[name].is_number:
        return plain_value(name, raw)
    try:
        expression = parse(raw)
    except ValueError as error:
        raise ValueError(f"= {short_repr(raw)} {error}") from None
    numbers = [known.name for known in HYPERPARAMETERS.values() if known.is_number]
    for used in sorted(expression.names):
        if used not in numbers:
            kinds = {str: "text, not a number", bool: "true or false, not a number"}
            what = kinds[HYPERPARAMETERS[used].kind] if used in HYPERPARAMETERS else "not a hyperparameter"
            raise ValueError(f"= {short_repr(raw)} uses '{used}', which is {what}{did_you_mean(used, numbers)}")
    return expression


def derived_value(name: str, expression: Expression, values: Mapping[str, Any]) -> Value:
    """Evaluate the expression of a hyperparameter with the values of the others."""
    return _derived_value(name, expression, tuple((used, values.get(used)) for used in expression.names))


# The permutations of a grid evaluate the same expression with few different operands.
@lru_cache(maxsize=4096)
def _derived_value(name: str, expression: Expression, operands: tuple[tuple[str, Any], ...]) -> Value:
    values = {used: value for used, value in operands if value is not None}
    try:
        return plain_value(name, expression.evaluate(values))
    except ValueError as error:
        raise ValueError(f"{name} = {short_repr(expression.source)} {error}") from None


def check_no_cycle(settings: Mapping[str, Setting]) -> None:
    """Raise ValueError if derived hyperparameters depend on one another in a circle."""
    _evaluation_order(_derived(settings))


class Resolver:
    """The values of trials that share most of their settings, such as the permutations of a grid."""

    def __init__(self, shared: Mapping[str, Setting | None]) -> None:
        derived = _derived(shared)
        self._values: dict[str, Any] = {**DEFAULTS, **shared}
        for name, _ in derived:
            del self._values[name]
        self._order: tuple[tuple[str, Expression], ...] = ()
        self._mistake: str | None = None
        try:
            self._order = _evaluation_order(derived)
        except ValueError as error:
            self._mistake = str(error)

    def resolve(self, point: Mapping[str, Value]) -> tuple[dict[str, Any], str | None]:
        """Return all values with those of `point`, and why they make no legal trial (None if they do).

        Hyperparameters that are neither set nor have a default are missing from the values. `point` has none of the
        shared settings that are derived.
        """
        values = {**self._values, **point}
        try:
            for name, expression in self._order:
                values[name] = derived_value(name, expression, values)
        except ValueError as error:
            return values, str(error)
        return values, self._mistake or _illegality(values)


def resolve(settings: Mapping[str, Setting | None]) -> tuple[dict[str, Any], str | None]:
    """Return the value of every hyperparameter, and why the values make no legal trial (None if they do)."""
    return Resolver(settings).resolve({})


def _illegality(values: Mapping[str, Any]) -> str | None:
    if not values.keys() >= _REQUIRED:
        return f"{next(name for name in REQUIRED if name not in values)} is not set"
    if values["n_embd"] % values["n_head"]:
        return f"n_embd {values['n_embd']} is not a multiple of n_head {values['n_head']}"
    if values["positions"] == "rope" and values["n_embd"] // values["n_head"] % 2:
        return f"positions = 'rope' turns pairs, and a head has {values['n_embd'] // values['n_head']} elements"
    if unpaired := unpaired_vocabulary(values["tokenizer"], values["vocab_size"]):
        return unpaired
    if values["gradient_accumulation"] > values["batch_size"]:
        return f"gradient_accumulation {values['gradient_accumulation']} is above batch_size {values['batch_size']}"
    if values["lr_schedule"] == "cosine" and values["min_learning_rate"] > values["learning_rate"]:
        return f"min_learning_rate {values['min_learning_rate']:g} is above learning_rate {values['learning_rate']:g}"
    return None


def unpaired_vocabulary(tokenizer: str, vocab_size: int) -> str | None:
    """Return why a vocabulary size does not go with a tokenizer; None if it does."""
    if tokenizer in ("char", "byte"):
        given = "the text's characters" if tokenizer == "char" else f"the {BYTES} bytes"
        return f"tokenizer = '{tokenizer}' has {given} and no vocab_size, not {vocab_size}" if vocab_size else None
    if vocab_size <= BYTES:
        return f"tokenizer = '{tokenizer}' needs a vocab_size above {BYTES}, its single bytes, not {vocab_size}"
    return None


def _derived(settings: Mapping[str, Setting | None]) -> tuple[tuple[str, Expression], ...]:
    return tuple((name, rule) for name, rule in settings.items() if isinstance(rule, Expression))


@lru_cache(maxsize=128)
def _evaluation_order(derived: tuple[tuple[str, Expression], ...]) -> tuple[tuple[str, Expression], ...]:
    """Order derived hyperparameters so that each comes after those it depends on."""
    rules = dict(derived)
    try:
        order = TopologicalSorter({name: rule.names & rules.keys() for name, rule in derived}).static_order()
        return tuple((name, rules[name]) for name in order)
    except CycleError as error:
        raise ValueError(f"derived hyperparameters depend on one another: {' -> '.join(error.args[1])}") from None
