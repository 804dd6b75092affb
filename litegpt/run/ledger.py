"""The runner's journal and what it says: nothing is true before it is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType

from litegpt.errors import InputError
from litegpt.results.events import FORMAT, Event
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal, JournalReader
from litegpt.results.state import StudyState


class RunnerError(Exception):
    """The run cannot go on; what is done is in the journal."""


class Ledger:
    """Reads a study's journal at once, and opens it for writing as a context manager.

    `wait` is called where the disk does not take a line: when it returns the same is tried again, and what it raises
    ends the run.
    """

    def __init__(self, folder: StudyFolder, wait: Callable[[OSError], None] | None = None) -> None:
        self._folder, self._wait = folder, wait
        self._reader = JournalReader(folder.journal)
        self._reader.poll()
        self._packs = 0
        self._given_up = False
        if (self.state.format or FORMAT) > FORMAT:
            raise InputError("written by a later version of litegpt, which alone can go on with it", folder.journal)

    def __enter__(self) -> Ledger:
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
        """The state of the study, as the journal tells it."""
        return self._reader.state

    def append(self, *told: Event) -> None:
        """Write events; `state` has taken them in when this returns. Raises RunnerError where the journal is gone.

        Once the run has given up on the disk nothing is written any more: the next one puts right what is missing.
        """
        if not told or self._given_up:
            return
        before = self._reader.state
        while True:
            try:
                self._journal.append(*told)
                break
            except OSError as error:
                self._hold(error)
        self._reader.poll()
        if self._reader.state is not before:
            raise RunnerError(f"{self._folder.journal} was deleted or replaced while the study ran")

    def note(self, event: Event) -> None:
        """Write an event if the disk takes it."""
        with contextlib.suppress(OSError):
            self._journal.append(event)
            self._reader.poll()

    def _hold(self, error: OSError) -> None:
        try:
            if self._wait is None:
                raise RunnerError(f"{self._folder.journal} cannot be written: {error.strerror}") from None
            self._wait(error)
        except BaseException:
            self._given_up = True
            raise

    def next_pack(self) -> str:
        """Return a pack's name, new in this run."""
        self._packs += 1
        return f"p{self._packs}"
