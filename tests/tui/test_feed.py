"""The feed: incremental, lazy, off the screen's thread, quiet when nothing happens; and a replay through it."""

from __future__ import annotations

import time
from collections.abc import Callable

from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal
from tests.tui.conftest import ended, log, phase_trials, queue, started, study_started
from tui.feed import Feed
from tui.location import StudyLocation
from tui.messages import FeedChanged
from tui.replay import Replay
from tui.sources import Files


def wait(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_reads_everything_once_and_then_is_quiet(finished: StudyLocation) -> None:
    told: list[FeedChanged] = []
    feed = Feed(finished, Files(finished.folder), told.append, 0.05)
    feed.start()
    wait(lambda: len(feed._curves) == 15 and feed.study is not None)
    time.sleep(0.2)
    before = len(told)
    time.sleep(0.3)
    feed.stop()
    assert len(told) == before
    assert feed.state.counts()["done"] == 14
    curve = feed.curve(("phase1", phase_trials()[0].id))
    assert curve is not None
    assert list(curve.steps) == [0, 20, 40, 60, 80, 100]
    assert curve.at(50, "val_loss") == curve.val_loss[2]
    assert curve.at(-1, "val_loss") is None
    assert curve.least("val_loss") == (curve.val_loss[-1], 100)
    assert curve.at(0, "final_loss") is None
    assert curve.step_at(50) == 40


def test_what_is_wanted_is_read_first(finished: StudyLocation) -> None:
    told: list[FeedChanged] = []
    feed = Feed(finished, Files(finished.folder), told.append, 0.05)
    last = ("phase2", phase_trials(3, max_iters=200)[2].id)
    feed.want([last])
    feed.start()
    wait(lambda: any(change.curves for change in told))
    feed.stop()
    assert next(change.curves for change in told if change.curves) == {last}


def test_a_state_that_was_given_out_does_not_change(finished: StudyLocation) -> None:
    feed = Feed(finished, Files(finished.folder), lambda changed: None)
    feed._poll()
    state = feed.state
    with Journal(finished.folder.journal, "small") as journal:
        journal.append(started("phase1", phase_trials()[0]))
    feed._poll()
    assert feed.state is not state
    assert state.counts()["running"] == 0
    assert feed.state.counts()["running"] == 1


def test_a_replay_shows_less_than_all_and_then_all(folder: StudyFolder) -> None:
    trial = phase_trials(1)[0]
    with Journal(folder.journal, "small") as journal:
        journal.append(study_started())
        queue(journal, "phase1", [trial])
        journal.append(started("phase1", trial))
        time.sleep(0.3)
        log(folder, "phase1", trial, 0)
        journal.append(ended("phase1", trial, 0))
    moment = [0.05]
    replay = Replay(folder, 2.0, clock=lambda: moment[0])
    replay.poll()  # winds the tape
    moment[0] = 0.1
    replay.poll()
    assert replay.state.phases["phase1"].trials[trial.id].state == "running"
    assert replay.runner().state == "replay"
    assert not replay.poll()
    moment[0] = 1.0
    replay.poll()  # winds the tape
    moment[0] = 0.1
    replay.poll()
    assert replay.state.phases["phase1"].trials[trial.id].state == "done"
    rows = replay.rows(("phase1", trial.id))
    assert rows is not None
    assert len(rows) == 6
    assert replay.rows(("phase1", trial.id)) is None
    assert replay.runner().state == "none"
