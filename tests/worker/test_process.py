"""A worker process, controlled over its pipes like by a runner."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from litegpt.study.trial import Trial
from litegpt.worker.messages import StopPack, TrainPack, TrialRequest
from tests.run.study_files import ROOT, SMALL, read_records

CHATTER = """
import atexit, os, sys
print("a library says hello")
print('{"kind": "over"}')
print("[1, 2]")
sys.stdout.flush()
atexit.register(print, "a library says goodbye")
"""

Message = dict[str, Any]


class Worker:
    """A worker process and the messages that it sends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "chatter").mkdir(parents=True)
        (folder / "chatter" / "sitecustomize.py").write_text(CHATTER, encoding="utf-8")
        (folder / "text.txt").write_text("the cat sat on the mat and the dog ran over the hill " * 20, encoding="utf-8")
        self.errors = (folder / "stderr").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "litegpt.worker", "--device", "cpu", "--threads", "1"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, "PYTHONPATH": str(folder / "chatter")},
        )
        self.lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def train(self, pack: str, *trials: Trial, corpus: str = "text.txt", start_from: str | None = None) -> None:
        requests = [
            TrialRequest(
                phase="p",
                settings=trial.settings(),
                folder=str(self.trial_folder(trial)),
                attempt=1,
                start_from=start_from,
            )
            for trial in trials
        ]
        path = self.folder / corpus
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        request = TrainPack(
            pack=pack,
            corpus=corpus,
            corpus_base=str(self.folder),
            corpus_sha256=digest,
            split={},
            trials=requests,
        )
        self.say(request.line())

    def trial_folder(self, trial: Trial) -> Path:
        return self.folder / "results" / trial.id

    def next(self, *kinds: str) -> Message:
        """Return the next message of one of these kinds."""
        while (line := self.lines.get(timeout=20)) is not None:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("kind") in kinds and len(message) > 1:
                return message
        raise AssertionError(f"the worker has left without saying any of {kinds}")

    def until_idle(self) -> list[Message]:
        """Return what it says up to the end of its pack, but for signs of life."""
        found = []
        while (message := self.next("over", "evaluated", "pack_over"))["kind"] != "pack_over":
            found.append(message)
        return [*found, message]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.errors.close()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One worker for all tests of this file, which depend on their order: the last ones end it."""
    worker = Worker(tmp_path_factory.mktemp("worker"))
    yield worker
    worker.close()


def variant(**changes: object) -> Trial:
    return Trial(**{**SMALL.settings(), **changes})


def test_it_reports_ready_even_if_libraries_print(worker: Worker) -> None:
    ready = worker.next("ready")
    assert ready["pid"] == worker.process.pid
    assert ready["device"] == "cpu"
    assert ready["precision"] in ("fp32", "bf16")
    assert ready["torch"]


def test_it_trains_a_pack_and_reports_every_evaluation(worker: Worker) -> None:
    trials = [SMALL, variant(seed=2)]
    worker.train("p1", *trials)
    sent = worker.until_idle()
    evaluated = [(message["trial"], message["step"]) for message in sent if message["kind"] == "evaluated"]
    assert sorted(evaluated) == sorted((trial.id, step) for trial in trials for step in (0, 10, 20))
    ends = {message["trial"]: message for message in sent if message["kind"] == "over"}
    assert ends.keys() == {trial.id for trial in trials}
    for trial in trials:
        assert (ends[trial.id]["state"], ends[trial.id]["phase"]) == ("done", "p")
        metrics = read_records(worker.trial_folder(trial) / "metrics.jsonl")
        assert [record["step"] for record in metrics] == [0, 10, 20]
        assert {record["pack_width"] for record in metrics} == {2}
        assert ends[trial.id]["metrics"]["val_loss"] == metrics[-1]["val_loss"]
    assert (sent[-1]["pack"], sent[-1]["wall_seconds"] > 0) == ("p1", True)


@pytest.mark.parametrize(
    "line", [b"\n", b"junk\n", b"{\n", b"null\n", b"[1]\n", b'{"kind": "stop"}\n', b'{"kind": "nothing"}\n', b"\xff\n"]
)
def test_it_ignores_lines_that_are_not_messages(worker: Worker, line: bytes) -> None:
    worker.say(line)
    assert worker.process.poll() is None


def test_a_failed_pack_does_not_end_the_worker(worker: Worker) -> None:
    lost = variant(seed=3)
    worker.train("p2", lost, corpus="nothing.txt")
    ends, idle = worker.until_idle()
    assert (ends["trial"], ends["state"], idle["pack"]) == (lost.id, "failed", "p2")
    assert "no such corpus" in ends["reason"]
    assert "\n" not in ends["reason"]
    assert "Traceback" in (worker.trial_folder(lost) / "error.txt").read_text(encoding="utf-8")
    worker.train("p3", variant(seed=4))
    assert [message["state"] for message in worker.until_idle() if message["kind"] == "over"] == ["done"]


def test_missing_start_weights_fail_the_trial(worker: Worker) -> None:
    worker.train("p4", variant(seed=5), start_from=str(worker.folder / "none.safetensors"))
    ends, _ = worker.until_idle()
    assert ends["state"] == "failed"
    assert "no such checkpoint" in ends["reason"]


def test_a_damaged_checkpoint_restarts_the_trial(worker: Worker) -> None:
    trial, twin = variant(seed=6), variant(seed=7)
    folder = worker.trial_folder(trial)
    folder.mkdir(parents=True)
    (folder / "checkpoint.safetensors").write_bytes(b"junk" * 100)
    worker.train("p5", trial, twin)
    assert [m["state"] for m in worker.until_idle() if m["kind"] == "over"] == ["done", "done"]
    assert [record["step"] for record in read_records(folder / "metrics.jsonl")] == [0, 10, 20]


def test_trials_of_one_pack_may_resume_at_different_steps(worker: Worker) -> None:
    """One has a checkpoint, the other does not."""
    long = [variant(seed=seed, max_iters=120) for seed in (8, 9)]
    worker.train("p6", long[0])
    worker.next("evaluated")
    worker.say(StopPack(pack="p6").line())
    stopped = [message for message in worker.until_idle() if message["kind"] == "over"]
    assert [message["state"] for message in stopped] == ["stopped"]
    worker.train("p7", *long)
    ended = {message["trial"]: message for message in worker.until_idle() if message["kind"] == "over"}
    assert {trial: message["state"] for trial, message in ended.items()} == {trial.id: "done" for trial in long}
    for trial in long:
        steps = [record["step"] for record in read_records(worker.trial_folder(trial) / "metrics.jsonl")]
        assert steps == list(range(0, 121, 10)), "no gap, no duplicate"


def test_a_stop_for_another_pack_is_ignored(worker: Worker) -> None:
    worker.say(StopPack(pack="p999").line())
    worker.train("p8", variant(seed=10))
    assert [message["state"] for message in worker.until_idle() if message["kind"] == "over"] == ["done"]


def test_a_long_pack_reports_its_steps(worker: Worker) -> None:
    trial = variant(seed=11, max_iters=1_000_000, eval_interval=500_000)
    worker.train("p9", trial)
    signs = [worker.next("alive") for _ in range(3)]
    assert all((sign["pack"], sign["trials"]) == ("p9", [trial.id]) for sign in signs)
    steps = [sign["step"] for sign in signs]
    assert steps == sorted(steps)
    while not steps[-1]:  # a slow machine reports its first evaluation more than once
        steps.append(worker.next("alive")["step"])


def test_sigterm_writes_a_checkpoint_and_ends_the_worker(worker: Worker) -> None:
    """The pack of the previous test is still training."""
    worker.process.send_signal(signal.SIGTERM)
    ends, idle = worker.until_idle()
    assert (ends["state"], idle["pack"]) == ("stopped", "p9")
    assert ends["metrics"]["step"] > 0
    state = json.loads((worker.folder / "results" / ends["trial"] / "state.json").read_text(encoding="utf-8"))
    assert state["progress"]["step"] == ends["metrics"]["step"]
    assert worker.process.wait(5) == 0


def test_the_end_of_stdin_ends_the_worker_at_once(tmp_path: Path) -> None:
    """In the middle of a pack, because its runner has died and another may start."""
    worker = Worker(tmp_path)
    try:
        worker.next("ready")
        trial = variant(max_iters=1_000_000)
        worker.train("p1", trial)
        worker.next("evaluated")
        assert worker.process.stdin is not None
        worker.process.send_signal(signal.SIGINT)  # a terminal's Ctrl-C goes to the whole group: not its to answer
        worker.next("evaluated")
        worker.process.stdin.close()
        worker.process.wait(60)
        path = worker.trial_folder(trial) / "metrics.jsonl"
        assert path.read_bytes().endswith(b"\n"), "lines are whole"
    finally:
        worker.close()


FAILING_DEVICE = """
import sys
from litegpt.worker import trainer
from litegpt.worker.__main__ import main

def fail(self, request, should_stop):
    raise trainer.DeviceFailedError("CUDA error: an illegal memory access was encountered")

trainer.PackTrainer.train = fail
sys.exit(main())
"""


def test_a_failed_device_ends_the_process_with_its_status() -> None:
    """The runner takes the end of a worker as a reason to train its trials elsewhere."""
    pack = TrainPack(pack="p1", corpus="c", corpus_base="/b", corpus_sha256="00", split={}, trials=[])
    with subprocess.Popen(
        [sys.executable, "-c", FAILING_DEVICE, "--device", "cpu", "--threads", "1"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(pack.line())
        process.stdin.flush()
        # Stdin stays open: its end alone would end the worker, too.
        assert process.wait(60) == 75
        assert process.stderr is not None
        assert b"illegal memory access" in process.stderr.read()
