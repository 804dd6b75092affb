"""A disk that fills: the run pauses with a message, resumes on request, and damages nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from litegpt.results.check import check_study
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.run.requests import send_request
from tests.run.study_files import NewStudy, StudyFiles, wait_until

DISK_MB = 6
PHASES = """
[[phase]]
name = "only"
max_iters = 160
n_embd = 64
[phase.grid]
seed = [1, 2, 3]
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here: that takes root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def study(small_disk: Path, tmp_path: Path) -> Iterator[StudyFiles]:
    study = StudyFiles(tmp_path / "study", PHASES)
    study.results = small_disk / "tiny"
    study.journal = study.results / "journal.jsonl"
    yield study
    study.close()


def fill(disk: Path, leave: int) -> Path:
    """Fill the disk except for some bytes."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while (left := shutil.disk_usage(disk).free - leave) > 0:  # the runner writes at the same time
            file.write(b"\0" * left)
    return ballast


@pytest.fixture(scope="module")
def expected(new_study: NewStudy) -> dict[str, float]:
    study = new_study(PHASES)
    assert study.run().returncode == 0
    return losses(study)


def losses(study: StudyFiles) -> dict[str, float]:
    return {trial: ended["final_loss"] for (_, trial), ended in study.endings().items()}


@pytest.mark.parametrize("leave", [0, 5000, 400_000], ids=["journal", "lines", "checkpoints"])
def test_a_full_disk_pauses_the_run(
    study: StudyFiles, small_disk: Path, expected: dict[str, float], leave: int
) -> None:
    runner = study.start("--workers", "2")
    wait_until(lambda: study.metrics_lines() >= 4, "the trials are training")
    ballast = fill(small_disk, leave)
    folder = StudyFolder(small_disk, "tiny")
    narration = runner.stderr
    assert narration is not None
    line = next(line for line in iter(narration.readline, "") if line.startswith("paused: "))
    assert "cannot be written" in line
    assert "No space left on device" in line
    assert "litegpt resume" in line
    assert runner.poll() is None
    assert [f for f in check_study(folder, is_at_work=True).findings if f.repair != "sort out"] == []
    ballast.unlink()
    send_request(folder, "resume")
    out, err = runner.communicate(timeout=120)
    assert runner.returncode == 0, f"{out}\n{err}"
    study.assert_complete()
    assert check_study(folder, is_at_work=False).findings == []
    assert losses(study) == expected


def test_a_phase_that_does_not_fit_on_the_disk_pauses_before_it_starts(study: StudyFiles, small_disk: Path) -> None:
    ballast = fill(small_disk, 1_000_000)
    runner = study.start("--workers", "2")
    folder = StudyFolder(small_disk, "tiny")
    reason = wait_until(lambda: study.journal.exists() and read_journal(folder.journal).paused, "the run pauses")
    assert "only needs about" in reason
    assert not study.events("trial_started")
    ballast.unlink()
    send_request(folder, "resume")
    out, err = runner.communicate(timeout=120)
    assert runner.returncode == 0, f"{out}\n{err}"
    study.assert_complete()
    assert study.events("study_resumed")


def test_a_paused_run_can_be_stopped_and_resumed_later(study: StudyFiles, small_disk: Path) -> None:
    runner = study.start("--workers", "2")
    wait_until(lambda: study.metrics_lines() >= 4, "the trials are training")
    ballast = fill(small_disk, 0)
    narration = runner.stderr
    assert narration is not None
    next(line for line in iter(narration.readline, "") if line.startswith("paused: "))
    runner.terminate()
    runner.communicate(timeout=60)
    assert runner.returncode in (1, 130)
    study.assert_nothing_runs()
    ballast.unlink()
    again = study.start("--workers", "2")
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, f"{out}\n{err}"
    study.assert_complete()
    assert os.stat(study.journal).st_size > 0
