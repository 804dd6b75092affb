"""A runner that is stopped before its workers start."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from litegpt.results.events import TrialQueued
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.run import runner as runner_module
from litegpt.run.device_discovery import WorkerSlot
from litegpt.run.packing import Packing
from litegpt.run.phases import planning_events, resolve_study
from litegpt.run.requests import send_request
from litegpt.run.runner import Runner
from litegpt.run.runner_journal import RunnerJournal
from litegpt.study.study import Study, parse_study
from litegpt.text.corpus import read_corpus

STUDY = """
[study]
name = "s"
corpus = "c.txt"

[defaults]
n_layer = 1
n_head = 2
n_embd = 16
block_size = 8
batch_size = 4
learning_rate = 1e-2

[[phase]]
name = "only"
max_iters = 100
[phase.grid]
seed = [1, 2, 3, 4, 5, 6]
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "c.txt").write_text("the cat sat on the mat " * 50, encoding="utf-8")
    return parse_study(STUDY, tmp_path / "s.toml")


@pytest.fixture
def runner(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr(runner_module, "EVENTS_AT_ONCE", 2)
    folder = StudyFolder(tmp_path / "results", "s")
    folder.path.mkdir(parents=True)
    packing = Packing([WorkerSlot("cpu", 1)], 20, folder.root)
    return Runner(study, read_corpus(study.corpus, study.corpus_base), folder, packing)


def stop_after_first_batch(monkeypatch: pytest.MonkeyPatch, stop: Callable[[], object]) -> None:
    """Call `stop` when the first trials have been queued."""
    append = RunnerJournal.append

    def append_and_stop(journal: RunnerJournal, *events: object) -> None:
        append(journal, *events)  # type: ignore[arg-type]
        if any(isinstance(event, TrialQueued) for event in events):
            stop()

    monkeypatch.setattr(RunnerJournal, "append", append_and_stop)


def assert_stopped_while_planning(runner: Runner, study: Study, folder: StudyFolder) -> None:
    runner.run()
    assert runner.interrupted
    state = read_journal(folder.journal)
    assert len(state.phases["only"].planned) == 6
    assert 0 < len(state.phases["only"].trials) < 6
    assert not state.workers
    # The next run queues the rest.
    expansion = resolve_study(study, state)["only"]
    missing = planning_events(state, study.phase("only"), expansion)
    assert len(missing) == 6 - len(state.phases["only"].trials)


def test_a_signal_stops_the_planning_of_a_phase(
    runner: Runner, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after_first_batch(monkeypatch, lambda: runner.interrupt(signal.SIGTERM))
    assert_stopped_while_planning(runner, study, StudyFolder(tmp_path / "results", "s"))


def test_a_request_stops_the_planning_of_a_phase(
    runner: Runner, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder(tmp_path / "results", "s")
    stop_after_first_batch(monkeypatch, lambda: send_request(folder, "stop"))
    assert_stopped_while_planning(runner, study, folder)


def test_a_signal_before_the_first_phase_plans_nothing(runner: Runner, tmp_path: Path) -> None:
    runner.interrupt(signal.SIGINT)
    runner.run()
    assert runner.interrupted
    assert read_journal(StudyFolder(tmp_path / "results", "s").journal).phases == {}
