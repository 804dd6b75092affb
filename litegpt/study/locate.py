"""Where the keys of a TOML text are: tomllib gives values without their lines."""

from __future__ import annotations

import re
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""Table names and keys from the top; the tables of an array are numbered from 0: ("phase", 1, "grid", "n_embd")."""

_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_TABLE = re.compile(rf"\s*\[\s*({_DOTTED})\s*\]\s*(?:#.*)?")
_ARRAY_TABLE = re.compile(rf"\s*\[\[\s*({_DOTTED})\s*\]\]\s*(?:#.*)?")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, of every table header and of every key that starts a line."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}  # how many tables an array of tables has so far
    table: KeyPath = ()
    closing = ""  # the quotes that end the multi-line string that a line starts in
    for number, line in enumerate(text.split("\n"), start=1):
        if closing:
            closing = "" if line.count(closing) % 2 else closing
            continue
        if header := _ARRAY_TABLE.fullmatch(line.rstrip("\r")):
            array = _path(header[1], counts)
            counts[array] = counts.get(array, 0) + 1
            table = (*array, counts[array] - 1)
            lines.setdefault(array, number)
            lines[table] = number
        elif header := _TABLE.fullmatch(line.rstrip("\r")):
            table = _path(header[1], counts)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_names(key[1])), number)
        closing = next((quotes for quotes in ('"""', "'''") if line.count(quotes) % 2), "")
    return lines


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """Return the line of a key, or of the nearest table around it: an inline table's keys have no line of their own."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)


def _names(dotted: str) -> list[str]:
    return [name.strip("\"'") for name in re.findall(_NAME, dotted)]


def _path(dotted: str, counts: Mapping[KeyPath, int]) -> KeyPath:
    """Return a header's path; a name that is an array of tables before the last one means its latest table."""
    path: KeyPath = ()
    for name in _names(dotted):
        if path in counts:
            path = (*path, counts[path] - 1)
        path = (*path, name)
    return path
