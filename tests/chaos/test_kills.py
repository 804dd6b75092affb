"""SIGKILL at random moments to the runner or a worker, fifty times: nothing is lost or done twice."""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from litegpt.results.check import check_study
from litegpt.results.folder import StudyFolder
from tests.run.study_files import NewStudy, StudyFiles, is_alive, wait_until

ROUNDS = int(os.environ.get("LITEGPT_CHAOS_ROUNDS", "50"))
SEED = int(os.environ.get("LITEGPT_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
LONGEST_WAIT = 0.4  # of an undisturbed run, until the next kill
WORKER_KILLS = 2  # in one runner's life: a trial that loses three workers has failed, as it should
FIGURES = ("train_loss", "val_loss", "final_loss", "best_val_loss", "best_val_step", "step")

PHASES = """
[[phase]]
name = "first"
max_iters = 240
[phase.grid]
seed = [1, 2, 3, 4]
n_embd = [16, 24]

[[phase]]
name = "narrow"
max_iters = 120
[phase.promote]
from = "first"
top = 2

[[phase]]
name = "exact"
max_iters = 160
[phase.promote]
from = "first"
top = 3
how = "exact"
start = "checkpoint"
"""

VARIANTS = """
[[phase]]
name = "first"
max_iters = 120
tokenizer = "bpe"
vocab_size = 300
activation = "swiglu"
optimizer = "muon"
[phase.grid]
seed = [1, 2]
n_embd = [16, 24]

[[phase]]
name = "longer"
max_iters = 160
[phase.promote]
from = "first"
top = 2
how = "exact"
start = "checkpoint"
"""


class Disturbed:
    """A study under attack, with the lines seen on its disk and the number of killed workers."""

    def __init__(self, study: StudyFiles, chance: random.Random) -> None:
        self.study = study
        self.chance = chance
        self.seen: dict[Path, bytes] = {}
        self.runner: subprocess.Popen[str] | None = None
        self.worker_kills = 0

    def start(self) -> None:
        if self.runner is None:
            self.runner, self.worker_kills = self.study.start("--workers", "2"), 0

    def wait(self, seconds: float) -> bool:
        """Let the study run, and return whether it has ended."""
        assert self.runner is not None
        try:
            out, err = self.runner.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        assert self.runner.returncode == 0, f"{out}\n{err}"
        return True

    def kill(self) -> str:
        """Kill the runner, or one of its workers, and return which."""
        assert self.runner is not None
        self.check()
        workers = psutil.Process(self.runner.pid).children()
        if workers and self.worker_kills < WORKER_KILLS and self.chance.random() < 0.5:
            self.worker_kills += 1
            self.chance.choice(workers).kill()
            return "worker"
        self.runner.kill()
        self.runner.communicate()
        self.runner = None
        wait_until(lambda: not any(is_alive(worker.pid) for worker in workers), "the workers exit", 15)
        return "runner"

    def check(self) -> None:
        """Check that every complete line seen before still exists, and remember those of now."""
        for path in self.study.results.rglob("*.jsonl"):
            data = path.read_bytes()
            before = self.seen.get(path, b"")
            assert data.startswith(before), f"{path} has lost lines"
            self.seen[path] = data[: data.rfind(b"\n") + 1]


def curves(study: StudyFiles) -> dict[tuple[str, str], Any]:
    """Return the measurements of a study, without times."""
    return {
        key: (
            [ended[figure] for figure in FIGURES],
            [(r["step"], r["train_loss"], r["val_loss"], r["final_loss"]) for r in study.metrics(*key)],
        )
        for key, ended in study.endings().items()
    }


@pytest.mark.parametrize(("phases", "rounds"), [(PHASES, ROUNDS), (VARIANTS, ROUNDS // 2)], ids=["plain", "variants"])
def test_kills_at_random_moments(
    phases: str, rounds: int, new_study: NewStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    undisturbed = new_study(phases)
    started = time.monotonic()
    assert undisturbed.run("--workers", "2", seconds=300).returncode == 0
    longest_wait = LONGEST_WAIT * (time.monotonic() - started)
    undisturbed.assert_complete()
    expected = curves(undisturbed)
    kills = {"runner": 0, "worker": 0}
    finished = 0
    disturbed: Disturbed | None = None
    while disturbed is not None or sum(kills.values()) < rounds:
        disturbed = disturbed or Disturbed(new_study(phases), chance)
        disturbed.start()
        is_over = disturbed.wait(chance.uniform(0, longest_wait))
        if not is_over and sum(kills.values()) < rounds:
            kills[disturbed.kill()] += 1
        elif is_over:
            disturbed.check()
            disturbed.study.assert_complete()
            disturbed.study.assert_nothing_runs()
            assert curves(disturbed.study) == expected, f"seed {SEED}"
            folder = StudyFolder(disturbed.study.results.parent, "tiny")
            assert check_study(folder, is_at_work=False).findings == []
            finished += 1
            disturbed = None
    with capsys.disabled():
        print(f"\n{kills['runner']} kills of runners, {kills['worker']} of workers (seed {SEED}):", end=" ")
        print(f"{finished} studies ended bit for bit, in {time.monotonic() - started:.0f} s")
