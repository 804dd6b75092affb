"""The lock of a study, and locks that dead runners have left."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.run import lock as lock_module
from litegpt.run.lock import (
    FRESH_SECONDS,
    StudyHeldError,
    StudyLock,
    process_identity,
    read_holder,
    runner_at_work,
)
from litegpt.run.requests import send_request, take_requests


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path, "study")


def leave(folder: StudyFolder, host: str, pid: int, seconds_ago: float = 0, **more: object) -> None:
    """Write a lock as a killed runner leaves it."""
    folder.path.mkdir(exist_ok=True)
    holder = {"format": 1, "host": host, "pid": pid, "since": "2026-11-24T00:00:00+00:00", **more}
    folder.lock.write_text(json.dumps(holder))
    os.utime(folder.lock, (time.time() - seconds_ago,) * 2)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_lock_names_its_holder_and_is_empty_afterwards(folder: StudyFolder) -> None:
    with StudyLock(folder) as lock:
        assert lock.left_by is None
        holder = runner_at_work(folder.lock)
        assert holder is not None
        assert (holder["format"], holder["host"], holder["pid"]) == (1, socket.gethostname(), os.getpid())
    assert read_holder(folder.lock) is None


def test_a_second_runner_is_refused_with_the_name_of_the_first(folder: StudyFolder) -> None:
    with StudyLock(folder), pytest.raises(StudyHeldError, match=f"process {os.getpid()} on {socket.gethostname()}"):
        StudyLock(folder).__enter__()


def test_the_lock_of_a_dead_process_is_taken_over_and_reported(folder: StudyFolder) -> None:
    leave(folder, socket.gethostname(), dead_pid())
    assert runner_at_work(folder.lock) is None
    with StudyLock(folder) as lock:
        assert lock.left_by is not None
        assert lock.left_by["host"] == socket.gethostname()


def test_the_lock_of_another_host_counts_while_it_is_renewed(folder: StudyFolder) -> None:
    """Not every file system shares locks between hosts, so the file's time decides."""
    leave(folder, "elsewhere", 4242)
    assert runner_at_work(folder.lock) is not None
    with pytest.raises(StudyHeldError, match="process 4242 on elsewhere; if its machine is gone"):
        StudyLock(folder).__enter__()
    leave(folder, "elsewhere", 4242, FRESH_SECONDS + 1)
    assert runner_at_work(folder.lock) is None
    with StudyLock(folder) as lock:
        assert lock.left_by is not None
        assert lock.left_by["host"] == "elsewhere"


def test_renewing_updates_the_time_of_the_lock(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with StudyLock(folder) as lock:
        os.utime(folder.lock, (0, 0))
        lock.renew()
        assert folder.lock.stat().st_mtime == 0, "not each time"
        now = time.monotonic() + FRESH_SECONDS / 2
        monkeypatch.setattr(time, "monotonic", lambda: now)
        lock.renew()
        assert folder.lock.stat().st_mtime > 0


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", '{"pid": "x"}', '{"pid": 1e99, "host": 5}', "\x1b[31m", "[" * 9999]
)
def test_a_lock_file_with_nonsense_does_not_count(folder: StudyFolder, text: str) -> None:
    folder.path.mkdir()
    folder.lock.write_text(text)
    os.utime(folder.lock, (0, 0))
    assert runner_at_work(folder.lock) is None
    with StudyLock(folder):
        pass


def test_a_link_is_not_followed(folder: StudyFolder, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    folder.path.mkdir()
    folder.lock.symlink_to(target)
    with pytest.raises(InputError):
        StudyLock(folder).__enter__()
    assert target.read_text() == "kept"


def test_a_process_with_a_reused_number_does_not_hold_the_study(folder: StudyFolder) -> None:
    """After a reboot or the restart of a container, the number of a killed runner belongs to another process."""
    leave(folder, socket.gethostname(), os.getpid(), process="another boot:4711")
    assert runner_at_work(folder.lock) is None
    leave(folder, socket.gethostname(), os.getpid(), process=process_identity(os.getpid()))
    assert runner_at_work(folder.lock) is not None
    leave(folder, socket.gethostname(), os.getpid())
    assert runner_at_work(folder.lock) is not None, "older versions do not record the process"


NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@pytest.mark.parametrize("number", NO_LOCKS)
def test_on_a_disk_without_locks_the_named_holder_decides(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with StudyLock(folder), pytest.raises(StudyHeldError, match=f"process {os.getpid()}"):
        StudyLock(folder).__enter__()
    leave(folder, socket.gethostname(), dead_pid())
    with StudyLock(folder) as lock:
        assert lock.left_by is not None


def test_a_system_without_file_locks_is_refused_in_one_line(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "fcntl", None)
    with pytest.raises(InputError, match="it lacks the file locks"):
        StudyLock(folder).__enter__()


def test_only_requests_sent_before_the_lock_are_discarded(folder: StudyFolder) -> None:
    send_request(folder, "stop")
    with StudyLock(folder):
        assert take_requests(folder) == []
        send_request(folder, "stop")
        assert [request.kind for request in take_requests(folder)] == ["stop"]


def test_the_lock_says_that_its_holder_waits_for_the_disk(folder: StudyFolder) -> None:
    with StudyLock(folder) as lock:
        size = folder.lock.stat().st_size
        lock.set_waiting("no space left " + "ö" * 9999)
        holder = read_holder(folder.lock)
        assert holder is not None
        assert str(holder["waiting"]).startswith("no space left ö")
        assert folder.lock.stat().st_size == size, "a full disk has no room for more"
        lock.set_waiting(None)
        holder = read_holder(folder.lock)
        assert holder is not None
        assert "waiting" not in holder
