"""The tree in README.md shows the first two levels of the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
INDENT = 4


def readme_tree() -> list[str]:
    """Return the paths in the README's tree, folders with a slash at the end."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## The repository\n")[2]
    block = section.split("```")[1].partition("\n")[2]
    paths, folder = [], ""
    for line in block.splitlines():
        entry = re.match(r"( *)(\S+)", line)
        assert entry, f"an empty line in the tree: {line!r}"
        indent, name = entry.groups()
        assert len(indent) in (0, INDENT), f"the tree has two levels: {line!r}"
        paths.append(folder + name if indent else name)
        if not indent:
            folder = name
    return paths


def repository_files() -> list[PurePosixPath]:
    """Return every tracked file, and every new file that git does not ignore."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [PurePosixPath(name) for name in listing.split("\0") if name and (ROOT / name).is_file()]


def test_every_folder_and_top_level_file_is_in_the_tree() -> None:
    expected = set()
    for file in repository_files():
        folders = [f"{folder}/" for folder in file.parents if 1 <= len(folder.parts) <= 2]
        expected.update(folders or [str(file)])
    assert sorted(expected - set(readme_tree())) == []


def test_every_entry_of_the_tree_exists() -> None:
    files = repository_files()
    on_disk = {str(file) for file in files} | {f"{folder}/" for file in files for folder in file.parents}
    assert [path for path in readme_tree() if path not in on_disk] == []


def test_the_tree_has_no_duplicates() -> None:
    paths = readme_tree()
    assert sorted(set(paths)) == sorted(paths)
