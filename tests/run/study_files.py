"""Studies that train in seconds, run by real processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.builders import study_text, tiny_trial

ROOT = Path(__file__).parents[2]
SMALL = tiny_trial(eval_interval=10, dropout=0.1)
WORDS = ("the", "a", "cat", "dog", "bird", "sat", "ran", "flew", "on", "under", "over", "mat", "hill", "and")
DEFAULTS = """\
dropout = 0.1
eval_interval = 20
precision = "fp32"
"""
PATIENCE_SECONDS = 60.0

Record = dict[str, Any]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Return what `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    pytest.fail(f"not within {seconds:g} s: {what}")


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not merely waiting to be reaped."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def read_records(path: Path) -> list[Record]:
    """Return the whole lines of a file that is still being written."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


class StudyFiles:
    """A study file, its corpus and its results, in a folder of their own."""

    def __init__(self, folder: Path, phases: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.file = folder, folder / "tiny.toml"
        self.results = folder / "results" / "tiny"
        self.journal = self.results / "journal.jsonl"
        text = study_text(phases, name="tiny", corpus="tiny.txt", defaults=DEFAULTS)
        self.file.write_text(text, encoding="utf-8")
        chosen = random.Random(7)
        self.corpus = folder / "tiny.txt"
        self.corpus.write_text(" ".join(chosen.choice(WORDS) for _ in range(800)), encoding="utf-8")
        self._runners: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a runner on this study."""
        command = [sys.executable, "-m", "litegpt.cli.run", str(self.file)]
        command += ["--results", str(self.results.parent), "--device", "cpu", "--json", *options]
        runner = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._runners.append(runner)
        return runner

    def run(self, *options: str, seconds: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run the study to its end."""
        runner = self.start(*options)
        out, err = runner.communicate(timeout=seconds)
        return subprocess.CompletedProcess(runner.args, runner.returncode, out, err)

    def close(self) -> None:
        """End what a failed test has left running."""
        for runner in self._runners:
            if runner.poll() is None:
                runner.kill()
                runner.communicate()
        for pid in filter(is_alive, self.worker_pids()):
            os.kill(pid, signal.SIGKILL)

    def events(self, name: str | None = None, phase: str | None = None) -> list[Record]:
        """Return the journal's records, or those of one event."""
        found = read_records(self.journal)
        if name is not None:
            found = [record for record in found if record["event"] == name]
        return [record for record in found if phase is None or record.get("phase") == phase]

    def worker_pids(self) -> list[int]:
        """Return the workers that have ever announced themselves."""
        return [record["pid"] for record in self.events("worker_started")]

    def metrics(self, phase: str, trial: str) -> list[Record]:
        """Return the raw lines of a trial's metrics."""
        return read_records(self.results / phase / trial / "metrics.jsonl")

    def metrics_lines(self) -> int:
        """Return how many evaluations there are on the disk."""
        return sum(len(read_records(path)) for path in self.results.glob("*/*/metrics.jsonl"))

    def settings(self, phase: str) -> dict[str, Record]:
        """Return the settings of a phase's trials, by id."""
        return {record["trial"]: record["settings"] for record in self.events("trial_queued", phase)}

    def endings(self) -> dict[tuple[str, str], Record]:
        """Return how each trial ended. It ends once: anything else fails the test."""
        ended = self.events("trial_ended")
        counts = Counter((record["phase"], record["trial"]) for record in ended)
        assert set(counts.values()) <= {1}, f"trials that ended more than once: {counts}"
        return {(record["phase"], record["trial"]): record for record in ended}

    def assert_complete(self) -> None:
        """Every permutation has ended once, and its metrics have neither gap nor duplicate."""
        planned = {
            (record["phase"], trial): None for record in self.events("phase_planned") for trial in record["trials"]
        }
        endings = self.endings()
        assert planned.keys() == endings.keys()
        for (phase, trial), ended in endings.items():
            settings = self.settings(phase)[trial]
            steps = [record["step"] for record in self.metrics(phase, trial)]
            expected = [*range(0, settings["max_iters"], settings["eval_interval"]), settings["max_iters"]]
            if ended["state"] == "done":
                assert steps == expected, trial
            else:
                assert steps == expected[: len(steps)], trial
        for record in self.events("phase_planned"):
            count = Counter(ended["state"] for (phase, _), ended in endings.items() if phase == record["phase"])
            (ended_phase,) = self.events("phase_ended", record["phase"])
            assert {state: ended_phase[state] for state in ("done", "diverged", "failed", "stopped")} == {
                state: count[state] for state in ("done", "diverged", "failed", "stopped")
            }

    def assert_nothing_runs(self) -> None:
        """No worker of this study is left."""
        wait_until(lambda: not any(map(is_alive, self.worker_pids())), "the workers exit", 10)


NewStudy = Callable[[str], StudyFiles]
