"""Shared by all commands: output, errors and exit codes."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum

from rich.console import Console

from litegpt.display import inert
from litegpt.errors import InputError

FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO))
"""Errors of a full or broken output device."""


class Exit(IntEnum):
    """Exit codes, a contract with scripts."""

    WELL = 0
    TRIALS_FAILED = 1  # some failed or diverged
    BAD_INPUT = 2
    HELD = 3  # by another runner
    INTERRUPTED = 130  # resumable


def narrator() -> Console:
    """Return the console for progress messages: stderr, without colour under NO_COLOR or on a dumb terminal."""
    return _Narrator(stderr=True, highlight=False, markup=False)


class _Narrator(Console):
    """A console that falls silent when its terminal is lost, instead of ending the command."""

    def _write_buffer(self) -> None:
        try:
            super()._write_buffer()
        except OSError:
            self.quiet = True


def complain(message: str) -> None:
    """Print one line on stderr, without control characters from quoted names."""
    print(f"litegpt: {inert(message)}", file=sys.stderr)


def guarded(command: Callable[[], Exit]) -> int:
    """Run a command and return its exit code; invalid input prints one line, never a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # Characters that the terminal's encoding lacks must not end the command.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()
        return code
    except InputError as error:
        complain(str(error))
        return Exit.BAD_INPUT
    except BrokenPipeError:
        # The reader has closed the pipe, as in `litegpt leaderboard ... | head`.
        _discard_output()
        return Exit.WELL
    except SystemExit as end:
        # rich turns a closed pipe into SystemExit.
        if isinstance(end.__context__, BrokenPipeError):
            return Exit.WELL
        raise
    except OSError as error:
        # Commands handle the errors of their own files, so this one most likely concerns stdout.
        if error.errno not in FULL:
            raise
        with suppress(OSError):
            sys.stdout.flush()
        _discard_output()
        complain(f"cannot be written: {error.strerror}")
        return Exit.BAD_INPUT
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
