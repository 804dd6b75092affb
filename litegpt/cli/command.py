"""What every command shares: where it prints, and how it ends."""

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
"""Why a device takes no more."""


class Exit(IntEnum):
    """Exit codes, a contract with scripts."""

    WELL = 0
    TRIALS_FAILED = 1  # some failed or diverged
    BAD_INPUT = 2
    HELD = 3  # by another runner
    INTERRUPTED = 130  # resumable


def narrator() -> Console:
    """Return the console for narration: stderr, without colour where NO_COLOR or a dumb terminal asks for it."""
    return _Narrator(stderr=True, highlight=False, markup=False)


class _Narrator(Console):
    """A console that a lost terminal silences: what is told is no reason to stop."""

    def _write_buffer(self) -> None:
        try:
            super()._write_buffer()
        except OSError:
            self.quiet = True


def complain(message: str) -> None:
    """Print one line on stderr, harmless whatever names it quotes."""
    print(f"litegpt: {inert(message)}", file=sys.stderr)


def guarded(command: Callable[[], Exit]) -> int:
    """Run a command; bad input is one clear line and exit code 2, never a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # what a terminal's encoding lacks is no reason to fail
    try:
        code = command()
        sys.stdout.flush()
        return code
    except InputError as error:
        complain(str(error))
        return Exit.BAD_INPUT
    except BrokenPipeError:  # the reader of a pipe has had enough: `litegpt leaderboard ... | head`
        _discard_output()
        return Exit.WELL
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich makes that of it
            return Exit.WELL
        raise
    except OSError as error:  # of standard output, most likely: what a command writes into files it sees to itself
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
