"""A small study, as its journal tells it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from litegpt.results.events import (
    CorpusIdentity,
    Event,
    PackEnded,
    PhaseEnded,
    PhasePlanned,
    StudyEnded,
    StudyStarted,
    TrialEnded,
    TrialQueued,
    TrialStarted,
    WorkerStarted,
)
from litegpt.results.metric import TrialMetrics
from litegpt.study.phase import Exclusion, Promotion
from litegpt.study.trial import Trial

MakeTrials = Callable[..., list[Trial]]


@pytest.fixture
def make_trials() -> MakeTrials:
    def make(count: int = 3, **settings: float) -> list[Trial]:
        base: dict[str, float] = {"n_layer": 2, "n_head": 2, "n_embd": 64, "block_size": 32, "batch_size": 32}
        base |= {"learning_rate": 3e-4, "max_iters": 500, **settings}
        return [Trial(**{"seed": seed, **base}) for seed in range(count)]  # type: ignore[arg-type]

    return make


@pytest.fixture
def study_started() -> StudyStarted:
    return StudyStarted(
        study="small",
        corpus=CorpusIdentity("data/novella.txt", "ab" * 32, 112_191, 77),
        versions={"litegpt": "0.1.0", "python": "3.11.7", "torch": "2.9.0"},
        host="box",
        pid=4242,
        devices=["cuda:0"],
        precision="bf16",
    )


@pytest.fixture
def small_study(make_trials: MakeTrials, study_started: StudyStarted) -> list[Event]:
    """Two phases of three trials and of one, from the first event to the last."""
    first, second = make_trials(3), make_trials(1, max_iters=1500)
    exclusion = Exclusion({"n_layer": 6, "n_embd": 768}, "excluded by the study file")
    promotion = Promotion("phase1", 1, "final_loss", "exact", "checkpoint")
    best = first[0].id
    return [
        study_started,
        WorkerStarted(worker="w0", pid=4243, device="cuda:0"),
        *phase_events("phase1", first, PhasePlanned(phase="phase1", trials=ids(first), excluded=[exclusion])),
        *phase_events(
            "phase2", second, PhasePlanned(phase="phase2", trials=ids(second), promotion=promotion, promoted=[best])
        ),
        StudyEnded(seconds=60.0),
    ]


def ids(trials: Sequence[Trial]) -> list[str]:
    return [trial.id for trial in trials]


def phase_events(phase: str, trials: Sequence[Trial], planned: PhasePlanned) -> list[Event]:
    pack = f"{phase}-0"
    queued = [TrialQueued(phase=phase, settings=trial) for trial in trials]
    started = [
        TrialStarted(
            phase=phase,
            trial=trial.id,
            attempt=1,
            worker="w0",
            device="cuda:0",
            precision="bf16",
            pack=pack,
            pack_width=len(trials),
        )
        for trial in trials
    ]
    ended = [
        TrialEnded(
            phase=phase,
            trial=trial.id,
            attempt=1,
            state="done",
            metrics=TrialMetrics(
                step=trial.max_iters,
                seconds=10.0 - number,
                train_loss=2.0 + number,
                val_loss=2.5 + number,
                best_val_loss=2.4 + number,
                best_val_step=400,
                final_loss=2.1 + number,
                tokens_per_second=1e6,
            ),
        )
        for number, trial in enumerate(trials)
    ]
    return [
        planned,
        *queued,
        *started,
        *ended,
        PackEnded(pack=pack, phase=phase, trials=ids(trials), wall_seconds=12.5),
        PhaseEnded(
            phase=phase, done=len(trials), diverged=0, failed=0, stopped=0, excluded=len(planned.excluded), seconds=30.0
        ),
    ]
