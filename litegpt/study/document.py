"""A TOML file as text and data, and errors that name its lines."""

from __future__ import annotations

import errno
import re
import tomllib
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from litegpt.errors import InputError, did_you_mean
from litegpt.files import read_regular
from litegpt.study.settings import short_repr

TEXT_BYTES_MAX = 1 << 22
"""The largest study file. Thousands of listed trials have less than a tenth of that."""
KEY_PARTS_MAX = 8
"""The largest number of names in a dotted key. The time that tomllib takes grows with the cube of that number."""

KeyPath = tuple[str | int, ...]
"""Table names and keys from the top; the tables of an array are numbered from 0: ("phase", 1, "grid", "n_embd")."""

_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_TABLE = re.compile(rf"\s*\[\s*({_DOTTED})\s*\]\s*(?:#.*)?")
_ARRAY_TABLE = re.compile(rf"\s*\[\[\s*({_DOTTED})\s*\]\]\s*(?:#.*)?")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
_STRING = re.compile(r""""(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$)""")
_BETWEEN_KEYS = re.compile(r"[=,\[\]{}]")
_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


class Document:
    """The text of a study file and its data. InputError: the text is not TOML."""

    def __init__(self, text: str, path: Path) -> None:
        self.text, self.path = text, path
        if line := _line_of_long_key(text):
            raise InputError(f"has a key of more than {KEY_PARTS_MAX} dotted names", path, line)
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            position = _POSITION.search(str(error))
            if position is None:
                raise InputError(f"is not TOML: {' '.join(str(error).split())}", path) from None
            what = " ".join(str(error)[: position.start()].split())
            line = int(position[1]) if position[1] else text.rstrip().count("\n") + 1
            where = f"column {position[2]}" if position[2] else "at its end"
            raise InputError(f"is not TOML: {what} ({where})", path, line) from None
        # An integer of thousands of digits is a ValueError, deeply nested arrays are a RecursionError.
        except (ValueError, RecursionError) as error:
            raise InputError(f"is not TOML: {error}", path) from None

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return key_lines(self.text)

    def error(self, message: str, *key: str | int) -> InputError:
        """Return an error about a key; it names the file and the line."""
        return InputError(message, self.path, line_of(key, self._lines) or 1)

    def table(self, value: object, *key: str | int) -> dict[str, Any]:
        """Return `value`, which must be a table."""
        if not isinstance(value, dict):
            raise self.error(f"{_last(key)} must be a table, not {short_repr(value)}", *key)
        return value

    def tables(self, value: object, *key: str | int) -> list[dict[str, Any]]:
        """Return `value`, which must be a list of tables."""
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            header = ".".join(part for part in key if isinstance(part, str))
            raise self.error(f"{_last(key)} must be tables, each headed [[{header}]]", *key)
        return value

    def check_keys(self, table: Mapping[str, object], known: Collection[str], *key: str | int) -> None:
        """Raise InputError for the first key of a table that is not one of the known keys."""
        for name in table:
            if name not in known:
                hint = did_you_mean(name, known) or f": one of {', '.join(sorted(known))}"
                raise self.error(f"unknown key {short_repr(name)} in {_header(key)}{hint}", *key, name)


def read_text(path: Path, *, follow_links: bool = True) -> str:
    """Return the text of a study file with its own line ends. InputError: the file cannot be read.

    A user's own study file may be a link. The one in a results folder, which may come from a stranger, is read with
    `follow_links=False`.
    """
    try:
        return read_regular(path, TEXT_BYTES_MAX, follow_links=follow_links).decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", path) from None
    except IsADirectoryError:
        raise InputError("is a folder, not a study file", path) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError("is not UTF-8 text", path, line) from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise InputError(f"is larger than {TEXT_BYTES_MAX >> 20} MB: not a study file", path) from None
        if "\0" in str(path):
            raise InputError("no such file", short_repr(str(path))) from None
        raise InputError(f"cannot be read: {error.strerror}", path) from None


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, of every table header and of every key that starts a line."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}  # how many tables an array of tables has so far
    table: KeyPath = ()
    closing = ""  # the quotes that end a multi-line string, inside of one
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
    """Return the line of a key, or of the nearest table around it, because keys of inline tables have no entry."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)


def _line_of_long_key(text: str) -> int | None:
    """Return the line of the first key with too many dotted names."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") < KEY_PARTS_MAX:
            continue
        # Strings and comments can contain anything, so they must not hide or imitate the dots of a key.
        code = _STRING.sub("x", line).partition("#")[0]
        if any(part.count(".") >= KEY_PARTS_MAX for part in _BETWEEN_KEYS.split(code)):
            return number
    return None


def _last(key: KeyPath) -> str:
    return next((part for part in reversed(key) if isinstance(part, str)), "the file")


def _header(key: KeyPath) -> str:
    names = ".".join(part for part in key if isinstance(part, str))
    if not names:
        return "the file"
    return f"[[{names}]]" if isinstance(key[-1], int) else f"[{names}]"


def _names(dotted: str) -> list[str]:
    return [name.strip("\"'") for name in re.findall(_NAME, dotted)]


def _path(dotted: str, counts: Mapping[KeyPath, int]) -> KeyPath:
    """Return the path of a header. A name of an array of tables means the latest table of the array."""
    path: KeyPath = ()
    for name in _names(dotted):
        if path in counts:
            path = (*path, counts[path] - 1)
        path = (*path, name)
    return path
