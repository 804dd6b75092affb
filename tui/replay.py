"""A study played back: the same facts a live one gives, as of a moment that moves faster than the clock."""

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

LONGEST_PAUSE = 10.0  # seconds between two events; a longer one (a night between two runs) is cut to this


class Replay:
    """Plays the journal `speed` times as fast as it was written; evaluations and samples appear at their own times."""

    def __init__(self, folder: StudyFolder, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = StudyState()
        self._files = Files(folder)
        self._journal = LineReader(folder.journal)
        self._speed = speed
        self._clock = clock
        self._begun: float | None = None
        self._records: list[Record] = []
        self._played = 0
        self._at: list[float] = []  # seconds on the tape, one a record
        self._times: list[float] = []  # the records' own times, seconds since the epoch
        self._rows: dict[TrialKey, list[Evaluation]] = {}
        self._shown: dict[TrialKey, int] = {}
        self._samples: dict[TrialKey, list[Sample]] = {}
        self._samples_shown: dict[TrialKey, int] = {}

    @property
    def state(self) -> StudyState:
        return self._state

    def poll(self) -> bool:
        if self._begun is None:
            self._wind()
            self._begun = self._clock()
        end = bisect_right(self._at, (self._clock() - self._begun) * self._speed)
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
        if self._shown.get(key) == count:
            return None
        self._shown[key] = count
        return rows[:count]

    def samples(self, key: TrialKey) -> list[Sample] | None:
        if key not in self._samples:
            self._samples[key] = self._files.samples(key) or []
        samples = self._samples[key]
        count = self._count(key, [sample.time for sample in samples])
        if self._samples_shown.get(key) == count:
            return None
        self._samples_shown[key] = count
        return samples[:count]

    def log_tail(self) -> tuple[str, ...] | None:
        return self._files.log_tail()

    def runner(self) -> RunnerStatus:
        return RunnerStatus("replay" if self._played < len(self._records) else "none")

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

    def _wind(self) -> None:
        """Lay the records on a tape, their pauses cut."""
        self._records = self._journal.read()
        at, before = 0.0, None
        for record in self._records:
            moment = _seconds(record.get("time"))
            if moment is not None:
                if before is not None:
                    at += min(max(0.0, moment - before), LONGEST_PAUSE)
                before = moment
            self._at.append(at)
            self._times.append(before or 0.0)

    def _count(self, key: TrialKey, times: list[str | None]) -> int:
        """Return how many of a trial's records are out by now; all of them once the trial has ended."""
        phase = self.state.phases.get(key[0])
        trial = phase.trials.get(key[1]) if phase else None
        if trial is None or trial.is_waiting:
            return 0
        if trial.state != "running":
            return len(times)
        now = self._now()
        return sum(1 for moment in times if (_seconds(moment) or 0.0) <= now)

    def _now(self) -> float:
        """Return the moment of the study that is on screen, in seconds since the epoch."""
        if self._begun is None or not self._played:
            return 0.0
        index = self._played - 1
        return self._times[index] + (self._clock() - self._begun) * self._speed - self._at[index]


def _seconds(text: object) -> float | None:
    moment: datetime | None = fields.moment(text)
    return None if moment is None else moment.timestamp()
