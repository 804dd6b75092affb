"""Requests to a running study: pause, resume, stop and retry; and edits of its file meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from litegpt.cli.main import main
from litegpt.results.events import StudyInterrupted, StudyPaused, StudyResumed
from litegpt.results.fold import fold
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.state import StudyState
from litegpt.run.edited import edits
from litegpt.run.requests import Request, requests_folder, send_request, take_requests
from litegpt.study.study import read_study
from tests.run.study_files import NewStudy, StudyFiles, wait_until

KEPT = Path(__file__).parents[1] / "results" / "written_by_0_1"
DIVERGED = "1x4-t8-b2-lr1e+06-i20-b18b263e"
PHASES = """
[[phase]]
name = "first"
max_iters = 40
[[phase.trial]]
learning_rate = 1e6

[[phase]]
name = "second"
max_iters = 100_000
[phase.grid]
seed = [1, 2]
"""


@pytest.fixture(scope="module")
def at_work(new_study: NewStudy) -> Iterator[StudyFiles]:
    """A study in its second phase. The tests that use it depend on their order."""
    study = new_study(PHASES)
    runner = study.start("--workers", "2")
    wait_until(lambda: study.events("trial_started", "second"), "the second phase begins")
    yield study
    if runner.poll() is None:
        runner.kill()
        runner.communicate()


def litegpt(study: StudyFiles, command: str, *more: str) -> int:
    return main([command, str(study.file), *more, "--results", str(study.results.parent)])


def read_status(study: StudyFiles, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert litegpt(study, "status", "--json") == 0
    status: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status


def test_a_pause_is_recorded_and_a_resume_ends_it(at_work: StudyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert litegpt(at_work, "pause") == 0
    wait_until(lambda: not read_status(at_work, capsys)["phases"][1]["running"], "the trials at work stop")
    status = read_status(at_work, capsys)
    assert "on request" in status["paused"]
    assert [phase["running"] for phase in status["phases"]] == [0, 0]
    assert list(at_work.results.glob("second/*/checkpoint.safetensors"))
    litegpt(at_work, "status")
    assert "paused: on request" in " ".join(capsys.readouterr().out.split())
    started = len(at_work.events("trial_started"))
    assert litegpt(at_work, "resume") == 0
    wait_until(lambda: len(at_work.events("trial_started")) > started, "the trial resumes")
    assert read_status(at_work, capsys)["paused"] is None


def test_a_stop_of_a_phase_without_unfinished_trials_is_refused(
    at_work: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert litegpt(at_work, "stop", "--phase", "first") == 2
    assert "phase 'first' has no trial that could be stopped" in capsys.readouterr().err
    assert litegpt(at_work, "pause", "--phase", "first") == 2
    assert "pause concerns the whole run" in capsys.readouterr().err
    send_request(StudyFolder(at_work.results.parent, "tiny"), "stop", "first")
    wait_until(lambda: not list(requests_folder(StudyFolder(at_work.results.parent, "tiny")).glob("*")), "it is read")
    assert read_status(at_work, capsys)["runner"] is not None
    assert not at_work.events("study_interrupted")


def test_a_trial_of_an_ended_phase_can_be_retried(at_work: StudyFiles) -> None:
    (diverged,) = at_work.settings("first")
    assert len(at_work.events("phase_ended", "first")) == 1
    assert litegpt(at_work, "retry", diverged) == 0
    wait_until(lambda: at_work.events("trial_requeued", "first"), "it is queued")
    for trial in at_work.settings("second"):
        assert litegpt(at_work, "stop", trial) == 0
    wait_until(lambda: len(at_work.events("phase_ended", "first")) == 2, "its phase ends again")
    ended = at_work.events("trial_ended", "first")
    assert [record["attempt"] for record in ended] == [1, 2]
    assert [record["failure"] for record in ended] == ["diverged", "diverged"]
    wait_until(lambda: at_work.events("study_ended"), "the study ends")


@pytest.fixture
def kept(tmp_path: Path) -> StudyFiles:
    """An ended study with a diverged trial and no runner."""
    shutil.copytree(KEPT, tmp_path / "results", dirs_exist_ok=True)
    study = StudyFiles.__new__(StudyFiles)
    study.results = tmp_path / "results" / "kept"
    study.journal, study.file = study.results / "journal.jsonl", tmp_path / "kept.toml"
    (study.results / "runner.lock").write_bytes(b"")
    shutil.copy(study.results / "study.toml", study.file)
    return study


def test_retry_needs_no_runner(kept: StudyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert litegpt(kept, "retry", DIVERGED) == 0
    assert "queued again" in capsys.readouterr().err
    first = read_journal(kept.journal).phases["first"]
    assert (first.trials[DIVERGED].state, first.ended) == ("queued", None)
    assert litegpt(kept, "retry") == 0
    assert "no trial failed" in capsys.readouterr().err


def test_options_may_be_written_between_the_study_and_its_trials(kept: StudyFiles, tmp_path: Path) -> None:
    arguments = ["retry", str(kept.file), "--results", str(tmp_path / "results"), DIVERGED, "--phase", "first"]
    assert main(arguments) == 0
    assert read_journal(kept.journal).phases["first"].trials[DIVERGED].state == "queued"


@pytest.mark.parametrize("command", ["pause", "resume", "stop"])
def test_stop_pause_and_resume_need_a_runner(
    kept: StudyFiles, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (kept.results / "runner.lock").write_text(json.dumps({"host": socket.gethostname(), "pid": 2**22 + 1}))
    assert litegpt(kept, command) == 2
    assert "no runner holds this study" in capsys.readouterr().err


def test_status_reports_a_killed_runner(kept: StudyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    holder = {"host": socket.gethostname(), "pid": 2**22 + 1}
    (kept.results / "runner.lock").write_text(json.dumps(holder))
    status = read_status(kept, capsys)
    assert status["runner"] is None
    assert status["killed"] == holder
    litegpt(kept, "status")
    assert "was killed" in " ".join(capsys.readouterr().out.split())


def test_a_pause_ends_with_its_run() -> None:
    state = StudyState()
    fold(state, StudyPaused(reason="full").record())
    assert state.paused == "full"
    fold(state, StudyResumed().record())
    assert state.paused is None
    fold(state, StudyPaused(reason="full").record())
    fold(state, StudyInterrupted(reason="x").record())
    assert state.paused is None


EDITS = {
    "nothing": ("", "", []),
    "a value": ("0.1,\n]", "0.1,\n    0.2,\n]", ["first has 1 more trials"]),
    "a length": ("max_iters = 20", "max_iters = 25", ["first has 3 more and 3 fewer trials"]),
    "a cut": ("validation_fraction = 0.1", "validation_fraction = 0.2", ["validation_fraction is 0.2, it was 0.1"]),
    "another split": ("keep = ", "split = 'blocks'\nkeep = ", ["split is blocks, it was last"]),
    "a name": ('name = "second"', 'name = "third"', ["third is new", "second is gone"]),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_of_the_study_file_are_reported(kept: StudyFiles, name: str) -> None:
    old, new, expected = EDITS[name]
    text = kept.file.read_text(encoding="utf-8")
    assert old in text
    kept.file.write_text(text.replace(old, new, 1), encoding="utf-8")
    folder = StudyFolder(kept.results.parent, "kept")
    found = edits(read_study(kept.file), read_journal(kept.journal), folder)
    assert found == expected


def test_requests_are_read_once_in_order(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "s")
    send_request(folder, "pause")
    send_request(folder, "retry", "p", ["t"])
    assert take_requests(folder) == [Request("pause"), Request("retry", "p", ("t",))]
    assert take_requests(folder) == []


NONSENSE = [b"", b"null", b"[]", b'{"kind": "format disk"}', b'{"kind": "stop", "trials": 5}', b"\xff", b"[" * 99999]


@pytest.mark.parametrize("data", NONSENSE)
def test_a_nonsensical_request_is_deleted(tmp_path: Path, data: bytes) -> None:
    folder = StudyFolder(tmp_path, "s")
    path = requests_folder(folder) / "1.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert take_requests(folder) == []
    assert not path.exists()


def test_a_request_that_is_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "s")
    requests_folder(folder).mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"kind": "stop"}')
    (requests_folder(folder) / "1.json").symlink_to(elsewhere)
    os.mkfifo(requests_folder(folder) / "2.json")
    assert take_requests(folder) == []
    assert elsewhere.exists()
