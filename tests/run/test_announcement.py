from __future__ import annotations

import subprocess
from pathlib import Path

from litegpt.run.announcement import describe_commit


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_a_checkout_reports_its_commit_and_whether_it_has_changes(tmp_path: Path) -> None:
    assert describe_commit(tmp_path) is None
    git(tmp_path, "init")
    assert describe_commit(tmp_path) is None  # nothing is committed
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    clean = describe_commit(tmp_path)
    assert clean
    (tmp_path / "file").write_text("two")
    assert describe_commit(tmp_path) == f"{clean}-dirty"
    (tmp_path / "sub").mkdir()
    assert describe_commit(tmp_path / "sub") is None


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_commit(tmp_path) is None
