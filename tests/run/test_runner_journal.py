"""Writing the journal when the disk refuses, and the journals that a runner must not continue."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.results.events import StudyEnded, StudyResumed
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal
from litegpt.run.requests import send_request
from litegpt.run.runner_journal import DiskPause, RunnerError, RunnerJournal

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path, "s")


def event_names(folder: StudyFolder) -> list[str]:
    return [json.loads(line)["event"] for line in folder.journal.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """Errors that the next appends to a journal raise."""
    errors: list[OSError] = []
    append = Journal.append

    def fail(journal: Journal, *events: object) -> None:
        if errors:
            raise errors.pop()
        append(journal, *events)

    monkeypatch.setattr(Journal, "append", fail)
    return errors


class User:
    """Answers each disk pause with a request, and records the reasons shown meanwhile."""

    def __init__(self, folder: StudyFolder, answer: str = "resume") -> None:
        self.shown: list[str | None] = []
        self.pause = DiskPause(folder, self.show)
        self._folder = folder
        self._answer = answer

    def show(self) -> None:
        self.shown.append(self.pause.reason)
        if self._answer == "signal":
            self.pause.stop()
        else:
            send_request(self._folder, self._answer)


def test_a_refused_event_is_written_after_the_pause(folder: StudyFolder, full_disk: list[OSError]) -> None:
    user = User(folder)
    with RunnerJournal(folder, user.pause) as journal:
        # First the event fails, then the record of the pause.
        full_disk += [FULL, FULL]
        journal.append(StudyEnded(seconds=1.0))
        assert journal.state.seconds == 1.0
    assert event_names(folder) == ["study_opened", "study_resumed", "study_ended"]
    assert all(reason is not None and "No space left on device" in reason for reason in user.shown)
    assert user.pause.reason is None


def test_any_write_can_wait_for_the_disk(folder: StudyFolder) -> None:
    user = User(folder)
    errors = [FULL]

    def write() -> str:
        if errors:
            raise errors.pop()
        return "written"

    with RunnerJournal(folder, user.pause) as journal:
        assert journal.retry(write) == "written"
    assert event_names(folder) == ["study_opened", "study_paused", "study_resumed"]


@pytest.mark.parametrize("answer", ["stop", "signal"])
def test_a_run_that_is_stopped_during_a_pause_writes_nothing_more(
    folder: StudyFolder, full_disk: list[OSError], answer: str
) -> None:
    with RunnerJournal(folder, User(folder, answer).pause) as journal:
        full_disk += [FULL, FULL]
        with pytest.raises(RunnerError, match="the next run repairs"):
            journal.append(StudyEnded(seconds=1.0))
        journal.append(StudyResumed())
    assert event_names(folder) == ["study_opened"]


def test_a_command_without_a_pause_fails_at_once(folder: StudyFolder, full_disk: list[OSError]) -> None:
    with RunnerJournal(folder) as journal:
        full_disk.append(FULL)
        with pytest.raises(RunnerError, match="cannot be written: No space left on device"):
            journal.append(StudyEnded(seconds=1.0))


def test_a_journal_of_a_later_format_is_left_alone(folder: StudyFolder) -> None:
    folder.path.mkdir()
    folder.journal.write_text('{"event": "study_opened", "format": 99, "study": "s"}\n')
    with pytest.raises(InputError, match="later version"):
        RunnerJournal(folder)


def test_a_resume_also_ends_a_pause_that_waited_for_the_disk(folder: StudyFolder, full_disk: list[OSError]) -> None:
    """The record of a worker's pause met the full disk itself, and was written after the user had resumed the run."""
    with RunnerJournal(folder, User(folder).pause) as journal:
        full_disk += [FULL, FULL]
        assert not journal.pause("a worker cannot write")
        assert journal.state.paused is None
        assert journal.pause("a worker cannot write")
        assert journal.state.paused == "a worker cannot write"
