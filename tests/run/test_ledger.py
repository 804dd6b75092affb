"""What a runner writes when the disk does not take it, and what it leaves alone."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.results.events import StudyPaused, StudyResumed
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal
from litegpt.run.hold_up import HoldUp
from litegpt.run.ledger import Ledger, RunnerError
from litegpt.run.requests import send_request

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path, "s")


def told(folder: StudyFolder) -> list[str]:
    return [json.loads(line)["event"] for line in folder.journal.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """Errors that the next appends to a journal raise."""
    errors: list[OSError] = []
    append = Journal.append

    def fail(journal: Journal, *events: object) -> None:
        if errors:
            raise errors.pop()
        append(journal, *events)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "append", fail)
    return errors


def test_what_the_disk_does_not_take_is_tried_again(folder: StudyFolder, full_disk: list[OSError]) -> None:
    waited: list[OSError] = []
    with Ledger(folder, waited.append) as ledger:
        full_disk += [FULL, FULL]
        ledger.append(StudyPaused(reason="x"))
        assert ledger.state.paused == "x"
    assert waited == [FULL, FULL]
    assert told(folder) == ["study_opened", "study_paused"]


def test_who_gives_up_writes_no_more(folder: StudyFolder, full_disk: list[OSError]) -> None:
    def give_up(error: OSError) -> None:
        raise RunnerError("stopped")

    with Ledger(folder, give_up) as ledger:
        full_disk.append(FULL)
        with pytest.raises(RunnerError):
            ledger.append(StudyPaused(reason="x"))
        ledger.append(StudyResumed())
    assert told(folder) == ["study_opened"]


def test_a_hold_up_ends_when_somebody_resumes(folder: StudyFolder) -> None:
    shown: list[str | None] = []

    def show() -> None:
        shown.append(hold_up.reason)
        send_request(folder, "resume")

    hold_up = HoldUp(folder, show, lambda event: None)
    errors = [FULL]

    def act() -> str:
        if errors:
            raise errors.pop()
        return "written"

    assert hold_up.insist(act) == "written"
    (reason,) = shown
    assert reason is not None
    assert "No space left on device" in reason
    assert hold_up.reason is None


@pytest.mark.parametrize("how", ["request", "signal"])
def test_a_hold_up_can_be_stopped(folder: StudyFolder, how: str) -> None:
    def show() -> None:
        if how == "request":
            send_request(folder, "stop")
        else:
            hold_up.stop()

    hold_up = HoldUp(folder, show, lambda event: None)
    with pytest.raises(RunnerError, match="put right by the next run"):
        hold_up.wait(FULL)


def test_a_journal_of_a_later_format_is_left_alone(folder: StudyFolder) -> None:
    folder.path.mkdir()
    folder.journal.write_text('{"event": "study_opened", "format": 99, "study": "s"}\n')
    with pytest.raises(InputError, match="later version"):
        Ledger(folder)
