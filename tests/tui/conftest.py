"""A small finished study on disk, and functions that run a console on it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from litegpt.results.events import (
    Event,
    PhaseEnded,
    StudyEnded,
)
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal
from litegpt.results.metric import TrialMetrics, bits_per_char
from litegpt.results.metrics import Evaluation, Evaluations, MetricsWriter
from litegpt.results.samples import Sample, append_sample
from litegpt.study.phase import Promotion
from litegpt.study.trial import Trial
from litegpt.text.corpus import read_corpus
from tests.builders import make_trial, phase_planned, study_started, trial_ended, trial_started
from tui.app import ConsoleApp
from tui.importance.answering import Answerer
from tui.importance.answers import Answer, Share
from tui.location import StudyLocation, find_location
from tui.settings import Settings

STUDY = """
[study]
name = "small"
corpus = "corpus.txt"   # a remark that must survive

[defaults]
n_head = 2
n_embd = 32
block_size = 16
eval_interval = 20

[[phase]]
name = "phase1"
max_iters = 100
[phase.grid]
learning_rate = [1e-3, 3e-3, 1e-2]
n_layer = [1, 2]
batch_size = [8, 16]

[[phase]]
name = "phase2"
max_iters = 200
[phase.promote]
from = "phase1"
top = 3
how = "exact"
"""

QUICK = Settings(refresh_seconds=0.1)
Drive = Callable[[Pilot[None]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings and views of the tests away from the user's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture(autouse=True)
def _quick_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the 20 ms that Textual's pilot sleeps, several times per key, until the process is idle."""
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 0.005)


@pytest.fixture
def quick_importance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the computation of importance, which takes a process and scikit-learn."""
    bars = (Share("learning_rate", 0.7), Share("n_layer", 0.2), Share("batch_size", 0.1))
    monkeypatch.setattr(Answerer, "ask", lambda *_: Answer(bars, "What it means.", ("a note",)))


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    (tmp_path / "corpus.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60, encoding="utf-8")
    path = tmp_path / "small.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "results", "small")


def phase_trials(count: int = 12, max_iters: int = 100) -> list[Trial]:
    shape = {"n_head": 2, "n_embd": 32, "block_size": 16, "eval_interval": 20, "max_iters": max_iters}
    grid = [(rate, layers, batch) for rate in (1e-3, 3e-3, 1e-2) for layers in (1, 2) for batch in (8, 16)]
    return [
        make_trial(**shape, learning_rate=rate, n_layer=layers, batch_size=batch)
        for rate, layers, batch in grid[:count]
    ]


def evaluation(trial: Trial, step: int, place: int) -> Evaluation:
    loss = 1.5 + 0.05 * place + 2.5 * math.exp(-step / 30)
    return Evaluation(
        step=step,
        train_loss=loss - 0.1,
        val_loss=loss,
        final_loss=loss - 0.05 if step else None,
        bits_per_char=bits_per_char(loss),
        seconds=step * 0.01,
        tokens_per_second=5e4,
        learning_rate=trial.learning_rate,
        attempt=1,
        time=f"2026-01-01T00:00:{min(59, 10 + step // 10):02}.000Z",
    )


def log(folder: StudyFolder, phase: str, trial: Trial, place: int, until: int | None = None) -> None:
    """Write the evaluations of a trial up to a step."""
    with MetricsWriter(folder.trial(phase, trial.id).metrics) as writer:
        for step in range(0, (trial.max_iters if until is None else until) + 1, trial.eval_interval):
            writer.append(evaluation(trial, step, place))


def ended(phase: str, trial: Trial, place: int, state: str = "done") -> Event:
    metrics = TrialMetrics.at(trial.max_iters, Evaluations([evaluation(trial, trial.max_iters, place)]))
    reason = None if state == "done" else "the loss is not a number"
    return trial_ended(phase, trial, state, reason=reason, metrics=metrics)


@pytest.fixture
def finished(study_file: Path, folder: StudyFolder) -> StudyLocation:
    """Two phases that have ended: twelve trials, the last of them diverged, and the three best of them again."""
    first, second = phase_trials(), phase_trials(3, max_iters=200)
    folder.path.mkdir(parents=True)
    folder.snapshot.write_text(STUDY.replace('"corpus.txt"', f"'{study_file.parent / 'corpus.txt'}'"), "utf-8")
    with Journal(folder.journal, "small") as journal:
        journal.append(study_started(sha256=read_corpus("corpus.txt", study_file.parent).sha256))
        journal.append(*phase_planned("phase1", first))
        for place, trial in enumerate(first):
            journal.append(trial_started("phase1", trial))
            log(folder, "phase1", trial, place)
            text = f"the quick brown fox {place} ju [red]zzz \x1b[31m"
            sample = Sample(step=100, loss=2.0 - place / 100, text=text, prompt="", temperature=1.0, seed=0)
            append_sample(folder.trial("phase1", trial.id).samples, sample)
            journal.append(ended("phase1", trial, place, "done" if place < 11 else "diverged"))
        journal.append(PhaseEnded(phase="phase1", done=11, diverged=1, failed=0, stopped=0, excluded=0, seconds=5.0))
        promotion, promoted = Promotion("phase1", 3, how="exact"), [trial.id for trial in first[:3]]
        journal.append(*phase_planned("phase2", second, promotion=promotion, promoted=promoted))
        for place, trial in enumerate(second):
            journal.append(trial_started("phase2", trial))
            log(folder, "phase2", trial, place)
            journal.append(ended("phase2", trial, place))
        journal.append(PhaseEnded(phase="phase2", done=3, diverged=0, failed=0, stopped=0, excluded=0, seconds=2.0))
        journal.append(StudyEnded(seconds=7.0))
    return find_location(study_file, folder.root)


def run(app: ConsoleApp, drive: Drive, size: tuple[int, int] = (120, 36)) -> None:
    """Run a console without a terminal, and drive it with `drive`."""

    async def session() -> None:
        async with app.run_test(size=size) as pilot:
            await settled(app, pilot)
            await drive(pilot)

    asyncio.run(session())


async def settled(app: ConsoleApp, pilot: Pilot[None], ready: Callable[[], bool] | None = None) -> None:
    """Wait until `ready`; by default, until the journal has been read."""
    is_ready = ready or (lambda: bool(app.feed.state.phases) or not app.feed.location.folder.journal.exists())
    for _ in range(1500):
        await pilot.pause(0.02)
        if is_ready():
            await pilot.pause()
            return
    raise AssertionError("the console did not get there")


def text_of(app: ConsoleApp) -> str:
    """Return the lines of the screen."""
    height = app.size.height
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips[:height])
