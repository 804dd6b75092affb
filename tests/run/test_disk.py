"""Which weights stay when trials end, and how much disk space a phase needs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from litegpt.estimate.cost import weight_bytes
from litegpt.results.events import PhaseEnded
from litegpt.results.fold import fold
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.run import disk
from litegpt.run.disk import BEST_KEPT, Retention, needed_bytes, shortage
from litegpt.study.study import Study, parse_study, read_study
from litegpt.study.trial import Trial
from tests.builders import phase_planned, study_text, trial_ended

TRIALS = 40
PHASES = """\
[[phase]]
name = "first"
max_iters = 10
[phase.grid]
seed = [{seeds}]
[[phase]]
name = "second"
max_iters = 20
[phase.promote]
from = "first"
top = 3
by = "final_loss"
how = "exact"
start = "{start}"
"""


def make_study(keep: str, start: str = "scratch") -> Study:
    phases = PHASES.format(start=start, seeds=", ".join(map(str, range(TRIALS))))
    return parse_study(study_text(phases, study=f'keep = "{keep}"'), Path("s.toml"))


class Results:
    """A first phase whose trials end one after the other, each leaving a checkpoint and its best weights."""

    def __init__(self, folder: StudyFolder, study: Study, phase: str = "first") -> None:
        expansion = study.bounds[phase].candidates
        assert expansion is not None
        self.folder = folder
        self.trials = expansion.trials
        self.state = StudyState()
        packing = SimpleNamespace(width=lambda trial: 1, slots=["cpu"])
        self.context: Any = SimpleNamespace(study=study, folder=folder, state=self.state, packing=packing, n_symbols=50)
        for event in phase_planned(phase, self.trials):
            fold(self.state, event.record())

    def end(self, trial: Trial, best_val_loss: float, final_loss: float, state: str = "done") -> None:
        files = self.folder.trial("first", trial.id)
        files.path.mkdir(parents=True)
        for path in (files.checkpoint, files.best, files.metrics):
            path.touch()
        event = trial_ended("first", trial, state, best_val_loss=best_val_loss, final_loss=final_loss)
        fold(self.state, event.record())

    def trials_with(self, name: str) -> set[str]:
        return {path.parent.name for path in self.folder.path.glob(f"first/*/{name}")}


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path, "s")


def test_the_best_trials_and_the_promoted_ones_keep_their_weights(folder: StudyFolder) -> None:
    study = make_study("promoted")
    results = Results(folder, study)
    retention = Retention(results.context, "first")
    held = 0
    for number, trial in enumerate(results.trials):
        results.end(trial, best_val_loss=(number * 17) % TRIALS, final_loss=(number * 23) % TRIALS)
        retention.delete_unneeded()
        held = max(held, len(results.trials_with("best.safetensors")))
    assert held <= BEST_KEPT + 3, "the disk never holds more"
    ids = [trial.id for trial in results.trials]
    best = {ids[n] for n in range(TRIALS) if (n * 17) % TRIALS < BEST_KEPT}
    promoted = {ids[n] for n in range(TRIALS) if (n * 23) % TRIALS < 3}
    assert results.trials_with("best.safetensors") == best | promoted
    assert results.trials_with("checkpoint.safetensors") == set()
    assert results.trials_with("metrics.jsonl") == set(ids)


def test_a_resumed_run_keeps_the_same_weights(folder: StudyFolder) -> None:
    study = make_study("promoted")
    results = Results(folder, study)
    for number, trial in enumerate(results.trials):
        results.end(trial, best_val_loss=(number * 17) % TRIALS, final_loss=(number * 23) % TRIALS)
        Retention(results.context, "first").delete_unneeded()
    once = results.trials_with("best.safetensors")
    Retention(results.context, "first").delete_unneeded()
    assert results.trials_with("best.safetensors") == once


@pytest.mark.parametrize(("start", "kept"), [("scratch", 0), ("checkpoint", 3)])
def test_keep_none_keeps_only_weights_that_a_later_phase_starts_from(
    folder: StudyFolder, start: str, kept: int
) -> None:
    study = make_study("none", start)
    results = Results(folder, study)
    retention = Retention(results.context, "first")
    for number, trial in enumerate(results.trials):
        results.end(trial, best_val_loss=1.0, final_loss=number)
        retention.delete_unneeded()
    assert results.trials_with("best.safetensors") == {trial.id for trial in results.trials[:kept]}
    ended = PhaseEnded(phase="second", done=3, diverged=0, failed=0, stopped=0, excluded=0, seconds=1.0)
    fold(results.state, ended.record())
    Retention(results.context, "first").delete_unneeded()
    assert results.trials_with("best.safetensors") == set(), "the second phase has ended and needs them no more"


def test_keep_all_deletes_nothing(folder: StudyFolder) -> None:
    study = make_study("all")
    results = Results(folder, study)
    for trial in results.trials:
        results.end(trial, best_val_loss=1.0, final_loss=1.0)
    Retention(results.context, "first").delete_unneeded()
    assert len(results.trials_with("best.safetensors")) == len(results.trials_with("checkpoint.safetensors")) == TRIALS


def test_failed_and_stopped_trials_keep_their_checkpoints_for_another_attempt(folder: StudyFolder) -> None:
    study = make_study("none")
    results = Results(folder, study)
    for trial, state in zip(results.trials, ("failed", "stopped", "diverged", "done"), strict=False):
        results.end(trial, 1.0, 1.0, state)
    Retention(results.context, "first").delete_unneeded()
    assert results.trials_with("checkpoint.safetensors") == {trial.id for trial in results.trials[:2]}


def test_the_needed_space_grows_with_kept_weights_and_with_trials_trained_at_once(folder: StudyFolder) -> None:
    needs = {}
    for keep in ("all", "promoted", "none"):
        study = make_study(keep)
        state = Results(folder, study).state
        needs[keep] = needed_bytes(study, state, "first", lambda trial: 2, 50)
    assert needs["all"] > needs["promoted"] > needs["none"] > 0
    weights = weight_bytes(Results(folder, make_study("all")).trials[0], 50)
    assert needs["all"] >= 4 * TRIALS * weights
    study = make_study("none")
    wide = needed_bytes(study, Results(folder, study).state, "first", lambda trial: 20, 50)
    assert wide - needs["none"] == 18 * 4 * weights


def test_the_original_study_fits_a_laptop() -> None:
    """1,316 trials of up to 170 MB of weights, two trained at once: the default keeps the 50 promoted and ten more."""
    study = read_study(Path(__file__).parents[2] / "studies" / "four_phases.toml")
    folder = StudyFolder(Path("results"), study.name)
    needs = {}
    for keep in ("promoted", "all"):
        study = dataclasses.replace(study, keep=keep)
        state = Results(folder, study, "phase1").state
        needs[keep] = needed_bytes(study, state, "phase1", lambda trial: 2, 86)
    assert needs["promoted"] < 15e9
    assert needs["all"] > 150e9


def test_a_shortage_is_reported_with_the_free_space(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study("all")
    context = Results(folder, study).context
    assert shortage(context, "first") is None
    monkeypatch.setattr(disk, "free_bytes", lambda path: 12_345)
    message = shortage(context, "first")
    assert message is not None
    assert "12.3 KB left" in message
    assert "litegpt resume" in message
