"""Detection of hung workers: a worker that stays silent too long is ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from litegpt.run.workers import GRACE_SECONDS, Worker
from litegpt.worker.messages import Heartbeat, Message

OWN_STALL_SECONDS = 5.0  # a longer gap between two checks means that the runner itself stood still


@dataclass(frozen=True)
class Patience:
    """How long the runner waits for a worker.

    Heartbeats come from a separate thread of the worker, so silence means that its process is stopped or blocked in the
    kernel. A worker that sends heartbeats but makes no progress may be capturing a CUDA graph or evaluating a large
    model, which can take long.
    """

    start_seconds: float = 300.0  # until the worker is ready: it loads torch, perhaps from a network disk
    silence_seconds: float = 60.0  # between two messages
    progress_seconds: float = 900.0  # between two messages that show progress of its pack


@dataclass
class _LastSeen:
    """When a worker last gave a sign of life, and the end of a worker that hangs."""

    message: float
    progress: float
    terminated: float | None = None
    reason: str = ""


class Watch:
    """Checks the workers regularly: sends TERM to those that hang, and KILL if they stay."""

    def __init__(self, patience: Patience | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience or Patience()
        self._clock = clock
        self._last_seen: dict[str, _LastSeen] = {}  # by worker
        self._checked = clock()

    def record(self, worker: str, message: Message) -> None:
        """Record that a worker has sent a message."""
        now = self._clock()
        seen = self._seen(worker, now)
        seen.message = now
        if not isinstance(message, Heartbeat):
            seen.progress = now

    def check(self, workers: Iterable[Worker], busy: Collection[str]) -> None:
        """End the workers that hang; `busy` contains the names of those that have a pack."""
        now = self._clock()
        # If the machine slept or the clock was set, the runner has read no messages in between. Then no worker is late.
        if not 0 <= now - self._checked <= OWN_STALL_SECONDS:
            for seen in self._last_seen.values():
                seen.message = now
                seen.progress = now
        self._checked = now
        for worker in workers:
            seen = self._seen(worker.name, now)
            if worker.name not in busy and worker.is_ready:
                seen.progress = now
            if seen.terminated is None:
                reason = self._reason_to_end(worker, seen, now)
                if reason is not None:
                    seen.terminated = now
                    seen.reason = reason
                    worker.process.terminate()
            elif now - seen.terminated >= GRACE_SECONDS:
                worker.process.kill()

    def forget(self, worker: str) -> str | None:
        """Remove a worker that has ended, and return why the watch ended it, or None if it ended by itself."""
        seen = self._last_seen.pop(worker, None)
        return seen.reason if seen is not None and seen.terminated is not None else None

    def _seen(self, worker: str, now: float) -> _LastSeen:
        return self._last_seen.setdefault(worker, _LastSeen(now, now))

    def _reason_to_end(self, worker: Worker, seen: _LastSeen, now: float) -> str | None:
        patience = self._patience
        if not worker.is_ready:
            is_late = now - seen.progress > patience.start_seconds
            return f"it was not ready after {patience.start_seconds:g} s" if is_late else None
        if now - seen.message > patience.silence_seconds:
            return f"it hung: no sign of life for {patience.silence_seconds:g} s"
        if now - seen.progress > patience.progress_seconds:
            return f"it hung: no progress for {patience.progress_seconds:g} s"
        return None
