"""Study files are replaced whole, and simultaneous edits do not overwrite each other."""

from __future__ import annotations

import errno
import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.files import locked, write_whole
from litegpt.study.document import read_text
from litegpt.study.edit.append import append_phase
from litegpt.study.edit.phase_text import free_phase_name
from litegpt.study.edit.save import FileChangedError, save

EDITORS, EDITS = 4, 10


def test_saving_replaces_the_file_whole(tmp_path: Path) -> None:
    path, link = tmp_path / "study.toml", tmp_path / "link.toml"
    path.write_text("old\n", encoding="utf-8")
    path.chmod(0o640)
    link.symlink_to(path)
    save(link, "new\n", expected="old\n")
    assert link.is_symlink()
    assert path.read_text(encoding="utf-8") == "new\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(tmp_path.iterdir()) == [link, path]


def test_saving_over_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("theirs\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"study\.toml: changed on disk since it was read: nothing was written"):
        save(path, "mine\n", expected="old\n")
    assert path.read_text(encoding="utf-8") == "theirs\n"


def test_an_edit_that_waited_for_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("old\n", encoding="utf-8")
    with ThreadPoolExecutor(1) as threads:
        with locked(path):
            mine = threads.submit(save, path, "mine\n", "old\n")
            write_whole(path, b"theirs\n")
        with pytest.raises(FileChangedError):
            mine.result()
    assert path.read_text(encoding="utf-8") == "theirs\n"


def test_no_simultaneous_edit_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("", encoding="utf-8")

    def edit(editor: int) -> list[str]:
        written: list[str] = []
        while len(written) < EDITS:
            text = read_text(path)
            name = free_phase_name(written, f"editor{editor}-")
            try:
                save(path, append_phase(text, {"name": name}), expected=text)
            except FileChangedError:
                continue
            written.append(name)
        return written

    with ThreadPoolExecutor(EDITORS) as threads:
        written = [name for names in threads.map(edit, range(EDITORS)) for name in names]
    text = read_text(path)
    assert len(written) == EDITORS * EDITS
    assert [name for name in written if f'"{name}"' not in text] == []


def test_a_file_that_is_locked_for_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litegpt.files.LOCK_SECONDS", 0.0)
    path = tmp_path / "study.toml"
    path.write_text("old\n", encoding="utf-8")
    with locked(path), pytest.raises(InputError, match="another process is writing this file"):
        save(path, "mine\n", expected="old\n")


def test_a_disk_without_locks_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "study.toml"
    path.write_text("old\n", encoding="utf-8")
    save(path, "new\n", expected="old\n")
    assert path.read_text(encoding="utf-8") == "new\n"


def test_a_file_that_disappears_is_not_written_again(tmp_path: Path) -> None:
    with pytest.raises(FileChangedError, match="no longer exists"):
        save(tmp_path / "study.toml", "new\n", expected="old\n")
