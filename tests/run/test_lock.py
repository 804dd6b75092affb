"""The lock of a study, and locks that dead runners have left."""

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
    """Write a lock as a killed runner leaves it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"format": 1, "host": host, "pid": pid, "since": "2026-11-24T00:00:00+00:00"}))
    os.utime(path, (time.time() - seconds_ago,) * 2)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_lock_names_its_holder_and_is_empty_afterwards(path: Path) -> None:
    with StudyLock(path) as lock:
        assert lock.left_by is None
        holder = runner_at_work(path)
        assert holder is not None
        assert (holder["format"], holder["host"], holder["pid"]) == (1, socket.gethostname(), os.getpid())
    assert read_holder(path) is None


def test_a_second_runner_is_refused_with_the_name_of_the_first(path: Path) -> None:
    with StudyLock(path), pytest.raises(StudyHeldError, match=f"process {os.getpid()} on {socket.gethostname()}"):
        StudyLock(path).__enter__()


def test_the_lock_of_a_dead_process_is_taken_over_and_reported(path: Path) -> None:
    leave(path, socket.gethostname(), dead_pid())
    assert runner_at_work(path) is None
    with StudyLock(path) as lock:
        assert lock.left_by is not None
        assert lock.left_by["host"] == socket.gethostname()


def test_the_lock_of_another_host_counts_while_it_is_renewed(path: Path) -> None:
    """Not every file system shares locks between hosts, so the file's time decides."""
    leave(path, "elsewhere", 4242)
    assert runner_at_work(path) is not None
    with pytest.raises(StudyHeldError, match="process 4242 on elsewhere; if that machine is gone"):
        StudyLock(path).__enter__()
    leave(path, "elsewhere", 4242, FRESH_SECONDS + 1)
    assert runner_at_work(path) is None
    with StudyLock(path) as lock:
        assert lock.left_by is not None
        assert lock.left_by["host"] == "elsewhere"


def test_renewing_updates_the_time_of_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_lock_file_with_nonsense_does_not_count(path: Path, text: str) -> None:
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
