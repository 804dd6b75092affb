"""A TOML file as text and data, and errors that name its lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from litegpt.errors import InputError, did_you_mean
from litegpt.study.locate import KeyPath, key_lines, line_of
from litegpt.study.settings import shown

TEXT_BYTES_MAX = 1 << 24  # a study of thousands of listed trials has less than a tenth of that

_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


class Document:
    """The text of a study file, parsed; InputError where it is no TOML."""

    def __init__(self, text: str, path: Path) -> None:
        self.text, self.path = text, path
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
        except (ValueError, RecursionError) as error:  # an integer of thousands of digits; arrays nested without end
            raise InputError(f"is not TOML: {error}", path) from None

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return key_lines(self.text)

    def error(self, message: str, *key: str | int) -> InputError:
        """Return the error to raise about a key: it names the file and the line."""
        return InputError(message, self.path, line_of(key, self._lines) or 1)

    def table(self, value: object, *key: str | int) -> dict[str, Any]:
        """Return `value` if it is a table."""
        if not isinstance(value, dict):
            raise self.error(f"{_last(key)} must be a table, not {shown(value)}", *key)
        return value

    def tables(self, value: object, *key: str | int) -> list[dict[str, Any]]:
        """Return `value` if it is a list of tables."""
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            header = ".".join(part for part in key if isinstance(part, str))
            raise self.error(f"{_last(key)} must be tables, each headed [[{header}]]", *key)
        return value

    def check_keys(self, table: Mapping[str, object], known: Collection[str], *key: str | int) -> None:
        """InputError on the first key of a table that is none of the known."""
        for name in table:
            if name not in known:
                hint = did_you_mean(name, known) or f": one of {', '.join(sorted(known))}"
                raise self.error(f"unknown key {shown(name)} in {_header(key)}{hint}", *key, name)


def read_text(path: Path) -> str:
    """Return the text of a study file, line ends as they are; InputError where there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(TEXT_BYTES_MAX + 1)
        if len(data) > TEXT_BYTES_MAX:
            raise InputError(f"is larger than {TEXT_BYTES_MAX >> 20} MB, and no study file", path)
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", path) from None
    except IsADirectoryError:
        raise InputError("is a folder, not a study file", path) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError("is not UTF-8 text", path, line) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path) from None
    except ValueError:  # a null character in the name
        raise InputError("no such file", shown(str(path))) from None


def _last(key: KeyPath) -> str:
    return next((part for part in reversed(key) if isinstance(part, str)), "the file")


def _header(key: KeyPath) -> str:
    names = ".".join(part for part in key if isinstance(part, str))
    if not names:
        return "the file"
    return f"[[{names}]]" if isinstance(key[-1], int) else f"[{names}]"
