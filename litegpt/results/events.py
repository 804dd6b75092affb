"""The events of a journal: one class per event, whose fields are the keys of the line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from litegpt.results.fields import timestamp
from litegpt.results.lines import Record
from litegpt.results.metric import NO_METRICS, TrialMetrics
from litegpt.results.state import CorpusIdentity, EndState, Failure
from litegpt.study.phase import Exclusion, Promotion
from litegpt.study.trial import Trial

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a study."""

    event: ClassVar[str]
    # True if the runner continues only after the event is on the disk.
    is_promise: ClassVar[bool] = False

    def record(self) -> Record:
        """Return the line to append, stamped with the time."""
        return {"event": self.event, "time": timestamp(), **self._fields()}

    def _fields(self) -> Record:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class StudyOpened(Event):
    """The first event of a journal."""

    event = "study_opened"
    is_promise = True
    format: int = FORMAT
    study: str


@dataclass(frozen=True, kw_only=True)
class StudyStarted(Event):
    """A runner started or resumed the study."""

    event = "study_started"
    is_promise = True
    study: str
    corpus: CorpusIdentity
    versions: Mapping[str, str]  # of litegpt, python and torch; also the commit, if litegpt runs from a checkout
    host: str
    pid: int
    devices: Sequence[str]
    precision: str


@dataclass(frozen=True, kw_only=True)
class StudyInterrupted(Event):
    """The runner stopped before the end of the study."""

    event = "study_interrupted"
    is_promise = True
    reason: str


@dataclass(frozen=True, kw_only=True)
class StudyEnded(Event):
    """Every phase has ended."""

    event = "study_ended"
    is_promise = True
    seconds: float


@dataclass(frozen=True, kw_only=True)
class StudyPaused(Event):
    """The runner waits for `litegpt resume`, on request or because the disk is full."""

    event = "study_paused"
    is_promise = True
    reason: str


@dataclass(frozen=True, kw_only=True)
class StudyResumed(Event):
    """The runner continues after a pause."""

    event = "study_resumed"


@dataclass(frozen=True, kw_only=True)
class PhasePlanned(Event):
    """The trials of a phase were determined."""

    event = "phase_planned"
    is_promise = True
    phase: str
    trials: Sequence[str]  # ids
    excluded: Sequence[Exclusion] = ()
    promotion: Promotion | None = None
    promoted: Sequence[str] = ()  # ids of the source phase's trials, best first

    def _fields(self) -> Record:
        return {
            "phase": self.phase,
            "trials": self.trials,
            "excluded": [_exclusion(exclusion) for exclusion in self.excluded],
            "promotion": self.promotion
            and {
                "from": self.promotion.source,
                "top": self.promotion.top,
                "by": self.promotion.by,
                "how": self.promotion.how,
                "start": self.promotion.start,
                "promoted": self.promoted,
            },
        }


@dataclass(frozen=True, kw_only=True)
class PhaseEnded(Event):
    """All trials of a phase have ended; the counts are numbers of trials."""

    event = "phase_ended"
    is_promise = True
    phase: str
    done: int
    diverged: int
    failed: int
    stopped: int
    excluded: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrialQueued(Event):
    """A trial waits for its first attempt; its id follows from the settings."""

    event = "trial_queued"
    is_promise = True
    phase: str
    settings: Trial

    def _fields(self) -> Record:
        return {"phase": self.phase, "trial": self.settings.id, "settings": self.settings.settings()}


@dataclass(frozen=True, kw_only=True)
class TrialStarted(Event):
    """A worker started an attempt at a trial."""

    event = "trial_started"
    phase: str
    trial: str
    attempt: int
    worker: str
    device: str
    precision: str
    pack: str
    pack_width: int


@dataclass(frozen=True, kw_only=True)
class TrialEnded(Event):
    """An attempt ended the trial; the metrics are those of its last step."""

    event = "trial_ended"
    is_promise = True
    phase: str
    trial: str
    attempt: int
    state: EndState
    reason: str | None = None
    failure: Failure | None = None  # the kind of failure, if it failed or diverged
    metrics: TrialMetrics = NO_METRICS

    def _fields(self) -> Record:
        record = dataclasses.asdict(self)
        metrics = record.pop("metrics")
        return {**record, **metrics}


@dataclass(frozen=True, kw_only=True)
class TrialRequeued(Event):
    """A trial waits for another attempt: its worker was lost, the run was interrupted, or a user asked for it."""

    event = "trial_requeued"
    is_promise = True
    phase: str
    trial: str
    attempt: int  # the one that was lost
    reason: str


@dataclass(frozen=True, kw_only=True)
class PackEnded(Event):
    """A worker has finished a pack."""

    event = "pack_ended"
    pack: str
    phase: str
    trials: Sequence[str]  # ids
    wall_seconds: float


@dataclass(frozen=True, kw_only=True)
class WorkerStarted(Event):
    """A worker process is ready for packs."""

    event = "worker_started"
    worker: str
    pid: int
    device: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerLost(Event):
    """A worker process has died."""

    event = "worker_lost"
    worker: str
    pid: int
    device: str
    reason: str


def _exclusion(exclusion: Exclusion) -> Record:
    record: Record = {"settings": exclusion.settings, "reason": exclusion.reason}
    return {**record, "illegal": True} if exclusion.illegal else record
