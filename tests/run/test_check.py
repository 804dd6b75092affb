"""`litegpt check` on results that were damaged on purpose, and their repair."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from litegpt.cli.main import main
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal

KEPT = Path(__file__).parents[1] / "results" / "written_by_0_1"
FIRST = "1x4-t8-b2-lr0.01-i20-7a01aedb"
OTHER = "1x4-t8-b2-lr0.1-i20-146020f0"
Damage = Callable[[StudyFolder], object]


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    (tmp_path / "kept" / "runner.lock").write_bytes(b"")
    return StudyFolder(tmp_path, "kept")


def check(folder: StudyFolder, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict[str, str]]]:
    capsys.readouterr()
    code = main(["check", str(folder.path), "--json", *options])
    return code, json.loads(capsys.readouterr().out)["findings"]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def drop_line(path: Path, number: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    del lines[number]
    path.write_text("".join(lines), encoding="utf-8")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)


def last_event(folder: StudyFolder, event: str, trial: str) -> str:
    lines = folder.journal.read_text(encoding="utf-8").splitlines()
    return next(line for line in reversed(lines) if event in line and trial in line)


def first(folder: StudyFolder, trial: str = FIRST) -> Path:
    return folder.path / "first" / trial


REPAIRABLE: dict[str, tuple[Damage, str, str]] = {
    "a missing evaluation": (lambda f: drop_line(first(f) / "metrics.jsonl", 1), "1 of 3 evaluations", "queued again"),
    "missing metrics": (lambda f: (first(f) / "metrics.jsonl").unlink(), "are missing", "queued again"),
    "another loss": (
        lambda f: edit(first(f) / "metrics.jsonl", '"step": 20, "train_loss": 1', '"step": 20, "train_loss": 2'),
        "train_loss is 2",
        "queued again",
    ),
    "a damaged line": (
        lambda f: edit(first(f) / "samples.jsonl", '{"step"', "garbage"),
        "a line is damaged",
        "1 lines moved",
    ),
    "an incomplete line": (lambda f: f.journal.open("a").write('{"event": "tri'), "incomplete", "1 lines moved"),
    "damaged weights": (
        lambda f: flip(first(f) / "best.safetensors"),
        "checksum is wrong",
        "renamed to best.safetensors.damaged",
    ),
    "a damaged checkpoint": (lambda f: flip(first(f) / "checkpoint.safetensors"), "checksum is wrong", "deleted"),
    "an interrupted write": (lambda f: (first(f) / "checkpoint.safetensors.tmp").touch(), "interrupted", "deleted"),
    "another count": (lambda f: edit(f.journal, '"done": 2', '"done": 3'), "ended with 3 done", "counted again"),
    "a killed runner": (
        lambda f: f.journal.open("a").write(last_event(f, "trial_started", OTHER) + "\n"),
        "was running",
        "queued again",
    ),
}


@pytest.mark.parametrize("name", REPAIRABLE)
def test_repairable_damage_is_found_and_repaired(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    damage, what, repair = REPAIRABLE[name]
    assert check(folder, capsys) == (0, [])
    damage(folder)
    before = sorted((path, path.read_bytes()) for path in folder.path.rglob("*") if path.is_file())
    code, (finding, *others) = check(folder, capsys)
    assert (code, others) == (1, [])
    assert what in finding["what"]
    after = sorted((path, path.read_bytes()) for path in folder.path.rglob("*") if path.is_file())
    assert before == after, "a plain check changes nothing"
    code, (finding,) = check(folder, capsys, "--repair")
    assert code == 0
    assert repair in finding["done"]
    assert check(folder, capsys) == (0, [])


WITHOUT_REPAIR: dict[str, tuple[Damage, str]] = {
    "an end recorded twice": (
        lambda f: f.journal.open("a").write(last_event(f, "trial_ended", OTHER) + "\n"),
        f"first/{OTHER} ended twice",
    ),
    "a link": (
        lambda f: (first(f) / "best.safetensors").unlink() or (first(f) / "best.safetensors").symlink_to("/dev/null"),
        "link",
    ),
    "a stranger": (lambda f: (f.path / "first" / "stranger").mkdir(), "a folder without a trial in the journal"),
    "a line that is lost": (lambda f: drop_line(f.journal, 0), "no beginning"),
}


@pytest.mark.parametrize("name", WITHOUT_REPAIR)
def test_damage_without_repair_is_reported(folder: StudyFolder, capsys: pytest.CaptureFixture[str], name: str) -> None:
    damage, what = WITHOUT_REPAIR[name]
    damage(folder)
    code, findings = check(folder, capsys)
    assert code == 1
    assert any(what in finding["what"] for finding in findings)


def test_requeueing_a_trial_reopens_its_phase(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (first(folder) / "metrics.jsonl").unlink()
    check(folder, capsys, "--repair")
    phase = read_journal(folder.journal).phases["first"]
    assert phase.ended is None
    assert phase.trials[FIRST].state == "queued"
    assert phase.trials[OTHER].state == "done"


def test_a_running_study_cannot_be_repaired(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (first(folder) / "metrics.jsonl").unlink()
    holder = {"format": 1, "host": "elsewhere", "pid": 1, "since": "2026-11-24T00:00:00+00:00"}
    folder.lock.write_text(json.dumps(holder), encoding="utf-8")
    assert main(["check", str(folder.path), "--repair"]) == 3
    assert "process 1 on elsewhere" in capsys.readouterr().err
    assert main(["check", str(folder.path)]) == 1
    assert "The study is running (process 1 on elsewhere)" in capsys.readouterr().out


def test_files_of_running_trials_are_not_reported(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.lock.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}), encoding="utf-8")
    with folder.journal.open("a") as journal:
        journal.write(last_event(folder, "trial_started", OTHER) + '\n{"event": "tri')
    (first(folder) / "best.safetensors.tmp").touch()
    assert check(folder, capsys) == (0, [])


def test_a_folder_without_a_journal_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 2
    assert "no" in capsys.readouterr().err


def test_imported_results_have_no_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They lack an evaluation at their last step, and their losses are recorded differently."""
    log = (
        "BEGINNING (1.0): Baseline LR(0.001) Heads(1) Embeddings(64) Block Size(32) Batch Size(32) Layers(2)\n"
        "step 0: train loss 4.6, val loss 4.7 [0.5 sec]\nstep 100: train loss 2.3, val loss 2.4 [1.5 sec]\n"
        "1.9\nTotal Training Time: 3.5 seconds\n"
    )
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "output.txt").write_text(log, encoding="utf-8")
    assert main(["import", str(tmp_path / "logs"), "--study", "theirs", "--results", str(tmp_path)]) == 0
    assert check(StudyFolder(tmp_path, "theirs"), capsys) == (0, [])
