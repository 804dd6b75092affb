"""The feed: it reads incrementally, in its own thread, and is quiet while nothing changes. Also a replay through it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from litegpt.results import events
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal
from tests.builders import phase_planned, study_started, trial_started
from tests.tui.conftest import ended, log, phase_trials
from tui.feed import Feed
from tui.location import StudyLocation
from tui.messages import FeedChanged
from tui.replay import Replay
from tui.sources import Files


def wait(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


class CountedFiles(Files):
    """Files that count how often the feed has looked at them."""

    polls = 0

    def poll(self) -> bool:
        self.polls += 1
        return super().poll()


def test_it_reads_everything_once_and_then_is_quiet(finished: StudyLocation) -> None:
    messages: list[FeedChanged] = []
    source = CountedFiles(finished.folder)
    keys = [("phase1", trial.id) for trial in phase_trials()]
    keys += [("phase2", trial.id) for trial in phase_trials(3, max_iters=200)]
    feed = Feed(finished, source, messages.append, 0.05)

    def wait_for_polls(count: int) -> None:
        last = source.polls + count
        wait(lambda: source.polls >= last)

    feed.start()
    wait(lambda: feed.study is not None and all(feed.curve(key) for key in keys))
    wait_for_polls(2)
    before = len(messages)
    wait_for_polls(5)
    feed.stop()
    assert len(messages) == before
    assert feed.state.counts()["done"] == 14
    curve = feed.curve(("phase1", phase_trials()[0].id))
    assert curve is not None
    assert list(curve.steps) == [0, 20, 40, 60, 80, 100]
    assert curve.at(50, "val_loss") == curve.val_loss[2]
    assert curve.at(-1, "val_loss") is None
    assert curve.least("val_loss") == (curve.val_loss[-1], 100)
    assert curve.at(0, "final_loss") is None
    assert curve.step_at(50) == 40


def test_wanted_curves_are_read_first(finished: StudyLocation) -> None:
    messages: list[FeedChanged] = []
    feed = Feed(finished, Files(finished.folder), messages.append, 0.05)
    last = ("phase2", phase_trials(3, max_iters=200)[2].id)
    feed.want([last])
    feed.start()
    wait(lambda: any(change.curves for change in messages))
    feed.stop()
    assert next(change.curves for change in messages if change.curves) == {last}


def test_a_published_state_does_not_change(finished: StudyLocation) -> None:
    feed = Feed(finished, Files(finished.folder), lambda changed: None)
    feed._poll()
    state = feed.state
    with Journal(finished.folder.journal, "small") as journal:
        journal.append(trial_started("phase1", phase_trials()[0]))
    feed._poll()
    assert feed.state is not state
    assert state.counts()["running"] == 0
    assert feed.state.counts()["running"] == 1


def test_a_replay_shows_events_at_their_times(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = phase_trials(1)[0]
    times = ["2026-01-01T00:01:00.000Z"]
    monkeypatch.setattr(events, "timestamp", lambda: times[-1])
    with Journal(folder.journal, "small") as journal:
        journal.append(study_started(), *phase_planned("phase1", [trial]), trial_started("phase1", trial))
        log(folder, "phase1", trial, 0)
        times.append("2026-01-01T00:01:00.300Z")
        journal.append(ended("phase1", trial, 0))
    seconds = [0.0]
    replay = Replay(folder, 2.0, clock=lambda: seconds[-1])
    replay.poll()
    seconds.append(0.1)
    replay.poll()
    assert replay.state.phases["phase1"].trials[trial.id].state == "running"
    assert replay.runner().state == "replay"
    assert not replay.poll()
    seconds.append(0.2)
    replay.poll()
    assert replay.state.phases["phase1"].trials[trial.id].state == "done"
    rows = replay.rows(("phase1", trial.id))
    assert rows is not None
    assert len(rows) == 6
    assert replay.rows(("phase1", trial.id)) is None
    assert replay.runner().state == "none"
