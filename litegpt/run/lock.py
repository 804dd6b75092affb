"""One runner a study: an advisory lock that the system lets go when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from litegpt.plan.errors import InputError


class StudyHeldError(Exception):
    """Another runner holds the study; commands print this and exit with 3."""


class StudyLock:
    """Hold `runner.lock` while a study runs; the file says who holds it. Raises StudyHeldError on entry where taken."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> StudyLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(f"no results can be written here: {error.strerror}", self.path.parent) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise StudyHeldError(self._explain()) from None
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(holder).encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.ftruncate(self._file, 0)  # whoever reads an empty lock knows that nobody holds it
        os.close(self._file)

    def _explain(self) -> str:
        holder = read_holder(self.path) or {}
        who = f"process {holder.get('pid', 'unknown')} on {holder.get('host', 'an unknown host')}"
        return f"{self.path.parent}: the study is held by another runner, {who}; wait for it, or stop that process"


def read_holder(path: Path) -> dict[str, object] | None:
    """Return what a lock file says of its holder, None where it says nothing."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return holder if isinstance(holder, dict) else None
