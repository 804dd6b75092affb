"""When a worker hangs, by an injected clock."""

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
    """A process that takes note of how it is ended."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def terminate(self) -> None:
        self.asked.append("TERM")

    def kill(self) -> None:
        self.asked.append("KILL")


class Scene:
    """A worker under watch."""

    def __init__(self, ready: bool = True) -> None:
        self.clock = Clock()
        self.watch = Watch(PATIENCE, self.clock)
        self.process = Process()
        self.worker: Any = SimpleNamespace(name="w1", is_ready=ready, process=self.process)
        self.busy = {"w1"}
        self.look()

    def look(self) -> None:
        self.watch.check([self.worker], self.busy)

    def go_on(self, seconds: float, *heard: Any) -> None:
        """Let time pass as the runner sees it, four looks a second; at each the worker says what it says."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += 0.25
            for message in heard:
                self.watch.record("w1", message)
            self.look()


def test_a_worker_that_falls_silent_is_asked_to_leave_and_killed_five_seconds_later() -> None:
    scene = Scene()
    scene.go_on(59)
    assert scene.process.asked == []
    scene.go_on(1.5)
    assert scene.process.asked == ["TERM"]
    scene.go_on(4)
    assert scene.process.asked == ["TERM"]
    scene.go_on(1)
    assert scene.process.asked[:2] == ["TERM", "KILL"]
    assert scene.watch.forget("w1") == "it hung: no sign of life for 60 s"


def test_a_worker_that_beats_and_gets_nowhere_is_ended_much_later() -> None:
    scene = Scene()
    scene.go_on(899, Heartbeat())
    assert scene.process.asked == []
    scene.go_on(2, Heartbeat())
    assert scene.process.asked == ["TERM"]
    assert scene.watch.forget("w1") == "it hung: no progress for 900 s"


@pytest.mark.parametrize("said", [ALIVE, Heartbeat()])
def test_a_worker_at_work_or_without_work_is_left_alone(said: Any) -> None:
    scene = Scene()
    if isinstance(said, Heartbeat):
        scene.busy = set()
    scene.go_on(4000, said)
    assert scene.process.asked == []
    assert scene.watch.forget("w1") is None


def test_progress_counts_from_when_the_pack_was_given() -> None:
    scene = Scene()
    scene.busy = set()
    scene.go_on(4000, Heartbeat())
    scene.busy = {"w1"}
    scene.go_on(800, Heartbeat())
    assert scene.process.asked == []


def test_a_start_may_be_silent_and_long_but_not_for_ever() -> None:
    scene = Scene(ready=False)
    scene.go_on(299)
    assert scene.process.asked == []
    scene.go_on(2, Heartbeat())
    assert scene.process.asked == ["TERM"]
    assert scene.watch.forget("w1") == "it was not ready after 300 s"


@pytest.mark.parametrize("jump", [3600.0, 1e9, -3600.0, 30.0])
def test_a_clock_that_jumps_ends_nobody(jump: float) -> None:
    scene = Scene()
    scene.go_on(30, ALIVE)
    for _ in range(10):
        scene.clock.now += jump
        scene.look()
        scene.go_on(3, ALIVE)
    assert scene.process.asked == []
    scene.go_on(62)
    assert scene.process.asked[0] == "TERM", "and who hangs is found still"


def test_a_runner_that_was_stopped_blames_no_worker() -> None:
    """Ctrl-Z stops the runner and its workers; nobody has hung when they go on."""
    scene = Scene()
    scene.go_on(50)
    scene.clock.now += 7200
    scene.look()
    scene.go_on(5)
    assert scene.process.asked == []


def test_the_stated_patience() -> None:
    patience = Patience()
    assert (patience.start_seconds, patience.silence_seconds, patience.progress_seconds) == (300, 60, 900)
