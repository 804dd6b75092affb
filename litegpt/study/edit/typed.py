"""Values as people type them into the editor: lists and ranges, turned into TOML's own notation."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator

from litegpt.errors import InputError, did_you_mean
from litegpt.study.edit.phase_text import number_text
from litegpt.study.expand import PERMUTATIONS_MAX
from litegpt.study.settings import plain_value, setting, shown
from litegpt.study.trial import HYPERPARAMETERS

SYNTAX = "1e-3, 3e-3 · 1..6 · log(6e-5, 6e-4, 7) · lin(1, 5, 5)"

_SPAN = re.compile(r"(log|lin)\s*\(([^()]*)\)")
_RANGE = re.compile(r"(-?\d+)\s*\.\.\s*(-?\d+)")
_ASSIGNMENT = re.compile(r"\s*([A-Za-z_]\w*)\s*[=:]\s*(.*?)\s*", re.DOTALL)


def typed_axis(name: str, typed: str) -> tuple[str, ...]:
    """Return the values of an axis as TOML writes them, each once. InputError: a value that the axis cannot have.

    A comma list of values, of whole ranges `1..6`, and of `log(from, to, count)` and `lin(from, to, count)`, which
    space values evenly; between their ends those are rounded to the fewest digits that tell them apart, at least three.
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
    """Return one plain value of a hyperparameter as TOML writes it."""
    check_name(name)
    item = _item(typed.strip())
    _checked(name, item)
    return item


def typed_setting(name: str, typed: str) -> str:
    """Return a plain or a derived value (arithmetic on other hyperparameters) as TOML writes it."""
    check_name(name)
    item = _item(typed.strip())
    try:
        setting(name, _plain(item))
    except ValueError as error:
        raise InputError(f"{name} {error}") from None
    return item


def typed_assignment(typed: str) -> tuple[str, str]:
    """Return the two sides of `name = value`."""
    assignment = _ASSIGNMENT.fullmatch(typed)
    if assignment is None or not assignment[2]:
        raise InputError(f"{shown(typed.strip())} is no setting: write name = value")
    check_name(assignment[1])
    return assignment[1], assignment[2]


def typed_combination(typed: str, *, may_derive: bool = False) -> dict[str, str]:
    """Return the settings of `name = value, name = value`: an exclusion's, or those of a listed trial."""
    pairs = [typed_assignment(piece) for piece in _pieces(typed)]
    if not pairs:
        raise InputError("write name = value, name = value")
    return {name: typed_setting(name, value) if may_derive else typed_value(name, value) for name, value in pairs}


def check_name(name: str) -> None:
    """InputError where a word names no hyperparameter."""
    if name not in HYPERPARAMETERS:
        raise InputError(f"no hyperparameter is called {shown(name)}{did_you_mean(name, HYPERPARAMETERS)}")


def _pieces(typed: str) -> Iterator[str]:
    """Split at the commas that are in no bracket and in no quotes; brackets around it all are left out."""
    text = typed.strip()
    if text.count("(") != text.count(")"):
        raise InputError(f"a bracket is open in {shown(text)}")
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
    """Return values spaced evenly, by ratio or by difference; the ends as they are typed."""
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
    """Return what is typed as a TOML value: a number as it is, anything else as a string."""
    try:
        value = tomllib.loads(f"x = {text}")["x"] if "\n" not in text else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, int | float | str):
        return text
    try:
        return repr(float(text))  # .5 and 1e+3 are numbers, too, but not for TOML
    except ValueError:
        return json.dumps(text, ensure_ascii=False)


def _plain(item: str) -> int | float | str:
    value: int | float | str = tomllib.loads(f"x = {item}")["x"]
    return value


def _checked(name: str, item: str) -> object:
    raw = _plain(item)
    if isinstance(raw, str) and HYPERPARAMETERS[name].kind is not str:
        raise InputError(f"{name} cannot be {shown(raw)}: write numbers, such as {SYNTAX}")
    try:
        return plain_value(name, raw)
    except ValueError as error:
        raise InputError(f"{name} {error}") from None
