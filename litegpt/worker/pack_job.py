"""One pack that a worker trains: its attempts, and its messages to the runner meanwhile."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

from litegpt.train.loop import HEARTBEAT_SECONDS
from litegpt.worker.attempt import Attempt
from litegpt.worker.messages import Alive, Message, TrainPack


class StoppedError(Exception):
    """The pack was stopped before its training began."""


class PackJob:
    """A pack on its worker. `should_stop` says whether the runner wants the pack to end."""

    def __init__(self, request: TrainPack, send: Callable[[Message], None], should_stop: Callable[[], bool]) -> None:
        self.request = request
        self.send = send
        self.should_stop = should_stop
        self.attempts = [Attempt(trial, send) for trial in request.trials]
        self._beat_due = 0.0

    @property
    def unfinished(self) -> list[Attempt]:
        """The attempts that have not ended."""
        return [attempt for attempt in self.attempts if not attempt.over]

    def open(self) -> None:
        """Open the files of every attempt."""
        for attempt in self.attempts:
            attempt.open()

    def close(self) -> None:
        """Close the files of every attempt."""
        for attempt in self.attempts:
            attempt.close()

    def groups(self) -> Iterator[list[Attempt]]:
        """Yield the attempts that can train together: those that resume at the same step with the same vocabulary."""

        def key(attempt: Attempt) -> tuple[int, tuple[str, ...]]:
            return attempt.step, attempt.vocabulary

        for _, group in itertools.groupby(sorted(self.attempts, key=key), key=key):
            yield list(group)

    def report_step(self, group: list[Attempt], step: int) -> None:
        """Tell the runner which step a group has reached."""
        self.send(Alive(pack=self.request.pack, trials=[attempt.trial.id for attempt in group], step=step))

    def beat(self, group: list[Attempt]) -> None:
        """Report a sign of life before the training begins. StoppedError: the pack is to stop."""
        if self.should_stop():
            raise StoppedError
        self.report_life(group, 0)

    def report_life(self, group: list[Attempt], step: int) -> None:
        """Report a sign of life at a step, unless the last one is recent."""
        if time.monotonic() >= self._beat_due:
            self._beat_due = time.monotonic() + HEARTBEAT_SECONDS
            self.report_step(group, step)
