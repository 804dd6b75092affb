"""Builders of trials, events and studies. Each value has a default, so that a test states only what matters to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litegpt.results.events import Event, PhasePlanned, StudyStarted, TrialEnded, TrialQueued, TrialStarted
from litegpt.results.metric import TrialMetrics
from litegpt.results.state import CorpusIdentity, TrialState
from litegpt.study.trial import Trial

SMALLEST_SETTINGS = {
    "n_layer": 2,
    "n_head": 1,
    "n_embd": 64,
    "block_size": 32,
    "batch_size": 32,
    "learning_rate": 6e-4,
    "max_iters": 500,
}
"""The smallest trial of the original study."""
TINY_SETTINGS = {
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 16,
    "block_size": 8,
    "batch_size": 4,
    "learning_rate": 1e-2,
}
"""A model that trains for hundreds of steps per second."""


def make_trial(**settings: Any) -> Trial:
    """Return the smallest trial of the original study, with some settings changed."""
    return Trial(**{**SMALLEST_SETTINGS, **settings})


def tiny_trial(**settings: Any) -> Trial:
    """Return a trial that trains in less than a second."""
    return Trial(**{**TINY_SETTINGS, "max_iters": 20, "precision": "fp32", **settings})


def make_trials(count: int = 3, **settings: Any) -> list[Trial]:
    """Return trials that differ in their seed."""
    return [make_trial(**{"seed": seed, **settings}) for seed in range(count)]


def trial_state(
    trial: Trial, state: str = "done", *, phase: str = "p", reason: str | None = None, **metrics: Any
) -> TrialState:
    """Return the state of a trial with these metrics."""
    return TrialState(phase, trial.id, trial, state=state, reason=reason, metrics=TrialMetrics(**metrics))


def study_started(study: str = "small", sha256: str = "ab" * 32) -> StudyStarted:
    return StudyStarted(
        study=study,
        corpus=CorpusIdentity("corpus.txt", sha256, 2_700, 29),
        versions={"litegpt": "0.1.0", "python": "3.11.7", "torch": "2.9.0"},
        host="box",
        pid=4242,
        devices=["cpu"],
        precision="fp32",
    )


def phase_planned(phase: str, trials: Sequence[Trial], **fields: Any) -> list[Event]:
    """Return the events that plan a phase and queue its trials."""
    planned = PhasePlanned(phase=phase, trials=[trial.id for trial in trials], **fields)
    return [planned, *(TrialQueued(phase=phase, settings=trial) for trial in trials)]


def trial_started(phase: str, trial: Trial, **fields: Any) -> TrialStarted:
    defaults = {"attempt": 1, "worker": "w1", "device": "cpu", "precision": "fp32", "pack": "p1", "pack_width": 1}
    return TrialStarted(phase=phase, trial=trial.id, **{**defaults, **fields})


def trial_ended(
    phase: str,
    trial: Trial,
    state: str = "done",
    *,
    attempt: int = 1,
    reason: str | None = None,
    metrics: TrialMetrics | None = None,
    **values: Any,
) -> TrialEnded:
    """Return the event that ends a trial, with `metrics` or metrics of these values."""
    return TrialEnded(
        phase=phase,
        trial=trial.id,
        attempt=attempt,
        state=state,
        reason=reason,
        metrics=metrics or TrialMetrics(**values),
    )


def study_text(
    phases: str, *, name: str = "small", corpus: str = "text.txt", study: str = "", defaults: str = ""
) -> str:
    """Return a study file of tiny trials: `phases` after a [study] and a [defaults] table, with keys added to each."""
    tiny = "\n".join(f"{name} = {value}" for name, value in TINY_SETTINGS.items())
    return f"""\
[study]
name = "{name}"
corpus = "{corpus}"
{study}
[defaults]
{tiny}
{defaults}
{phases}"""
