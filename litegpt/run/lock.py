"""One runner a study: an advisory lock that the system lets go when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from litegpt.errors import InputError

FORMAT = 1
RENEWAL_SECONDS = 10.0  # how often a runner shows that it is there, by the file's time
FRESH_SECONDS = 60.0  # a lock of another host that was renewed since is held

Holder = Mapping[str, object]
"""What a lock file says: format, host, pid, and since when."""


class StudyHeldError(Exception):
    """Another runner holds the study; commands print this and exit with 3."""


class StudyLock:
    """Hold `runner.lock` while a study runs; the file says who holds it. Raises StudyHeldError on entry where taken.

    `left_by` is the holder before, where it was killed: a runner that ends empties the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_by: Holder | None = None
        self._renewed = time.monotonic()

    def __enter__(self) -> StudyLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self.path, flags, 0o644)
        except OSError as error:
            raise InputError(f"no results can be written here: {error.strerror}", self.path.parent) from None
        try:
            self._take()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def _take(self) -> None:
        holder = read_holder(self.path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            advice = "wait for it, or `litegpt stop` the study"
            raise StudyHeldError(self._explain(holder, advice)) from None
        if holder is not None and holder.get("host") != socket.gethostname() and is_at_work(self.path, holder):
            advice = f"if that machine is gone, its lock counts for nothing after {FRESH_SECONDS:g} s"
            raise StudyHeldError(self._explain(holder, advice))
        self.left_by = holder
        mine = {
            "format": FORMAT,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(),
        }
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps(mine).encode(), 0)
        except OSError as error:
            raise InputError(f"no results can be written here: {error.strerror}", self.path.parent) from None

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)  # whoever reads an empty lock knows that nobody holds it
        os.close(self._file)

    def renew(self) -> None:
        """Show that the holder is there, if it is time to: hosts that share a disk need not share its locks."""
        now = time.monotonic()
        if now - self._renewed > RENEWAL_SECONDS:
            self._renewed = now
            with contextlib.suppress(OSError):
                os.utime(self._file)

    def _explain(self, holder: Holder | None, advice: str) -> str:
        return f"{self.path.parent}: the study is held by another runner, {describe_holder(holder)}; {advice}"


def read_holder(path: Path) -> dict[str, object] | None:
    """Return what a lock file says of its holder, None where it says nothing."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return holder if isinstance(holder, dict) else None


def is_at_work(path: Path, holder: Holder) -> bool:
    """Tell whether the holder that a lock file names is there still: its process, or on another host its renewals."""
    pid = holder.get("pid")
    if holder.get("host") == socket.gethostname():
        return isinstance(pid, int) and _is_alive(pid)
    try:
        return abs(time.time() - path.stat().st_mtime) < FRESH_SECONDS
    except OSError:
        return False


def runner_at_work(path: Path) -> dict[str, object] | None:
    """Return the holder of a lock file if it is at work, None where there is none or it was killed."""
    holder = read_holder(path)
    return holder if holder is not None and is_at_work(path, holder) else None


def describe_holder(holder: Holder | None) -> str:
    """Return a holder in words."""
    known = holder or {}
    return f"process {known.get('pid', 'unknown')} on {known.get('host', 'an unknown host')}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True
