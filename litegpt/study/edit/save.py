"""Saving an edited study file."""

from __future__ import annotations

from pathlib import Path

from litegpt.errors import InputError
from litegpt.files import write_whole
from litegpt.study.document import read_text


def save(path: Path, text: str, expected: str) -> None:
    """Replace a study file in one step. InputError: its text is no longer `expected`, the text as it was read."""
    target = path.resolve()  # a symlink stays a symlink
    if read_text(target) != expected:
        raise InputError("changed on disk since it was read: nothing was written", path)
    try:
        write_whole(target, text.encode())
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", path) from None
