from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litegpt.results.events import (
    Event,
    PhaseEnded,
    PhasePlanned,
    StudyInterrupted,
    TrialRequeued,
    WorkerLost,
    WorkerStarted,
)
from litegpt.results.fold import fold
from litegpt.results.journal import Journal, JournalReader, read_journal
from litegpt.results.ranking import best_of
from litegpt.results.state import StudyState, TrialState
from tests.builders import make_trials, phase_planned, study_started, trial_ended, trial_started

Record = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "small" / "journal.jsonl"


def write(path: Path, *events: Event) -> None:
    with Journal(path, "small") as journal:
        journal.append(*events)


def records(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_finished_study(path: Path, small_study: list[Event]) -> None:
    write(path, *small_study)
    state = read_journal(path)
    first, second = state.phases.values()
    assert (state.study, state.format, state.host, state.pid) == ("small", 1, "box", 4242)
    assert state.corpus is not None
    assert (state.corpus.characters, state.corpus.vocab_size) == (2_700, 29)
    assert (state.seconds, state.interrupted, state.workers) == (60.0, None, {})
    assert None not in (state.opened, state.started, state.ended)
    assert state.counts() == {"queued": 0, "running": 0, "done": 4, "diverged": 0, "failed": 0, "stopped": 0}
    assert [trial.settings for trial in first.current()] == make_trials(3)
    assert [(given.settings, given.reason) for given in first.excluded] == [
        ({"n_layer": 6, "n_embd": 768}, "excluded by the study file")
    ]
    assert (first.promotion, first.promoted) == (None, ())
    assert second.promotion is not None
    assert (second.promotion.source, second.promotion.by, second.promotion.start) == (
        "phase1",
        "final_loss",
        "checkpoint",
    )
    assert second.promoted == (make_trials(1)[0].id,)
    assert (first.seconds, first.pack_wall_seconds) == (30.0, 12.5)
    trial = first.trials[make_trials(1)[0].id]
    assert (trial.state, trial.attempt, trial.worker, trial.pack_width) == ("done", 1, "w0", 3)
    assert (trial.metrics.step, trial.metrics.best_val_loss, trial.metrics.best_val_step, trial.metrics.final_loss) == (
        500,
        2.4,
        400,
        2.1,
    )
    assert trial.started is not None
    assert trial.ended is not None
    assert trial.started <= trial.ended <= datetime.now(UTC)


def test_the_keys_are_the_contract(path: Path, small_study: list[Event]) -> None:
    write(path, *small_study)
    keys = {record["event"]: set(record) - {"event", "time"} for record in records(path)}
    assert records(path)[0] == {
        "event": "study_opened",
        "time": records(path)[0]["time"],
        "format": 1,
        "study": "small",
    }
    assert keys["study_started"] == {"study", "corpus", "versions", "host", "pid", "devices", "precision"}
    assert keys["phase_planned"] == {"phase", "trials", "excluded", "promotion"}
    assert keys["trial_queued"] == {"phase", "trial", "settings"}
    assert keys["pack_ended"] == {"pack", "phase", "trials", "wall_seconds"}
    assert keys["trial_ended"] == {
        *("phase", "trial", "attempt", "state", "reason", "failure", "step", "seconds", "train_loss", "val_loss"),
        *("best_val_loss", "best_val_step", "bits_per_char", "best_bits_per_char", "final_loss"),
        "tokens_per_second",
    }
    promotions = [record["promotion"] for record in records(path) if record["event"] == "phase_planned"]
    assert promotions[0] is None
    assert set(promotions[1]) == {"from", "top", "by", "how", "start", "promoted"}


def test_events_fold_the_same_from_memory_and_from_the_file(path: Path, small_study: list[Event]) -> None:
    """The state of the runner, which appends events, equals the state that others read from the file."""
    told, read = StudyState(), StudyState()
    for event in small_study:
        record = event.record()
        fold(told, record)
        fold(read, json.loads(json.dumps(record)))
        if isinstance(event, PhasePlanned):
            tuples = replace(event, trials=tuple(event.trials), promoted=tuple(event.promoted))
            fold(told, {**tuples.record(), "time": record["time"]})
    assert told == read


def test_a_journal_of_this_format_stays_readable() -> None:
    """Read a journal that later versions must read too. It has an event and keys that this version does not know."""
    state = read_journal(Path(__file__).parent / "format_1.jsonl")
    (phase,) = state.phases.values()
    counts, best = phase.counts(), best_of(phase.current())
    assert state.study == "kept"
    assert (counts.total, counts["done"], counts["diverged"], counts["queued"], len(phase.excluded)) == (3, 1, 1, 1, 1)
    assert best is not None
    assert best.id == "2x64-t32-b32-lr0.0003-i500-0f3c54a1"
    assert best.settings.n_embd == 64
    assert best.metrics.best_val_loss == 2.31
    assert state.phases["phase1"].trials["2x64-t32-b32-lr0.0006-i500-0f3c54a3"].state == "queued"


def test_reopening_a_journal_adds_no_header(path: Path) -> None:
    write(path, study_started())
    write(path, study_started())
    assert [record["event"] for record in records(path)] == ["study_opened", "study_started", "study_started"]


def test_a_killed_run_leaves_its_trials_queued(path: Path) -> None:
    first, second = make_trials(2)
    done = trial_ended("phase1", second, val_loss=2.0)
    worker = WorkerStarted(worker="w0", pid=1, device="cpu")
    write(
        path,
        study_started(),
        worker,
        *phase_planned("phase1", [first, second]),
        trial_started("phase1", first),
        trial_started("phase1", second),
    )
    reader = JournalReader(path)
    reader.poll()
    assert reader.state.counts()["running"] == 2
    assert list(reader.state.workers) == ["w0"]
    write(path, done, replace(study_started(), pid=5000))
    assert reader.poll()
    trials = reader.state.phases["phase1"].trials
    assert (trials[first.id].state, trials[first.id].attempt, trials[first.id].worker) == ("queued", 1, None)
    assert trials[second.id].state == "done"
    assert (reader.state.pid, reader.state.workers) == (5000, {})


def test_an_interrupted_run_has_a_reason(path: Path) -> None:
    (trial,) = make_trials(1)
    write(
        path,
        study_started(),
        *phase_planned("phase1", [trial]),
        trial_started("phase1", trial),
        StudyInterrupted(reason="SIGINT"),
    )
    state = read_journal(path)
    assert (state.interrupted, state.counts()["queued"]) == ("SIGINT", 1)
    assert state.ended is not None
    write(path, study_started())
    state = read_journal(path)
    assert (state.interrupted, state.ended) == (None, None)


def test_a_lost_worker_and_another_attempt(path: Path) -> None:
    (trial,) = make_trials(1)
    write(
        path,
        study_started(),
        *phase_planned("phase1", [trial]),
        trial_started("phase1", trial),
        WorkerLost(worker="w0", pid=1, device="cuda:0", reason="killed"),
        TrialRequeued(phase="phase1", trial=trial.id, attempt=1, reason="its worker was lost"),
    )
    (state,) = read_journal(path).trials()
    assert (state.state, state.attempt, state.reason) == ("queued", 1, "its worker was lost")
    failed = trial_ended("phase1", trial, "failed", attempt=2, reason="out of memory")
    write(path, trial_started("phase1", trial, attempt=2), failed)
    (state,) = read_journal(path).trials()
    assert (state.state, state.attempt, state.reason, state.metrics.val_loss) == ("failed", 2, "out of memory", None)


def test_a_new_plan_counts_only_its_own_trials(path: Path) -> None:
    trials = make_trials(3)
    ended = [trial_ended("phase1", trial) for trial in trials[:2]]
    phase_ended = PhaseEnded(phase="phase1", done=3, diverged=0, failed=0, stopped=0, excluded=0, seconds=1.0)
    write(
        path,
        *phase_planned("phase1", trials),
        *ended,
        phase_ended,
        *phase_planned("phase1", trials)[:1],
        PhasePlanned(phase="phase1", trials=["new"]),
    )
    state = read_journal(path)
    phase = state.phases["phase1"]
    assert (phase.ended, phase.seconds) == (None, None)
    assert len(phase.trials) == 3
    assert sum(state.counts().values()) == state.counts()["queued"] == 1


def test_unknown_events_and_keys_are_ignored() -> None:
    (trial,) = make_trials(1)
    state = StudyState()
    settings = {**trial.settings(), "n_experts": 8, "dropout": "much", "learning_rate": 1, "start_from": None}
    for record in (
        {"event": "trial_queued", "phase": "phase1", "trial": "a", "settings": settings, "priority": 1},
        {"event": "trial_dreamt", "phase": "phase1", "trial": "a"},
        {"event": "trial_ended", "phase": "phase1", "trial": "a", "state": "transcended"},
        {"event": "trial_queued", "phase": "phase1", "trial": "b", "settings": {"n_layer": 2}},
        {"event": "trial_queued", "phase": "phase1", "trial": "../../up", "settings": settings},
        {"event": "trial_queued", "phase": "..", "trial": "a", "settings": settings},
        {"event": ["trial_ended"], "phase": {}, "trial": []},
    ):
        fold(state, record)
    assert list(state.phases) == ["phase1"]
    expected = replace(trial, learning_rate=1.0)
    assert list(state.trials()) == [TrialState("phase1", "a", expected)]


NAMES = st.sampled_from(Event.__subclasses__()).map(lambda event: event.event)
KEYS = st.sampled_from(sorted({field.name for event in Event.__subclasses__() for field in fields(event)}))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=4), values, max_size=3),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, st.dictionaries(KEYS | st.just("time"), VALUES, max_size=5)), max_size=4))
def test_any_record_can_be_folded(given_records: list[tuple[str, Record]]) -> None:
    state = StudyState()
    needed = {"n_layer": 2, "n_head": 2, "n_embd": 64, "block_size": 8, "batch_size": 4, "learning_rate": 1.0}
    queued = {"event": "trial_queued", "phase": "p", "trial": "t", "settings": {**needed, "max_iters": 10}}
    for record in [queued, *({**values, "phase": "p", "trial": "t", "event": name} for name, values in given_records)]:
        fold(state, record)
    assert [trial.id for trial in state.trials()] == ["t"]
    assert state.counts().total == 1
    best_of(state.trials())


