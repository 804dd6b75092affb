"""journal.jsonl: an append-only log of the events of a study's phases and trials, written by the runner only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from litegpt.results.fold import fold
from litegpt.results.lines import LineReader, LineWriter
from litegpt.results.state import StudyState

if TYPE_CHECKING:
    from litegpt.results.events import Event


class Journal:
    """Append events to a study's journal; a new journal begins with `study_opened`."""

    def __init__(self, path: Path, study: str) -> None:
        self._writer = LineWriter(path)
        # The size alone proves nothing, because the first line may be incomplete.
        if not LineReader(path).read():
            # Imported late, because reading needs none of the event classes.
            from litegpt.results.events import StudyOpened

            self.append(StudyOpened(study=study))

    def append(self, *events: Event) -> None:
        """Append the events in one write; return once they are on the disk if one of them is a promise."""
        self._writer.append(*(event.record() for event in events), sync=any(event.is_promise for event in events))

    def close(self) -> None:
        self._writer.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class JournalReader:
    """Follow a journal: `poll`, then `state`."""

    def __init__(self, path: Path) -> None:
        self._lines = LineReader(path)
        self.state = StudyState()

    @property
    def damaged(self) -> int:
        """Number of lines that were skipped because they are not JSON objects."""
        return self._lines.damaged

    def poll(self) -> bool:
        """Apply the events appended since the last call and return whether anything changed.

        `state` is updated in place. If the journal was replaced, it is a new object.
        """
        records = self._lines.read()
        if self._lines.restarted:
            self.state = StudyState()
        for record in records:
            fold(self.state, record)
        return bool(records) or self._lines.restarted


def read_journal(path: Path) -> StudyState:
    """Return a study's state, which is empty if the journal is missing."""
    reader = JournalReader(path)
    reader.poll()
    return reader.state
