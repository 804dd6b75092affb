"""The evaluations of trials, as `metrics.jsonl` holds them, and what a trial's figures were at a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from litegpt.results.folder import StudyFolder
from litegpt.results.metrics import Evaluation, read_metrics
from litegpt.results.state import TrialState

Key = tuple[str, str]  # (phase, trial id)
Curves = Mapping[Key, Sequence[Evaluation]]


def key_of(trial: TrialState) -> Key:
    """Return what a trial is known by in a study."""
    return (trial.phase, trial.id)


def read_curves(folder: StudyFolder, trials: Iterable[TrialState]) -> dict[Key, list[Evaluation]]:
    """Return the evaluations of each trial by step."""
    return {key_of(trial): read_metrics(folder.trial(trial.phase, trial.id).metrics) for trial in trials}


def at_step(trial: TrialState, curve: Sequence[Evaluation], step: int) -> TrialState:
    """Return a trial with its figures as they were at a step: those of the last evaluation up to it.

    A trial that was not evaluated by then has none; one that had not diverged yet is as good as running.
    """
    known = [evaluation for evaluation in curve if evaluation.step <= step]
    last = known[-1] if known else None
    best = min(((e.val_loss, e.step, e.bits_per_char) for e in known if e.val_loss is not None), default=(None,) * 3)
    ended = trial.step is not None and trial.step <= step
    return dataclasses.replace(
        trial,
        state=trial.state if ended or trial.state == "done" else "running" if last else "queued",
        step=last.step if last else None,
        seconds=last.seconds if last else None,
        train_loss=last.train_loss if last else None,
        val_loss=last.val_loss if last else None,
        best_val_loss=best[0],
        best_val_step=best[1],
        bits_per_char=last.bits_per_char if last else None,
        best_bits_per_char=best[2],
        final_loss=last.final_loss if last else None,
        tokens_per_second=last.tokens_per_second if last else None,
    )