def test_a_journal_cut_at_any_byte_can_be_continued(path: Path) -> None:
    (trial,) = make_trials(1)
    write(path, *phase_planned("phase1", [trial]), trial_started("phase1", trial))
    data = path.read_bytes()
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        whole = read_journal(path)
        write(path, study_started())
        state = read_journal(path)
        assert list(state.phases) in (list(whole.phases), ["phase1"])
        assert (state.study, state.format, state.pid) == ("small", 1, 4242)
        assert state.counts()["running"] == 0


def test_a_replaced_journal_starts_a_new_state(path: Path, small_study: list[Event]) -> None:
    write(path, *small_study)
    reader = JournalReader(path)
    assert reader.poll()
    assert not reader.poll()
    path.unlink()
    with Journal(path, "other") as journal:
        journal.append()
    assert reader.poll()
    assert (reader.state.study, reader.state.phases) == ("other", {})


def test_appended_events_survive_a_kill(path: Path) -> None:
    """An event is in the journal once `append` has returned, even if the runner is killed right after."""
    script = """
import sys
from pathlib import Path
from litegpt.results.events import TrialEnded
from litegpt.results.journal import Journal
journal = Journal(Path(sys.argv[1]), "small")
for number in range(10**9):
    journal.append(TrialEnded(phase="phase1", trial=f"trial{number}", attempt=1, state="done"))
    print(number, flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", script, str(path)]
    runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert runner.stdout is not None
    promised = [runner.stdout.readline() for _ in range(20)]
    os.kill(runner.pid, signal.SIGKILL)
    promised += runner.stdout.readlines()
    runner.wait()
    runner.stdout.close()
    told = [line for line in path.read_bytes().split(b"\n")[1:-1] if line.startswith(b"{")]
    whole = [line for line in promised if line.endswith("\n")]
    assert [json.loads(line)["trial"] for line in told][: len(whole)] == [f"trial{int(line)}" for line in whole]


def test_a_study_of_the_original_size(path: Path) -> None:
    trials = make_trials(1689)
    started = [trial_started("phase1", trial) for trial in trials]
    ended = [trial_ended("phase1", trial, val_loss=2.0) for trial in trials]
    write(path, *phase_planned("phase1", trials), *started, *ended)
    assert read_journal(path).counts()["done"] == 1689


def test_events_do_not_search_the_plan() -> None:
    """A phase of 50,000 trials must not be searched once per event."""

    class Plan(tuple[str, ...]):
        def __contains__(self, _: object) -> bool:
            raise AssertionError("searched")

    trials = make_trials(3)
    state = StudyState()
    for event in phase_planned("phase1", trials):
        fold(state, event.record())
    phase = state.phases["phase1"]
    phase.planned = Plan(phase.planned)
    for trial in trials:
        fold(state, trial_started("phase1", trial).record())
        fold(state, trial_ended("phase1", trial).record())
    assert state.counts()["done"] == 3
    phase.ended = datetime.now(UTC)
    fold(state, TrialRequeued(phase="phase1", trial=trials[0].id, attempt=1, reason="asked for").record())
    assert state.phases["phase1"].ended is None
