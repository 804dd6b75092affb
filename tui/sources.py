"""Files of a results folder, read incrementally for the feed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.files import open_regular
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import JournalReader
from litegpt.results.metrics import Evaluation, MetricsReader
from litegpt.results.samples import Sample, SampleReader
from litegpt.results.state import StudyState
from litegpt.run.lock import is_at_work, read_holder
from tui.messages import TrialKey

LOG_BYTES = 16_384
LOG_LINES = 200


@dataclass(frozen=True)
class RunnerStatus:
    """Whether a runner works on a study, and which process it is."""

    state: Literal["none", "running", "crashed", "replay"]
    pid: int | None = None
    host: str | None = None
    # Why the runner waits for a disk that it cannot write to; the journal cannot record that.
    waiting: str | None = None


class Files:
    """Reads a study's results as they are now. A file that has not changed costs only a `stat`."""

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder
        self._journal = JournalReader(folder.journal)
        self._stamps: dict[Path, tuple[int, int, int] | None] = {}
        # Only for running trials. The others are read once, and their readers would only take memory.
        self._metrics: dict[TrialKey, MetricsReader] = {}
        self._samples: dict[TrialKey, SampleReader] = {}

    @property
    def state(self) -> StudyState:
        return self._journal.state

    def poll(self) -> bool:
        return self._is_new(self.folder.journal) and self._journal.poll()

    def rows(self, key: TrialKey) -> list[Evaluation] | None:
        path = self._trial_file(key, "metrics.jsonl")
        if path is None or not self._is_new(path):
            return None
        reader = self._metrics.pop(key, None) or MetricsReader(path)
        reader.poll()
        if self._is_running(key):
            self._metrics[key] = reader
        return reader.rows()

    def samples(self, key: TrialKey) -> list[Sample] | None:
        path = self._trial_file(key, "samples.jsonl")
        if path is None or not self._is_new(path):
            return None
        reader = self._samples.setdefault(key, SampleReader(path))
        reader.poll()
        return reader.rows()

    def log_tail(self) -> tuple[str, ...] | None:
        if not self._is_new(self.folder.log):
            return None
        try:
            with open_regular(self.folder.log) as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ()
        return tuple(inert(line) for line in lines[-LOG_LINES:])

    def runner(self) -> RunnerStatus:
        """Read the lock file; a process that is named there but has ended has crashed."""
        holder = read_holder(self.folder.lock) or {}
        pid, host = holder.get("pid"), holder.get("host")
        if not isinstance(pid, int) or not isinstance(host, str):
            return RunnerStatus("none")
        waiting = holder.get("waiting")
        return RunnerStatus(
            "running" if is_at_work(self.folder.lock, holder) else "crashed",
            pid,
            host,
            waiting if isinstance(waiting, str) else None,
        )

    def now(self) -> datetime:
        return datetime.now(UTC)

    def _is_new(self, path: Path) -> bool:
        """True if a file has changed, appeared or disappeared since the last call."""
        try:
            status = os.stat(path)
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError:
            stamp = None
        if self._stamps.get(path) == stamp:
            return False
        self._stamps[path] = stamp
        return True

    def _is_running(self, key: TrialKey) -> bool:
        phase = self.state.phases.get(key[0])
        trial = phase.trials.get(key[1]) if phase else None
        return trial is not None and trial.state == "running"

    def _trial_file(self, key: TrialKey, name: str) -> Path | None:
        try:
            return self.folder.trial(*key).path / name
        except InputError:
            return None
