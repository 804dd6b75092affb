"""Saving an edited study file."""

from __future__ import annotations

from pathlib import Path

from litegpt.errors import InputError
from litegpt.files import locked, write_whole
from litegpt.study.document import read_text


class FileChangedError(InputError):
    """The study file is no longer what was read, so an edit of it was not written."""


def save(path: Path, text: str, expected: str) -> None:
    """Replace a study file in one step, if it still is `expected`, the text as it was read.

    Comparison and replacement happen under a lock, so of several simultaneous edits only one is written. Raises
    FileChangedError if the text is another. InputError: the file cannot be written.
    """
    target = path.resolve()  # a symlink stays a symlink
    try:
        with locked(target):
            if read_text(target) != expected:
                raise FileChangedError("changed on disk since it was read: nothing was written", path)
            write_whole(target, text.encode())
    except FileNotFoundError:
        raise FileChangedError("changed on disk since it was read: it no longer exists", path) from None
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", path) from None
