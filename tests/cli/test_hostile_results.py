"""No file of a results folder can hang a command, end it with a traceback, or make it publish a private file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_matrix(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> None:
    command = [sys.executable, "-m", "tests.cli.hostile_matrix", str(folder), *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    with capsys.disabled():
        print(f"\n{result['cases']} cases of file, mutation and command", end=" ")  # noqa: T201
    assert result["problems"] == []


@pytest.mark.slow
def test_every_file_in_every_form_with_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_matrix(tmp_path, capsys, "--full")


def test_every_file_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_matrix(tmp_path, capsys)
