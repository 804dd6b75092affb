"""The lock of a study: only one runner at a time may write its results.

The system releases the lock when its process ends, however that happens. Its file also names the holder, for people and
for hosts that share the disk but not its locks. Some disks have no locks at all; there the named holder decides.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from litegpt.errors import InputError
from litegpt.files import SMALL_FILE_BYTES, read_json
from litegpt.results.folder import StudyFolder
from litegpt.run.requests import discard_requests

try:
    import fcntl
except ImportError:
    # Readers of results work on any system; only `StudyLock` needs the module.
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
RENEWAL_SECONDS = 10.0  # how often the holder renews the file's time
FRESH_SECONDS = 60.0  # the lock of another host counts for this long after a renewal
WAITING_CHARACTERS = 250  # of the reason why the holder waits
RESERVED_BYTES = 2048  # of the file, so that a full disk can still take that reason
HELD = frozenset((errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES))

Holder = Mapping[str, object]
"""The content of a lock file: format, host, pid, process, since, and waiting while the disk cannot be written."""


class StudyHeldError(Exception):
    """Another runner holds the study; commands print this and exit with 3."""


class StudyLock:
    """Holds `runner.lock` while a study runs. Raises StudyHeldError on entry if another runner holds it.

    `left_by` is the previous holder if it was killed: a runner that ends normally empties the file.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self.path = folder.lock
        self.left_by: Holder | None = None
        self._folder = folder
        self._renewed = time.monotonic()
        self._holder: dict[str, object] = {}

    def __enter__(self) -> StudyLock:
        require_locks()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
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
        is_locked = self._lock(holder)
        # A disk without locks, or with locks that other hosts do not see, needs the word of the named holder.
        is_elsewhere = holder is not None and holder.get("host") != socket.gethostname()
        if holder is not None and (is_elsewhere or not is_locked) and is_at_work(self.path, holder):
            advice = f"if its machine is gone, its lock expires after {FRESH_SECONDS:g} s"
            raise StudyHeldError(self._explain(holder, advice))
        self.left_by = holder
        # From the moment that the file names this process, commands send requests to it. Older ones do not count.
        discard_requests(self._folder)
        self._holder = {
            "format": FORMAT,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process": process_identity(os.getpid()),
            "since": datetime.now(UTC).isoformat(),
        }
        try:
            os.ftruncate(self._file, 0)
            self._write()
        except OSError as error:
            raise InputError(f"no results can be written here: {error.strerror}", self.path.parent) from None

    def _lock(self, holder: Holder | None) -> bool:
        """Lock the file, and return whether this disk has locks. StudyHeldError: another process holds it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in HELD:
                advice = "wait for it, or `litegpt stop` the study"
                raise StudyHeldError(self._explain(holder, advice)) from None
            return False
        return True

    def __exit__(self, *_: object) -> None:
        # An empty file tells readers that no runner holds the study.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)

    def renew(self) -> None:
        """Update the file's time every few seconds, which shows other hosts that the holder is alive."""
        now = time.monotonic()
        if now - self._renewed > RENEWAL_SECONDS:
            self._renewed = now
            with contextlib.suppress(OSError):
                os.utime(self._file)

    def set_waiting(self, reason: str | None) -> None:
        """Record why the holder waits, or with None that it does not.

        While the disk is full the journal cannot record a pause. This file needs no new space for it.
        """
        reason = None if reason is None else reason[:WAITING_CHARACTERS]
        if reason != self._holder.get("waiting"):
            self._holder.pop("waiting", None)
            if reason is not None:
                self._holder["waiting"] = reason
            with contextlib.suppress(OSError):
                self._write()

    def _write(self) -> None:
        # One write of constant length, so that a reader never finds a part of it.
        os.pwrite(self._file, json.dumps(self._holder).encode().ljust(RESERVED_BYTES), 0)

    def _explain(self, holder: Holder | None, advice: str) -> str:
        return f"{self.path.parent}: the study is held by another runner, {describe_holder(holder)}; {advice}"


def require_locks() -> None:
    """Raise InputError on a system without the file locks of POSIX."""
    if fcntl is None:
        raise InputError(f"studies cannot run on {sys.platform}: it lacks the file locks of POSIX systems")


def read_holder(path: Path) -> dict[str, object] | None:
    """Return the holder that a lock file names, None if it names none or cannot be read."""
    try:
        holder = read_json(path, SMALL_FILE_BYTES)
    except (OSError, ValueError):
        return None
    return holder if isinstance(holder, dict) else None


def is_at_work(path: Path, holder: Holder) -> bool:
    """Return whether the holder that a lock file names still runs.

    On this host its process decides, on another host the renewals of the file.
    """
    if holder.get("host") == socket.gethostname():
        pid, process = holder.get("pid"), holder.get("process")
        if not isinstance(pid, int) or not _is_alive(pid):
            return False
        # After a reboot or the restart of a container another process may have the same number.
        return not isinstance(process, str) or process == process_identity(pid)
    try:
        return abs(time.time() - path.stat().st_mtime) < FRESH_SECONDS
    except OSError:
        return False


def runner_at_work(path: Path) -> dict[str, object] | None:
    """Return the holder of a lock file if it still runs, None otherwise."""
    holder = read_holder(path)
    return holder if holder is not None and is_at_work(path, holder) else None


def describe_holder(holder: Holder | None) -> str:
    """Return a holder in words."""
    fields = holder or {}
    return f"process {fields.get('pid', 'unknown')} on {fields.get('host', 'an unknown host')}"


def process_identity(pid: int) -> str | None:
    """Return a text that no other process with this number has: boot and start time; None if the system hides it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The name of the program, which may contain anything, ends at the last parenthesis.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return f"{boot}:{fields[19]}"
    except (OSError, IndexError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        # The process belongs to another user.
        return True
    return True
