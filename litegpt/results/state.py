"""The state of a study, its phases and its trials according to the journal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, get_args

from litegpt.results.metric import NO_METRICS, History, TrialMetrics
from litegpt.study.phase import Exclusion, Promotion
from litegpt.study.trial import Trial

EndState = Literal["done", "diverged", "failed", "stopped"]
Failure = Literal["out of memory", "diverged", "lost worker", "bad weights", "short text", "bug"]
TrialStatus = Literal["queued", "running", "done", "diverged", "failed", "stopped"]
END_STATES = frozenset[str](get_args(EndState))
FAILED_STATES: tuple[EndState, ...] = ("diverged", "failed", "stopped")


@dataclass(frozen=True)
class CorpusIdentity:
    """The text that a study was trained on."""

    path: str
    sha256: str
    characters: int
    vocab_size: int


@dataclass(frozen=True)
class TrialState:
    """The state of one trial. Its metrics are those of `trial_ended`."""

    phase: str
    id: str
    settings: Trial
    state: TrialStatus = "queued"
    attempt: int = 0  # the latest; 0 before the first
    reason: str | None = None  # why it failed, was stopped or is queued again
    failure: str | None = None  # the kind of failure: one of `Failure`, or one that only a later version knows
    started: datetime | None = None  # the latest attempt
    ended: datetime | None = None
    worker: str | None = None
    device: str | None = None
    precision: str | None = None
    pack: str | None = None
    pack_width: int | None = None
    metrics: TrialMetrics = NO_METRICS  # of the last step; those of a running trial are in its metrics.jsonl
    later: TrialStatus | None = None  # how the trial ended after the step that `at` shows

    @property
    def is_ended(self) -> bool:
        return self.state in END_STATES

    @property
    def is_waiting(self) -> bool:
        return self.state == "queued"

    @property
    def failed(self) -> bool:
        """True when the trial ended before its last step, so that `retry` may queue it again."""
        return self.state in FAILED_STATES

    def at(self, step: float, history: History) -> TrialState:
        """Return the trial as it was at a step.

        A trial that diverged, failed or was stopped after that step was still running; `later` says how it ended.
        """
        last = history.step_at(math.inf)
        end = last if self.metrics.step is None else self.metrics.step
        if self.is_ended and (end is None or end <= step):
            return self
        metrics = TrialMetrics.at(step, history)
        if self.failed:
            return replace(
                self, state="running" if metrics.step is not None else "queued", later=self.state, metrics=metrics
            )
        return replace(self, metrics=metrics)

    def requeued(self, reason: str | None) -> TrialState:
        """Return the trial as it waits for another attempt."""
        return TrialState(self.phase, self.id, self.settings, attempt=self.attempt, reason=reason)


class StateCounts(dict[str, int]):
    """Number of trials in each state; every state is a key."""

    @property
    def total(self) -> int:
        return sum(self.values())

    @property
    def ended(self) -> int:
        return sum(self[state] for state in END_STATES)

    @property
    def unfinished(self) -> int:
        return self["queued"] + self["running"]


@dataclass
class PhaseState:
    """The state of one phase."""

    name: str
    planned: tuple[str, ...] = ()  # trial ids
    trials: dict[str, TrialState] = field(default_factory=dict)  # by id; also those of an earlier plan
    excluded: tuple[Exclusion, ...] = ()
    promotion: Promotion | None = None
    promoted: tuple[str, ...] = ()  # ids of the source phase's trials, best first
    started: datetime | None = None  # planned
    ended: datetime | None = None
    seconds: float | None = None
    ended_counts: dict[EndState, int] = field(default_factory=dict)  # by state, as recorded at the end of the phase
    pack_wall_seconds: float = 0.0  # the sum over packs

    # The ids of `planned` for look-ups, together with the tuple that they were taken from.
    _planned_ids: tuple[tuple[str, ...], frozenset[str]] = field(
        default=((), frozenset()), init=False, repr=False, compare=False
    )

    def is_planned(self, trial_id: str) -> bool:
        """Return whether a trial is part of the present plan."""
        if self._planned_ids[0] is not self.planned:
            self._planned_ids = (self.planned, frozenset(self.planned))
        return trial_id in self._planned_ids[1]

    def current(self) -> list[TrialState]:
        """Return the trials of the present plan; an edited study leaves others behind."""
        if not self.planned:
            return list(self.trials.values())
        return [self.trials[trial_id] for trial_id in self.planned if trial_id in self.trials]

    def counts(self) -> StateCounts:
        """Count the trials of the present plan by state."""
        counts = StateCounts(dict.fromkeys(get_args(TrialStatus), 0))
        current = self.current()
        for trial in current:
            counts[trial.state] += 1
        # A phase is planned before the events that queue its trials arrive.
        counts["queued"] += max(0, len(self.planned) - len(current))
        return counts


@dataclass
class WorkerState:
    """A running worker process."""

    worker: str
    pid: int | None
    device: str | None


@dataclass
class StudyState:
    """The state of a study."""

    study: str | None = None
    format: int | None = None
    phases: dict[str, PhaseState] = field(default_factory=dict)
    workers: dict[str, WorkerState] = field(default_factory=dict)  # the running ones
    corpus: CorpusIdentity | None = None
    versions: dict[str, str] = field(default_factory=dict)
    host: str | None = None  # of the runner
    pid: int | None = None  # of the runner
    devices: tuple[str, ...] = ()
    precision: str | None = None
    opened: datetime | None = None
    started: datetime | None = None  # the latest run
    ended: datetime | None = None  # the latest run; None while a runner runs, and after it was killed
    interrupted: str | None = None  # why the latest run was interrupted
    paused: str | None = None  # why the runner waits; None if it does not
    seconds: float | None = None

    def trials(self) -> Iterable[TrialState]:
        """Return the trials of every phase."""
        return (trial for phase in self.phases.values() for trial in phase.trials.values())

    def counts(self) -> StateCounts:
        """Count the trials of the phases planned so far by state."""
        per_phase = [phase.counts() for phase in self.phases.values()]
        return StateCounts({state: sum(counts[state] for counts in per_phase) for state in get_args(TrialStatus)})
