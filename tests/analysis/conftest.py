"""Imported studies to analyse: a small one with computed losses, and the original study."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from litegpt.analysis.imported import ImportedPhase, ImportedTrial, write_study
from litegpt.analysis.original import read_folder
from litegpt.results.folder import StudyFolder
from litegpt.results.metrics import Evaluation
from litegpt.study.trial import Trial
from tests.builders import make_trial

Losses = Callable[[Trial, int], tuple[float, float]]  # (training loss, validation loss) at a step


def imported_trial(
    losses: Losses, seconds: float | None = None, text: str = "some text", **settings: object
) -> ImportedTrial:
    trial = make_trial(**settings)
    rows = tuple(
        Evaluation(
            step=step,
            train_loss=losses(trial, step)[0],
            val_loss=losses(trial, step)[1],
            final_loss=None,
            seconds=step / 10,
            tokens_per_second=None,
            learning_rate=trial.learning_rate,
        )
        for step in range(0, trial.max_iters + 1, trial.eval_interval)
    )
    last = losses(trial, trial.max_iters)[0]
    return ImportedTrial(trial, rows, last, trial.max_iters / 10 if seconds is None else seconds, text)


def smooth_losses(trial: Trial, step: int) -> tuple[float, float]:
    """Losses that depend on every axis below and fall with the step."""
    level = 2 + math.log10(1e-2 / trial.learning_rate) / 5 - trial.n_layer / 20 - trial.n_embd / 1000
    fall = math.exp(-step / 200)
    return level + 2 * fall, level + 0.05 + 2 * fall


def grid(**axes: Sequence[object]) -> list[dict[str, object]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def imported_study(root: Path, phases: dict[str, list[ImportedTrial]], study: str = "made") -> StudyFolder:
    folder = StudyFolder(root, study)
    write_study(folder, [ImportedPhase(name, tuple(trials), (), 50) for name, trials in phases.items()], ["here"])
    return folder


AXES = {"learning_rate": [1e-2, 1e-3, 1e-4], "n_layer": [1, 2], "n_embd": [32, 64, 128]}


@pytest.fixture
def made(tmp_path: Path) -> StudyFolder:
    """Two phases: 18 trials of 500 iterations; those with the two higher learning rates for 1,000."""
    first = [imported_trial(smooth_losses, n_head=s["n_embd"] // 16, **s) for s in grid(**AXES)]
    second = [
        imported_trial(smooth_losses, n_head=s["n_embd"] // 16, max_iters=1000, **s)
        for s in grid(**{**AXES, "learning_rate": [1e-2, 1e-3]})
    ]
    return imported_study(tmp_path, {"phase1": first, "phase2": second})


@pytest.fixture(scope="session")
def original(seed_study: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Phases 1 and 2 of the original study, imported."""
    folder = StudyFolder(tmp_path_factory.mktemp("original"), "four-phases")
    write_study(folder, [read_folder(seed_study / name) for name in ("phase1", "phase2")], ["phase1", "phase2"])
    return folder
