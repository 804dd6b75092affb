"""The journal as its only writer, the runner, uses it: an event is recorded before the runner acts on it.

The runner cannot continue without its journal. When the disk refuses a write, the run therefore waits until the user
has made room and asks for `litegpt resume`, and then writes the same events again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from litegpt.errors import InputError
from litegpt.results.events import FORMAT, Event, StudyPaused, StudyResumed
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal, JournalReader
from litegpt.results.state import StudyState
from litegpt.run.requests import Request, take_requests

TICK_SECONDS = 0.25

T = TypeVar("T")


class RunnerError(Exception):
    """The run cannot continue; the journal holds everything that is finished."""


class DiskPause:
    """Blocks the runner while the disk refuses to be written.

    `reason` says why during the pause and is None otherwise. `show` is called several times per second meanwhile.
    """

    def __init__(self, folder: StudyFolder, show: Callable[[], None]) -> None:
        self.reason: str | None = None
        self._folder = folder
        self._show = show
        self._is_stopped = False
        self._postponed: list[Request] = []

    def stop(self) -> None:
        """End this pause and every later one. Signal handlers may call it."""
        self._is_stopped = True

    def begin(self, error: OSError) -> str:
        """Start a pause and return its reason."""
        self.reason = f"{self._problem(error)}; free space or fix the disk, then `litegpt resume`"
        return self.reason

    def wait(self, error: OSError) -> None:
        """Return when the user resumes the run. RunnerError: the run was stopped instead."""
        while not self._is_stopped:
            self._show()
            time.sleep(TICK_SECONDS)
            requests = take_requests(self._folder)
            answers = [request.kind for request in requests if request.concerns_run]
            self._postponed += [r for r in requests if not (r.concerns_run and r.kind in ("resume", "stop"))]
            if "resume" in answers:
                self.reason = None
                return
            if "stop" in answers:
                break
        raise RunnerError(f"{self._problem(error)}: the next run repairs what the journal lacks") from None

    def take_postponed(self) -> list[Request]:
        """Return the requests that arrived during a pause and could not be carried out then."""
        postponed, self._postponed = self._postponed, []
        return postponed

    def _problem(self, error: OSError) -> str:
        return f"{self._folder.path} cannot be written ({error.strerror or error})"


class RunnerJournal:
    """Reads a study's journal when constructed; as a context manager it also opens the journal for writing.

    With a `disk_pause`, a write that the disk refuses is repeated after each pause. Without one it raises RunnerError.
    `resumes` counts the pauses that have ended in this run.
    """

    def __init__(self, folder: StudyFolder, disk_pause: DiskPause | None = None) -> None:
        self._folder = folder
        self._disk_pause = disk_pause
        self._reader = JournalReader(folder.journal)
        self._reader.poll()
        self.resumes = 0
        self._packs = 0
        self._is_abandoned = False
        if (self.state.format or FORMAT) > FORMAT:
            raise InputError("written by a later version of litegpt; update litegpt to continue it", folder.journal)

    def __enter__(self) -> RunnerJournal:
        try:
            self._journal = Journal(self._folder.journal, self._folder.study)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", self._folder.journal) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()

    @property
    def state(self) -> StudyState:
        """The state of the study according to the journal."""
        return self._reader.state

    def append(self, *events: Event) -> None:
        """Write events and include them in `state`. RunnerError: the journal was deleted or replaced.

        After the run has given up on the disk this writes nothing: the next run repairs what is missing.
        """
        if not events or self._is_abandoned:
            return
        before = self._reader.state
        self.retry(lambda: self._journal.append(*events))
        self._reader.poll()
        if self._reader.state is not before:
            raise RunnerError(f"{self._folder.journal} was deleted or replaced while the study ran")

    def pause(self, reason: str) -> bool:
        """Record a pause, and return whether it holds.

        It does not hold if this very event had to wait for the disk, and the user has resumed the run meanwhile.
        """
        resumes = self.resumes
        self.append(StudyPaused(reason=reason))
        if self.resumes == resumes:
            return True
        self.append(StudyResumed())
        return False

    def resume(self) -> None:
        """Record that a pause has ended."""
        self.resumes += 1
        self.append(StudyResumed())

    def retry(self, write: Callable[[], T]) -> T:
        """Return what `write` returns, after as many disk pauses as it takes."""
        while True:
            try:
                return write()
            except OSError as error:
                self._pause(error)

    def next_pack(self) -> str:
        """Return a name for a pack, unique within this run."""
        self._packs += 1
        return f"p{self._packs}"

    def _pause(self, error: OSError) -> None:
        try:
            if self._disk_pause is None:
                raise RunnerError(f"{self._folder.journal} cannot be written: {error.strerror}") from None
            self._append_if_possible(StudyPaused(reason=self._disk_pause.begin(error)))
            self._disk_pause.wait(error)
        except BaseException:
            self._is_abandoned = True
            raise
        self.resumes += 1
        self._append_if_possible(StudyResumed())

    def _append_if_possible(self, event: Event) -> None:
        with contextlib.suppress(OSError):
            self._journal.append(event)
            self._reader.poll()
