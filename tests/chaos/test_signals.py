"""HUP, STOP and CONT to the runner and its workers, and a jumping clock: all end like an undisturbed run."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from litegpt.results.folder import StudyFolder
from litegpt.run.device_discovery import WorkerSlot
from litegpt.run.lock import read_holder
from litegpt.run.packing import Packing
from litegpt.run.runner import Runner
from litegpt.run.watch import Watch
from litegpt.study.study import read_study
from litegpt.text.corpus import read_corpus
from tests.run.study_files import ROOT, NewStudy, StudyFiles, is_alive, wait_until

PHASES = """
[[phase]]
name = "only"
max_iters = 600
[phase.grid]
seed = [1, 2]
"""


def outcome(study: StudyFiles) -> dict[str, object]:
    return {trial: (ended["state"], ended["final_loss"]) for (_, trial), ended in study.endings().items()}


@pytest.fixture(scope="module")
def expected(new_study: NewStudy) -> dict[str, object]:
    study = new_study(PHASES)
    assert study.run().returncode == 0
    return outcome(study)


@pytest.fixture(autouse=True)
def _terminal_matters() -> Iterator[None]:
    """Restore the default of HUP, which runners inherit: under nohup it would be ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def study(new_study: NewStudy) -> StudyFiles:
    return new_study(PHASES)


def start(study: StudyFiles, *options: str) -> subprocess.Popen[str]:
    """Start a runner, and return it after some evaluations."""
    runner = study.start("--workers", "2", *options)
    wait_until(lambda: study.metrics_lines() >= 8, "the trials are training")
    return runner


def finish(runner: subprocess.Popen[str], study: StudyFiles, expected: dict[str, object]) -> None:
    out, err = runner.communicate(timeout=120)
    assert runner.returncode == 0, f"{out}\n{err}"
    study.assert_complete()
    study.assert_nothing_runs()
    assert outcome(study) == expected


def test_a_worker_that_is_suspended_briefly_is_not_replaced(study: StudyFiles, expected: dict[str, object]) -> None:
    runner = start(study)
    for pid in study.worker_pids():
        os.kill(pid, signal.SIGSTOP)
        time.sleep(2)
        os.kill(pid, signal.SIGCONT)
    finish(runner, study, expected)
    assert study.events("worker_lost") == []


def test_a_worker_that_stays_suspended_is_replaced(study: StudyFiles, expected: dict[str, object]) -> None:
    runner = start(study, "--patience", "6")
    stopped = study.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    finish(runner, study, expected)
    (lost,) = study.events("worker_lost")
    assert lost["pid"] == stopped
    # The reason depends on which was longer ago at the suspension: the last heartbeat or the last progress.
    assert re.search("hung: no (sign of life|progress) for 6 s", lost["reason"])
    (again,) = study.events("trial_requeued")
    assert "hung" in again["reason"]
    assert not is_alive(stopped)


def test_a_suspended_runner_loses_no_worker(study: StudyFiles, expected: dict[str, object]) -> None:
    runner = start(study, "--patience", "6")
    runner.send_signal(signal.SIGSTOP)
    for pid in study.worker_pids():
        os.kill(pid, signal.SIGSTOP)
    time.sleep(10)
    for pid in (*study.worker_pids(), runner.pid):
        os.kill(pid, signal.SIGCONT)
    finish(runner, study, expected)
    assert study.events("worker_lost") == []


def test_a_hangup_stops_no_worker(study: StudyFiles, expected: dict[str, object]) -> None:
    runner = start(study)
    for pid in study.worker_pids():
        os.kill(pid, signal.SIGHUP)
    finish(runner, study, expected)
    assert study.events("worker_lost") == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_leaves_checkpoints(
    study: StudyFiles, expected: dict[str, object], number: signal.Signals
) -> None:
    runner = start(study)
    runner.send_signal(number)
    if number is signal.SIGHUP:  # the shell and the system may both send it
        time.sleep(0.1)
        runner.send_signal(number)
    runner.communicate(timeout=30)
    assert runner.returncode == 130
    study.assert_nothing_runs()
    assert list(study.results.glob("only/*/checkpoint.safetensors"))
    assert study.events()[-1]["event"] == "study_interrupted"
    finish(study.start("--workers", "2"), study, expected)


def test_a_hangup_does_not_stop_a_detached_runner(study: StudyFiles, expected: dict[str, object]) -> None:
    launcher = study.start("--workers", "2", "--detach")
    launcher.communicate(timeout=60)
    assert launcher.returncode == 0
    holder = wait_until(lambda: read_holder(study.results / "runner.lock"), "the runner holds the lock")
    wait_until(lambda: study.metrics_lines() >= 8, "the trials are training")
    assert os.getsid(holder["pid"]) == holder["pid"]
    os.killpg(holder["pid"], signal.SIGHUP)
    wait_until(lambda: study.events("study_ended"), "the study ends", 120)
    wait_until(lambda: not is_alive(holder["pid"]), "the runner exits")
    study.assert_complete()
    study.assert_nothing_runs()
    assert outcome(study) == expected


JUMPS = (0.0, 3600.0, -7200.0, 0.25, 1e6, -1e6)


def jumping_clock() -> Callable[[], float]:
    jumps = itertools.accumulate(itertools.cycle(JUMPS))
    return lambda: time.monotonic() + next(jumps)


def test_a_jumping_clock_ends_no_worker(study: StudyFiles, expected: dict[str, object]) -> None:
    parsed = read_study(study.file)
    corpus = read_corpus(parsed.corpus, parsed.corpus_base)
    folder = StudyFolder(study.results.parent, parsed.name)
    packing = Packing([WorkerSlot("cpu", 1)] * 2, len(corpus.symbols), folder.root)
    Runner(parsed, corpus, folder, packing, watch=Watch(clock=jumping_clock())).run()
    study.assert_complete()
    assert study.events("worker_lost") == []
    assert outcome(study) == expected


def test_a_closed_stderr_stops_nothing(study: StudyFiles, expected: dict[str, object]) -> None:
    """A lost SSH connection closes the terminal, and with it stderr."""
    command = [sys.executable, "-m", "litegpt.cli.run", str(study.file), "--results", str(study.results.parent)]
    read, write = os.pipe()
    runner = subprocess.Popen(
        [*command, "--device", "cpu", "--workers", "2"], cwd=ROOT, stderr=write, stdout=write, start_new_session=True
    )
    os.close(write)
    wait_until(lambda: study.metrics_lines() >= 8, "the trials are training")
    os.close(read)
    runner.wait(120)
    study.assert_complete()
    study.assert_nothing_runs()
    assert outcome(study) == expected


def test_make_chaos_runs_the_folder_of_these_tests() -> None:
    assert "tests/chaos" in (Path(ROOT) / "Makefile").read_text(encoding="utf-8")
