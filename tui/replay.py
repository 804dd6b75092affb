"""Replay of a study: the data of a live study, as of a time that moves faster than the clock."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime

from litegpt.results import fields
from litegpt.results.fold import fold
from litegpt.results.folder import StudyFolder
from litegpt.results.lines import LineReader, Record
from litegpt.results.metrics import Evaluation
from litegpt.results.samples import Sample
from litegpt.results.state import StudyState
from tui.messages import TrialKey
from tui.sources import Files, RunnerStatus

# A longer pause between two events, such as a night between two runs, is shortened to this many seconds.
LONGEST_PAUSE = 10.0


class Replay:
    """Plays the journal `speed` times as fast as it was written. Evaluations and samples appear at their own times."""

    def __init__(self, folder: StudyFolder, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = StudyState()
        self._files = Files(folder)
        self._journal = LineReader(folder.journal)
        self._speed = speed
        self._clock = clock
        self._start: float | None = None
        self._records: list[Record] = []
        self._played = 0
        # For each record, its position in the replay in seconds, and its own time in seconds since the epoch.
        self._positions: list[float] = []
        self._times: list[float] = []
        # All evaluations and samples of each trial, and how many of them have been returned.
        self._rows: dict[TrialKey, list[Evaluation]] = {}
        self._rows_returned: dict[TrialKey, int] = {}
        self._samples: dict[TrialKey, list[Sample]] = {}
        self._samples_returned: dict[TrialKey, int] = {}

    @property
    def state(self) -> StudyState:
        return self._state

    def poll(self) -> bool:
        if self._start is None:
            self._read_records()
            self._start = self._clock()
        end = bisect_right(self._positions, (self._clock() - self._start) * self._speed)
        records = self._records[self._played : end]
        for record in records:
            fold(self.state, record)
        self._played = max(self._played, end)
        return bool(records)

    def rows(self, key: TrialKey) -> list[Evaluation] | None:
        if key not in self._rows:
            self._rows[key] = self._files.rows(key) or []
        rows = self._rows[key]
        count = self._count(key, [row.time for row in rows])
        if self._rows_returned.get(key) == count:
            return None
        self._rows_returned[key] = count
        return rows[:count]

    def samples(self, key: TrialKey) -> list[Sample] | None:
        if key not in self._samples:
            self._samples[key] = self._files.samples(key) or []
        samples = self._samples[key]
        count = self._count(key, [sample.time for sample in samples])
        if self._samples_returned.get(key) == count:
            return None
        self._samples_returned[key] = count
        return samples[:count]

    def log_tail(self) -> tuple[str, ...] | None:
        return self._files.log_tail()

    def runner(self) -> RunnerStatus:
        return RunnerStatus("replay" if self._played < len(self._records) else "none")

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

    def _read_records(self) -> None:
        """Read the journal and give each record its position, with shortened pauses."""
        self._records = self._journal.read()
        position, previous = 0.0, None
        for record in self._records:
            moment = _seconds(record.get("time"))
            if moment is not None:
                if previous is not None:
                    position += min(max(0.0, moment - previous), LONGEST_PAUSE)
                previous = moment
            self._positions.append(position)
            self._times.append(previous or 0.0)

    def _count(self, key: TrialKey, times: list[str | None]) -> int:
        """Return how many of a trial's records are due; all of them once the trial has ended."""
        phase = self.state.phases.get(key[0])
        trial = phase.trials.get(key[1]) if phase else None
        if trial is None or trial.is_waiting:
            return 0
        if trial.state != "running":
            return len(times)
        now = self._now()
        return sum(1 for moment in times if (_seconds(moment) or 0.0) <= now)

    def _now(self) -> float:
        """Return the time in the study that the replay has reached, in seconds since the epoch."""
        if self._start is None or not self._played:
            return 0.0
        index = self._played - 1
        return self._times[index] + (self._clock() - self._start) * self._speed - self._positions[index]


def _seconds(text: object) -> float | None:
    moment: datetime | None = fields.moment(text)
    return None if moment is None else moment.timestamp()
