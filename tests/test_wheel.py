"""The wheel, installed into an empty environment, runs the first phase of the default study."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_runs_the_first_phase(tmp_path: Path) -> None:
    def run(*command: object) -> str:
        done = subprocess.run(
            list(map(str, command)), cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    run(sys.executable, "-m", "venv", "empty")
    binaries = tmp_path / "empty" / "bin"
    run(binaries / "pip", "wheel", "--no-deps", "--wheel-dir", "wheels", ROOT)
    (wheel,) = (tmp_path / "wheels").glob("litegpt_console-*.whl")
    run(binaries / "pip", "install", "--constraint", ROOT / "constraints.txt", f"{wheel}[train]")
    shutil.copy(ROOT / "experiments.toml", tmp_path)
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "data" / "novella.txt", tmp_path / "data")
    table = run(binaries / "litegpt-run", "experiments.toml", "--phase", "phase1", "--device", "cpu")
    assert "phase1: the best" in table
    assert "phase1" in run(binaries / "litegpt", "leaderboard", tmp_path / "results" / "experiments", "--json")
    assert "litegpt-tui" in run(binaries / "litegpt-tui", "--help")
    assert run(binaries / "python", "-m", "litegpt", "--version").strip()
