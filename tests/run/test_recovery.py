"""kill -9, SIGTERM, SIGINT: the same command resumes, with the figures of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess

import pytest

from tests.run.study_files import NewStudy, StudyFiles, is_alive, read_records, wait_until

LONG = """
[[phase]]
name = "first"
max_iters = 200
eval_interval = 20
[phase.grid]
seed = [1, 2, 3, 4]

[[phase]]
name = "second"
max_iters = 201
eval_interval = 20
[phase.promote]
from = "first"
top = 2
how = "exact"
start = "checkpoint"
"""

ENDLESS = """
[[phase]]
name = "endless"
max_iters = 100_000
[phase.grid]
seed = [1]
"""

DEADLY = """
[[phase]]
name = "mixed"
[[phase.trial]]
max_iters = 100_000
[[phase.trial]]
max_iters = 40
[[phase.trial]]
max_iters = 60
"""


def kill_worker(study: StudyFiles, number: int = signal.SIGKILL, phase: str | None = None) -> None:
    """Signal a worker that is training a trial, soon after its attempt has started."""

    def victim() -> int | None:
        pids = {record["worker"]: record["pid"] for record in study.events("worker_started")}
        at_work = {}
        for record in study.events():
            if record["event"] == "trial_started" and phase in (None, record["phase"]):
                at_work[record["trial"]] = record["worker"]
            elif record["event"] in ("trial_ended", "trial_requeued"):
                at_work.pop(record["trial"], None)
        return next((pids[worker] for worker in at_work.values()), None)

    os.kill(wait_until(victim, "a worker is at work"), number)


@pytest.fixture(scope="module")
def undisturbed(new_study: NewStudy) -> StudyFiles:
    study = new_study(LONG)
    run = study.run()
    assert run.returncode == 0, run.stderr
    return study


@pytest.fixture(scope="module")
def disturbed(new_study: NewStudy) -> StudyFiles:
    """The same study with the runner killed, a worker killed, a worker terminated; then run to its end."""
    study = new_study(LONG)
    runner = study.start()
    wait_until(lambda: study.metrics_lines() >= 8, "the first phase is at work")
    assert not study.events("phase_ended")
    runner.kill()
    runner.communicate()
    study.assert_nothing_runs()
    before = study.metrics_lines()
    runner = study.start()
    wait_until(lambda: study.metrics_lines() > before, "the second runner trains")
    kill_worker(study)
    wait_until(lambda: study.events("phase_ended", "first"), "the first phase ends")
    wait_until(lambda: study.events("trial_started", "second"), "the second phase begins")
    kill_worker(study, signal.SIGTERM, "second")
    _, err = runner.communicate(timeout=60)
    assert runner.returncode == 0, err
    return study


def test_every_trial_ends_once_and_its_metrics_have_neither_gap_nor_duplicate(disturbed: StudyFiles) -> None:
    disturbed.assert_complete()
    assert {ended["state"] for ended in disturbed.endings().values()} == {"done"}


def test_the_losses_equal_those_of_an_undisturbed_run(undisturbed: StudyFiles, disturbed: StudyFiles) -> None:
    undisturbed.assert_complete()
    expected, found = undisturbed.endings(), disturbed.endings()
    assert found.keys() == expected.keys()
    for key, ended in found.items():
        for figure in ("train_loss", "val_loss", "final_loss", "best_val_loss", "best_val_step", "step"):
            assert ended[figure] == expected[key][figure], f"{key}: {figure}"
        losses = [
            [(r["step"], r["val_loss"], r["final_loss"]) for r in s.metrics(*key)] for s in (disturbed, undisturbed)
        ]
        assert losses[0] == losses[1]


def test_the_samples_equal_those_of_an_undisturbed_run(undisturbed: StudyFiles, disturbed: StudyFiles) -> None:
    for phase, trial in undisturbed.endings():
        texts = []
        for study in (undisturbed, disturbed):
            path = study.results / phase / trial / "samples.jsonl"
            records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            texts.append(sorted((record["step"], record["text"]) for record in records))
        assert texts[0] == texts[1]


def test_lost_workers_and_requeued_trials_are_in_the_journal(disturbed: StudyFiles) -> None:
    assert len(disturbed.events("study_started")) == 2
    assert disturbed.events("worker_lost")
    requeued = disturbed.events("trial_requeued")
    assert requeued
    attempts = [record["attempt"] for record in disturbed.endings().values()]
    assert max(attempts) > 1
    assert disturbed.events()[-1]["event"] == "study_ended"


def test_later_attempts_are_numbered_in_the_metrics(disturbed: StudyFiles) -> None:
    seen = set()
    for phase, trial in disturbed.endings():
        attempts = [record["attempt"] for record in disturbed.metrics(phase, trial)]
        assert attempts == sorted(attempts)
        seen |= set(attempts)
    assert len(seen) > 1


def test_nothing_is_left_running(disturbed: StudyFiles, undisturbed: StudyFiles) -> None:
    disturbed.assert_nothing_runs()
    undisturbed.assert_nothing_runs()


@pytest.fixture(scope="module")
def endless(new_study: NewStudy) -> StudyFiles:
    """A study that would train for minutes. The tests that use it depend on their order."""
    return new_study(ENDLESS)


def start_until_at_work(study: StudyFiles) -> subprocess.Popen[str]:
    """Start a runner, and return it after a few more evaluations of its trial."""
    before = study.metrics_lines()
    runner = study.start()
    wait_until(lambda: study.metrics_lines() >= before + 3, "the trial is at work")
    return runner


def checkpoint_step(study: StudyFiles) -> int:
    (path,) = study.results.glob("endless/*/state.json")
    step: int = json.loads(path.read_text(encoding="utf-8"))["progress"]["step"]
    return step


def test_a_second_runner_is_refused_and_the_first_stops_with_checkpoints(
    endless: StudyFiles,
) -> None:
    runner = start_until_at_work(endless)
    second = endless.run()
    assert second.returncode == 3
    assert len(second.stderr.splitlines()) == 1
    assert str(runner.pid) in second.stderr
    assert socket.gethostname() in second.stderr
    assert runner.poll() is None, "the first runner continues"
    runner.send_signal(signal.SIGINT)
    _, err = runner.communicate(timeout=10)
    assert runner.returncode == 130
    assert "Traceback" not in err
    assert "the same command resumes the run" in err
    assert checkpoint_step(endless) > 0
    endless.assert_nothing_runs()
    assert endless.events()[-1]["event"] == "study_interrupted"
    assert [record["attempt"] for record in endless.events("trial_requeued")] == [1]
    assert endless.events("trial_ended") == []


def test_the_same_command_resumes_and_a_second_interrupt_quits_at_once(endless: StudyFiles) -> None:
    before = checkpoint_step(endless)
    runner = start_until_at_work(endless)
    (path,) = endless.results.glob("endless/*/metrics.jsonl")
    assert min(record["step"] for record in read_records(path) if record["attempt"] == 2) > before
    workers = [pid for pid in endless.worker_pids() if is_alive(pid)]
    # Suspended workers write no checkpoints.
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    runner.send_signal(signal.SIGTERM)
    runner.send_signal(signal.SIGINT)
    _, err = runner.communicate(timeout=60)
    assert runner.returncode == 130
    assert "Traceback" not in err
    endless.assert_nothing_runs()
    steps = [record["step"] for record in read_records(path)]
    assert steps == list(range(0, 20 * len(steps), 20)), "no gap, no duplicate"


@pytest.mark.slow  # a minute of a busy machine goes into starting workers
def test_a_trial_that_loses_three_workers_fails_and_the_others_continue(new_study: NewStudy) -> None:
    study = new_study(DEADLY)
    runner = study.start("--workers", "2")
    killed: list[int] = []

    def kill_at_the_long_trial() -> bool:
        workers = {record["worker"]: record["pid"] for record in study.events("worker_started")}
        for record in study.events("trial_started"):
            pid = workers[record["worker"]]
            if "i100000" in record["trial"] and pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        return runner.poll() is not None

    wait_until(kill_at_the_long_trial, "the study ends")
    out, err = runner.communicate()
    assert runner.returncode == 1, err
    assert json.loads(out)["failed"] == 1
    assert len(killed) == 3
    study.assert_complete()
    endings = {trial: ended for (_, trial), ended in study.endings().items()}
    (failed,) = [ended for trial, ended in endings.items() if "i100000" in trial]
    assert (failed["state"], failed["attempt"]) == ("failed", 3)
    assert "3 workers" in failed["reason"]
    assert sorted(ended["state"] for ended in endings.values()) == ["done", "done", "failed"]
    assert len(study.events("worker_lost")) == 3
    study.assert_nothing_runs()
