"""Who holds a study, and what a lock is worth that somebody has left."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.run.lock import FRESH_SECONDS, StudyHeldError, StudyLock, read_holder, runner_at_work


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study" / "runner.lock"


def leave(path: Path, host: str, pid: int, seconds_ago: float = 0) -> None:
    """Leave a lock as a runner does that was killed."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"format": 1, "host": host, "pid": pid, "since": "2026-11-24T00:00:00+00:00"}))
    os.utime(path, (time.time() - seconds_ago,) * 2)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_it_says_who_holds_it_and_nothing_afterwards(path: Path) -> None:
    with StudyLock(path) as lock:
        assert lock.left_by is None
        holder = runner_at_work(path)
        assert holder is not None
        assert (holder["format"], holder["host"], holder["pid"]) == (1, socket.gethostname(), os.getpid())
    assert read_holder(path) is None


def test_a_second_holder_is_told_who_the_first_is(path: Path) -> None:
    with StudyLock(path), pytest.raises(StudyHeldError, match=f"process {os.getpid()} on {socket.gethostname()}"):
        StudyLock(path).__enter__()


def test_a_lock_left_by_a_dead_process_is_taken_and_told(path: Path) -> None:
    leave(path, socket.gethostname(), dead_pid())
    assert runner_at_work(path) is None
    with StudyLock(path) as lock:
        assert lock.left_by is not None
        assert lock.left_by["host"] == socket.gethostname()


def test_a_lock_of_another_host_holds_while_it_is_renewed(path: Path) -> None:
    """Not every file system shares locks between hosts; the file's time tells."""
    leave(path, "elsewhere", 4242)
    assert runner_at_work(path) is not None
    with pytest.raises(StudyHeldError, match="process 4242 on elsewhere; if that machine is gone"):
        StudyLock(path).__enter__()
    leave(path, "elsewhere", 4242, FRESH_SECONDS + 1)
    assert runner_at_work(path) is None
    with StudyLock(path) as lock:
        assert lock.left_by is not None
        assert lock.left_by["host"] == "elsewhere"


def test_renewing_shows_that_the_holder_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StudyLock(path) as lock:
        os.utime(path, (0, 0))
        lock.renew()
        assert path.stat().st_mtime == 0, "not each time"
        now = time.monotonic() + FRESH_SECONDS / 2
        monkeypatch.setattr(time, "monotonic", lambda: now)
        lock.renew()
        assert path.stat().st_mtime > 0


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", '{"pid": "x"}', '{"pid": 1e99, "host": 5}', "\x1b[31m", "[" * 9999]
)
def test_a_lock_file_of_nonsense_stops_nobody(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    os.utime(path, (0, 0))
    assert runner_at_work(path) is None
    with StudyLock(path):
        pass


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    path.parent.mkdir()
    path.symlink_to(target)
    with pytest.raises(InputError):
        StudyLock(path).__enter__()
    assert target.read_text() == "kept"
