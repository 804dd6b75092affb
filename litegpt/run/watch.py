"""Workers that hang: found by what they have not said for too long, and ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from litegpt.run.workers import GRACE_SECONDS, Worker
from litegpt.worker.messages import Heartbeat, Message

OWN_STALL_SECONDS = 5.0  # between two looks: then the runner itself stood still, and has heard nobody meanwhile


@dataclass(frozen=True)
class Patience:
    """How long a worker may take.

    Heartbeats come from a thread of their own, so silence means a process that is stopped or stuck in the system. A
    worker that beats and gets nowhere may be capturing a graph or evaluating a large model: that may take long.
    """

    start_seconds: float = 300.0  # until it is ready: torch and the GPU's driver, perhaps from a network disk
    silence_seconds: float = 60.0  # between two signs of life
    progress_seconds: float = 900.0  # between two signs that its pack gets on


@dataclass
class _Marks:
    heard: float
    progressed: float
    given_up: float | None = None
    reason: str = ""


class Watch:
    """Looks at the workers now and then: asks those that hang to leave, and ends them when they do not."""

    def __init__(self, patience: Patience, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        self._marks: dict[str, _Marks] = {}  # by worker
        self._looked = clock()

    def hear(self, worker: str, message: Message) -> None:
        """Take note that a worker has said something."""
        now = self._clock()
        marks = self._marks_of(worker, now)
        marks.heard = now
        if not isinstance(message, Heartbeat):
            marks.progressed = now

    def look(self, workers: Iterable[Worker], busy: Collection[str]) -> None:
        """End the workers that hang; `busy` names those that have a pack."""
        now = self._clock()
        if not 0 <= now - self._looked <= OWN_STALL_SECONDS:  # the machine slept, or the clock was set
            for marks in self._marks.values():
                marks.heard = marks.progressed = now
        self._looked = now
        for worker in workers:
            marks = self._marks_of(worker.name, now)
            if worker.name not in busy and worker.ready:
                marks.progressed = now
            if marks.given_up is None:
                reason = self._complaint(worker, marks, now)
                if reason is not None:
                    marks.given_up, marks.reason = now, reason
                    worker.process.terminate()
            elif now - marks.given_up >= GRACE_SECONDS:
                worker.process.kill()

    def forget(self, worker: str) -> str | None:
        """Drop a worker that is gone, and return why it was ended, None where it went by itself."""
        marks = self._marks.pop(worker, None)
        return marks.reason if marks is not None and marks.given_up is not None else None

    def _marks_of(self, worker: str, now: float) -> _Marks:
        return self._marks.setdefault(worker, _Marks(now, now))

    def _complaint(self, worker: Worker, marks: _Marks, now: float) -> str | None:
        patience = self._patience
        if not worker.ready:
            late = now - marks.progressed > patience.start_seconds
            return f"it was not ready after {patience.start_seconds:g} s" if late else None
        if now - marks.heard > patience.silence_seconds:
            return f"it hung: no sign of life for {patience.silence_seconds:g} s"
        if now - marks.progressed > patience.progress_seconds:
            return f"it hung: no progress for {patience.progress_seconds:g} s"
        return None
