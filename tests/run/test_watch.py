"""Detection of hung workers, with an injected clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from litegpt.run.watch import Patience, Watch
from litegpt.worker.messages import Alive, Heartbeat

PATIENCE = Patience(start_seconds=300, silence_seconds=60, progress_seconds=900)
ALIVE = Alive(pack="p1", trials=[], step=1)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Process:
    """A process that records how it is ended."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def terminate(self) -> None:
        self.asked.append("TERM")

    def kill(self) -> None:
        self.asked.append("KILL")


class Scene:
    """One worker and its watch."""

    def __init__(self, ready: bool = True) -> None:
        self.clock = Clock()
        self.watch = Watch(PATIENCE, self.clock)
        self.process = Process()
        self.worker: Any = SimpleNamespace(name="w1", is_ready=ready, process=self.process)
        self.busy = {"w1"}
        self.check()

    def check(self) -> None:
        self.watch.check([self.worker], self.busy)

    def pass_time(self, seconds: float, *messages: Any) -> None:
        """Let time pass with four checks per second, at each of which the worker sends these messages."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += 0.25
            for message in messages:
                self.watch.record("w1", message)
            self.check()


def test_a_silent_worker_is_terminated_and_killed_five_seconds_later() -> None:
    scene = Scene()
    scene.pass_time(59)
    assert scene.process.asked == []
    scene.pass_time(1.5)
    assert scene.process.asked == ["TERM"]
    scene.pass_time(4)
    assert scene.process.asked == ["TERM"]
    scene.pass_time(1)
    assert scene.process.asked[:2] == ["TERM", "KILL"]
    assert scene.watch.forget("w1") == "it hung: no sign of life for 60 s"


def test_a_worker_without_progress_is_ended_much_later() -> None:
    scene = Scene()
    scene.pass_time(899, Heartbeat())
    assert scene.process.asked == []
    scene.pass_time(2, Heartbeat())
    assert scene.process.asked == ["TERM"]
    assert scene.watch.forget("w1") == "it hung: no progress for 900 s"


@pytest.mark.parametrize("message", [ALIVE, Heartbeat()])
def test_a_worker_that_makes_progress_or_has_no_pack_is_not_ended(message: Any) -> None:
    scene = Scene()
    if isinstance(message, Heartbeat):
        scene.busy = set()
    scene.pass_time(4000, message)
    assert scene.process.asked == []
    assert scene.watch.forget("w1") is None


def test_the_time_without_progress_starts_with_the_pack() -> None:
    scene = Scene()
    scene.busy = set()
    scene.pass_time(4000, Heartbeat())
    scene.busy = {"w1"}
    scene.pass_time(800, Heartbeat())
    assert scene.process.asked == []


def test_a_start_may_take_long_but_not_forever() -> None:
    scene = Scene(ready=False)
    scene.pass_time(299)
    assert scene.process.asked == []
    scene.pass_time(2, Heartbeat())
    assert scene.process.asked == ["TERM"]
    assert scene.watch.forget("w1") == "it was not ready after 300 s"


@pytest.mark.parametrize("jump", [3600.0, 1e9, -3600.0, 30.0])
def test_a_jumping_clock_ends_no_worker(jump: float) -> None:
    scene = Scene()
    scene.pass_time(30, ALIVE)
    for _ in range(10):
        scene.clock.now += jump
        scene.check()
        scene.pass_time(3, ALIVE)
    assert scene.process.asked == []
    scene.pass_time(62)
    assert scene.process.asked[0] == "TERM", "a hung worker is still detected"


def test_a_suspended_runner_ends_no_worker() -> None:
    """Ctrl-Z suspends the runner and its workers. None of them has hung when they continue."""
    scene = Scene()
    scene.pass_time(50)
    scene.clock.now += 7200
    scene.check()
    scene.pass_time(5)
    assert scene.process.asked == []


def test_the_documented_patience() -> None:
    patience = Patience()
    assert (patience.start_seconds, patience.silence_seconds, patience.progress_seconds) == (300, 60, 900)
