"""Values as users type them into the editor (lists and ranges), translated into the notation of TOML."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator

from litegpt.errors import InputError, did_you_mean
from litegpt.study.edit.phase_text import number_text
from litegpt.study.expand import PERMUTATIONS_MAX
from litegpt.study.settings import plain_value, setting, short_repr
from litegpt.study.trial import HYPERPARAMETERS

SYNTAX = "1e-3, 3e-3 · 1..6 · log(6e-5, 6e-4, 7) · lin(1, 5, 5)"

_SPAN = re.compile(r"(log|lin)\s*\(([^()]*)\)")
_RANGE = re.compile(r"(-?\d+)\s*\.\.\s*(-?\d+)")
_ASSIGNMENT = re.compile(r"\s*([A-Za-z_]\w*)\s*[=:]\s*(.*?)\s*", re.DOTALL)


def typed_axis(name: str, typed: str) -> tuple[str, ...]:
    """Return the values of an axis in TOML, each once. InputError: the axis cannot have one of the values.

    Users type a comma-separated list of values, ranges of whole numbers `1..6`, and evenly spaced values
    `log(from, to, count)` and `lin(from, to, count)`. Spaced values have the fewest digits, at least three, that keep
    them different.
    """
    check_name(name)
    items: dict[object, str] = {}
    for piece in _pieces(typed):
        for item in _items(name, piece):
            items.setdefault(_checked(name, item), item)
    if not items:
        raise InputError(f"{name} needs values, such as {SYNTAX}")
    return tuple(items.values())


def typed_value(name: str, typed: str) -> str:
    """Return one plain value of a hyperparameter in TOML."""
    check_name(name)
    item = _item(typed.strip())
    _checked(name, item)
    return item


def typed_setting(name: str, typed: str) -> str:
    """Return a plain value, or arithmetic on other hyperparameters, in TOML."""
    check_name(name)
    item = _item(typed.strip())
    try:
        setting(name, _plain(item))
    except ValueError as error:
        raise InputError(f"{name} {error}") from None
    return item


def typed_assignment(typed: str) -> tuple[str, str]:
    """Return the name and the value of `name = value`."""
    assignment = _ASSIGNMENT.fullmatch(typed)
    if assignment is None or not assignment[2]:
        raise InputError(f"{short_repr(typed.strip())} is not a setting: write name = value")
    check_name(assignment[1])
    return assignment[1], assignment[2]


def typed_combination(typed: str, *, may_derive: bool = False) -> dict[str, str]:
    """Return the settings in `name = value, name = value`, as typed for an exclusion or a listed trial."""
    pairs = [typed_assignment(piece) for piece in _pieces(typed)]
    if not pairs:
        raise InputError("write name = value, name = value")
    return {name: typed_setting(name, value) if may_derive else typed_value(name, value) for name, value in pairs}


def check_name(name: str) -> None:
    """Raise InputError if no hyperparameter has that name."""
    if name not in HYPERPARAMETERS:
        raise InputError(f"no hyperparameter is called {short_repr(name)}{did_you_mean(name, HYPERPARAMETERS)}")


def _pieces(typed: str) -> Iterator[str]:
    """Split at the commas outside of brackets and quotes. Brackets around the whole are dropped."""
    text = typed.strip()
    if text.count("(") != text.count(")"):
        raise InputError(f"a bracket is open in {short_repr(text)}")
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    for piece in re.split(r""",(?![^(]*\))(?=(?:[^"]*"[^"]*")*[^"]*$)""", text):
        if piece.strip():
            yield piece.strip()


def _items(name: str, piece: str) -> Iterator[str]:
    whole, span = _RANGE.fullmatch(piece), _SPAN.fullmatch(piece)
    if whole:
        first, last = int(whole[1]), int(whole[2])
        if abs(last - first) >= PERMUTATIONS_MAX:
            raise InputError(f"{name} would have {abs(last - first) + 1:,} values, more than {PERMUTATIONS_MAX:,}")
        yield from map(str, range(first, last + 1) if first <= last else range(first, last - 1, -1))
    elif span:
        yield from _spaced(name, span[1], span[2])
    else:
        yield _item(piece)


def _spaced(name: str, how: str, inner: str) -> list[str]:
    """Return evenly spaced values, by ratio or by difference. The two ends stay as typed."""
    parts = [part.strip() for part in inner.split(",")]
    numbers = [_plain(_item(part)) for part in parts]
    if len(parts) != 3 or not all(isinstance(number, int | float) for number in numbers):
        raise InputError(f"{how}({inner.strip()}) must be {how}(from, to, count), such as log(6e-5, 6e-4, 7)")
    first, last, count = (float(number) for number in numbers)
    if count != int(count) or not 2 <= count <= PERMUTATIONS_MAX:
        raise InputError(f"the count in {how}({inner.strip()}) must be a whole number of at least 2")
    if how == "log" and (first <= 0 or last <= 0):
        raise InputError("log(from, to, count) needs ends above 0")
    steps = int(count) - 1
    if how == "log":
        inside = [first * math.exp(math.log(last / first) * step / steps) for step in range(1, steps)]
    else:
        inside = [first + (last - first) * step / steps for step in range(1, steps)]
    if HYPERPARAMETERS[name].kind is int:
        return [parts[0], *(str(round(value)) for value in inside), parts[1]]
    items: list[str] = []
    for digits in range(3, 18):
        items = [number_text(value, digits) for value in inside]
        if len(set(items)) == len(set(inside)):
            break
    return [parts[0], *items, parts[1]]


def _item(text: str) -> str:
    """Return a typed value in TOML: a number as it is, anything else as a string."""
    try:
        value = tomllib.loads(f"x = {text}")["x"] if "\n" not in text else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, int | float | str):
        return text
    try:
        return repr(float(text))  # .5 is a number, but not in TOML
    except ValueError:
        return json.dumps(text, ensure_ascii=False)


def _plain(item: str) -> int | float | str:
    value: int | float | str = tomllib.loads(f"x = {item}")["x"]
    return value


def _checked(name: str, item: str) -> object:
    raw = _plain(item)
    if isinstance(raw, str) and HYPERPARAMETERS[name].kind is not str:
        raise InputError(f"{name} cannot be {short_repr(raw)}: write numbers, such as {SYNTAX}")
    try:
        return plain_value(name, raw)
    except ValueError as error:
        raise InputError(f"{name} {error}") from None
