from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from litegpt.files import write_whole


def test_a_file_is_replaced_and_no_other_file_remains(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    write_whole(path, b"one")
    path.chmod(0o640)
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    path, precious = tmp_path / "notes.json", tmp_path / "precious"
    precious.write_bytes(b"mine")
    path.symlink_to(precious)
    write_whole(path, b"new")
    assert (path.is_symlink(), path.read_bytes(), precious.read_bytes()) == (False, b"new", b"mine")


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes.json"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_concurrent_writers_do_not_interfere(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    contents = [bytes([letter]) * 100_000 for letter in b"abcd"]
    failures: list[OSError] = []

    def write(data: bytes) -> None:
        try:
            for _ in range(5):
                write_whole(path, data)
        except OSError as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(data,)) for data in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
