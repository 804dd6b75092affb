"""The runner's journal and what it says: nothing is true before it is written."""

from __future__ import annotations

from types import TracebackType

from litegpt.results.events import Event
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal, JournalReader
from litegpt.results.state import StudyState


class RunnerError(Exception):
    """The run cannot go on; what is done is in the journal."""


class Ledger:
    """Reads a study's journal at once, and opens it for writing as a context manager."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._reader = JournalReader(folder.journal)
        self._reader.poll()
        self._packs = 0

    def __enter__(self) -> Ledger:
        self._journal = Journal(self._folder.journal, self._folder.study)
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
        """Write events; `state` has taken them in when this returns. Raises RunnerError where the journal is gone."""
        if not told:
            return
        before = self._reader.state
        self._journal.append(*told)
        self._reader.poll()
        if self._reader.state is not before:
            raise RunnerError(f"{self._folder.journal} was deleted or replaced while the study ran")

    def next_pack(self) -> str:
        """Return a pack's name, new in this run."""
        self._packs += 1
        return f"p{self._packs}"
