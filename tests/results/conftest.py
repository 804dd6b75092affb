"""The events of a small study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from litegpt.results.events import (
    Event,
    PackEnded,
    PhaseEnded,
    StudyEnded,
    WorkerStarted,
)
from litegpt.study.phase import Exclusion, Promotion
from litegpt.study.trial import Trial
from tests.builders import make_trials, phase_planned, study_started, trial_ended, trial_started


@pytest.fixture
def small_study() -> list[Event]:
    """All events of a study with a phase of three trials and a phase of one."""
    first, second = make_trials(3), make_trials(1, max_iters=1500)
    exclusion = Exclusion({"n_layer": 6, "n_embd": 768}, "excluded by the study file")
    promotion = Promotion("phase1", 1, "final_loss", "exact", "checkpoint")
    return [
        study_started(),
        WorkerStarted(worker="w0", pid=4243, device="cuda:0"),
        *phase_events("phase1", first, excluded=[exclusion]),
        *phase_events("phase2", second, promotion=promotion, promoted=[first[0].id]),
        StudyEnded(seconds=60.0),
    ]


def phase_events(phase: str, trials: Sequence[Trial], **planned: Any) -> list[Event]:
    pack, ids = f"{phase}-0", [trial.id for trial in trials]
    ended = [
        trial_ended(
            phase,
            trial,
            step=trial.max_iters,
            seconds=10.0 - number,
            train_loss=2.0 + number,
            val_loss=2.5 + number,
            best_val_loss=2.4 + number,
            best_val_step=400,
            final_loss=2.1 + number,
            tokens_per_second=1e6,
        )
        for number, trial in enumerate(trials)
    ]
    excluded = len(planned.get("excluded", ()))
    return [
        *phase_planned(phase, trials, **planned),
        *(trial_started(phase, trial, worker="w0", pack=pack, pack_width=len(trials)) for trial in trials),
        *ended,
        PackEnded(pack=pack, phase=phase, trials=ids, wall_seconds=12.5),
        PhaseEnded(phase=phase, done=len(trials), diverged=0, failed=0, stopped=0, excluded=excluded, seconds=30.0),
    ]
