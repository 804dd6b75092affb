"""Errors caused by user input."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

WORD_MAX = 100  # characters; nothing that a user can mean is longer


class InputError(Exception):
    """Bad input: one line that names file, mistake and remedy. Commands print it and exit with 2."""

    def __init__(self, message: str, path: Path | str | None = None, line: int | None = None) -> None:
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the known word nearest to `word`, or an empty string if none is near."""
    nearest = difflib.get_close_matches(word[:WORD_MAX], list(known), n=1)
    return f" (did you mean '{nearest[0]}'?)" if nearest else ""
