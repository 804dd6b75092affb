"""The command that installs a missing package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from litegpt import extras

ROOT = Path(__file__).parents[1]


def test_in_a_checkout_the_pinned_versions_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert extras.install_command("torch").endswith(" -m pip install -c constraints.txt -e '.[train]'")


@pytest.mark.parametrize(
    ("record", "origin"),
    [(json.dumps({"url": "file:///wheels/litegpt_console.whl"}), " @ file:///wheels/litegpt_console.whl"), ("{", "")],
)
def test_elsewhere_it_comes_from_where_the_program_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str, origin: str
) -> None:
    installed = tmp_path / f"{extras.DISTRIBUTION.replace('-', '_')}-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {extras.DISTRIBUTION}\nVersion: 0.1.0\n")
    (installed / "direct_url.json").write_text(record, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "litegpt" / "extras.py"))
    assert extras.install_command("torch").endswith(f" -m pip install 'litegpt-console[train]{origin}'")
