"""Child processes import nothing from the current folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from litegpt.processes import module_command
from tests.run.conftest import new_study as new_study
from tests.run.study_files import ROOT, NewStudy, wait_until

PHASES = """
[[phase]]
name = "only"
max_iters = 20
[phase.grid]
seed = [1]
"""
TRAP = "open({mark!r}, 'a').write(__name__)\n"
MODULES = ("torch", "numpy", "random", "queue", "tui", "litegpt", "sitecustomize", "multiprocessing")
ENCODE = """
from litegpt.train import parallel_encoding
from litegpt.train.vocabulary import learn_byte_pairs
parallel_encoding.cores = lambda: 2
if __name__ == "__main__":
    tokenizer = learn_byte_pairs(iter(["the cat sat on the mat " * 50]), 270)
    print(sum(map(len, parallel_encoding.encode_long(tokenizer, ["the cat sat on the mat " * 50]))) > 0)
"""


@pytest.fixture
def trapped(tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder full of modules that leave a mark when they are imported, and the file of that mark."""
    folder = tmp_path / "study"
    folder.mkdir()
    mark = tmp_path / "mark"
    for module in MODULES:
        (folder / f"{module}.py").write_text(TRAP.format(mark=str(mark)), encoding="utf-8")
    return folder, mark


@pytest.mark.parametrize("options", [(), ("--detach",)], ids=["foreground", "detached"])
def test_a_run_imports_nothing_from_the_current_folder(
    new_study: NewStudy, trapped: tuple[Path, Path], options: tuple[str, ...]
) -> None:
    folder, mark = trapped
    study = new_study(PHASES)
    command = module_command("litegpt.cli.run", str(study.file), "--results", str(study.results.parent))
    ran = subprocess.run(
        [*command, "--device", "cpu", "--workers", "1", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    wait_until(lambda: study.events("study_ended"), "the study ends")
    assert not mark.exists(), mark.read_text()


def test_a_pool_imports_nothing_from_the_current_folder(trapped: tuple[Path, Path], tmp_path: Path) -> None:
    folder, mark = trapped
    script = tmp_path / "script.py"
    script.write_text(ENCODE, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout.strip() == "True", ran.stderr
    assert not mark.exists(), mark.read_text()


def test_every_child_process_is_started_safely() -> None:
    """Only `module_command` may start the interpreter; `extras` names it in the text of a message."""
    sources = [path for folder in ("litegpt", "tui") for path in (ROOT / folder).rglob("*.py")]
    naming = {path.name for path in sources if re.search(r"\bsys\.executable\b", path.read_text(encoding="utf-8"))}
    assert naming == {"processes.py", "extras.py"}
