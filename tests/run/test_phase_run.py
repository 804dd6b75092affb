"""One phase with workers that only record what they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from litegpt.estimate.packs import Tuning
from litegpt.results.folder import StudyFolder
from litegpt.run.context import RunContext
from litegpt.run.phase_run import PhaseRun
from litegpt.run.phases import planning_events, resolve_study
from litegpt.run.requests import Request
from litegpt.run.runner_journal import RunnerJournal
from litegpt.study.study import parse_study
from litegpt.worker.messages import DISK, Message, PackOver, TrainPack, TrialOver

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
seed = [1, 2]
"""


class FakeWorker:
    """A worker that is always ready and never answers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.slot = SimpleNamespace(device="cpu", threads=1)
        self.is_ready = True
        self.precision = "fp32"
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def pack(self) -> TrainPack:
        """The latest pack that it was sent."""
        return [message for message in self.sent if isinstance(message, TrainPack)][-1]


class Scene:
    """A phase of two trials on two workers."""

    def __init__(self, tmp_path: Path, journal: RunnerJournal, folder: StudyFolder) -> None:
        study = parse_study(STUDY, tmp_path / "s.toml")
        packing: Any = SimpleNamespace(
            slots=["cpu", "cpu"],
            width=lambda trial: 1,
            tuning=lambda trials: Tuning(),
            is_worth_tuning=lambda trials: False,
        )
        corpus: Any = SimpleNamespace(sha256="ab" * 32, symbols="abc")
        self.context = RunContext(study, corpus, folder, packing, journal)
        phase = study.phase("only")
        journal.append(*planning_events(journal.state, phase, resolve_study(study, journal.state)["only"]))
        self.workers: dict[str, Any] = {name: FakeWorker(name) for name in ("w1", "w2")}
        self.phase_run = PhaseRun("only", self.context, SimpleNamespace(by_name=self.workers))  # type: ignore[arg-type]

    @property
    def paused(self) -> str | None:
        return self.context.state.paused

    def fail(self, worker: str) -> None:
        """Let a worker report that it cannot write the results of its pack."""
        pack = self.workers[worker].pack
        trial = self.context.study.bounds["only"].candidates.trials  # type: ignore[union-attr]
        (name,) = [t.id for t in trial if t.settings() == pack.trials[0].settings]
        over = TrialOver(phase="only", trial=name, state="failed", reason="disk full", failure=DISK)
        self.phase_run.take(self.workers[worker], over)
        self.phase_run.take(self.workers[worker], PackOver(pack=pack.pack, wall_seconds=1.0))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    folder = StudyFolder(tmp_path, "s")
    folder.path.mkdir()
    with RunnerJournal(folder) as journal:
        yield Scene(tmp_path, journal, folder)


def test_a_failure_of_an_outage_that_has_ended_does_not_pause_again(scene: Scene) -> None:
    """Both workers meet the full disk, but the second report is read only after the user has resumed the run."""
    scene.phase_run.assign()
    scene.fail("w1")
    assert scene.paused is not None
    scene.phase_run.act(Request("resume"))
    scene.fail("w2")
    assert scene.paused is None


def test_a_failure_after_a_resume_pauses_again(scene: Scene) -> None:
    scene.phase_run.assign()
    scene.fail("w1")
    scene.phase_run.act(Request("resume"))
    scene.phase_run.assign()
    scene.fail("w1")
    assert scene.paused is not None


def test_a_pause_of_the_journal_counts_as_an_outage(scene: Scene) -> None:
    scene.phase_run.assign()
    scene.context.journal.resumes += 1
    scene.fail("w1")
    assert scene.paused is None
