"""Results written by releases, kept unchanged. Every later version must open them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from litegpt.results.check import check_study
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.metrics import read_metrics
from litegpt.results.ranking import best_of
from litegpt.results.samples import read_samples
from litegpt.run.lock import read_holder
from litegpt.run.requests import Request, take_requests
from litegpt.study.study import read_study
from litegpt.train.checkpoint import read_checkpoint

BEST = "1x4-t8-b2-lr0.01-i30-ec530e37"
DIVERGED = "1x4-t8-b2-lr1e+06-i20-b18b263e"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    root = tmp_path_factory.mktemp("results")
    shutil.copytree(Path(__file__).parent / "written_by_0_1", root, dirs_exist_ok=True)
    return StudyFolder(root, "kept")


def test_the_journal(folder: StudyFolder) -> None:
    state = read_journal(folder.journal)
    first, second = state.phases.values()
    assert (state.study, state.format) == ("kept", 1)
    counts, best = first.counts(), best_of(second.current())
    assert (first.name, counts.total, counts["done"], counts["diverged"]) == ("first", 3, 2, 1)
    assert (second.name, second.counts().total, second.counts()["done"]) == ("second", 1, 1)
    assert best is not None
    assert best.id == BEST
    assert best.settings.start_from is not None
    diverged = state.phases["first"].trials[DIVERGED]
    assert (diverged.state, diverged.failure) == ("diverged", "diverged")


def test_the_snapshot(folder: StudyFolder) -> None:
    study = read_study(folder.snapshot)
    assert (study.name, study.keep, [phase.name for phase in study.phases]) == ("kept", "all", ["first", "second"])


def test_metrics_and_samples(folder: StudyFolder) -> None:
    files = folder.trial("second", BEST)
    trial = read_journal(folder.journal).phases["second"].trials[BEST]
    rows = read_metrics(files.metrics)
    assert [row.step for row in rows] == [0, 10, 20, 30]
    assert rows[-1].val_loss == trial.metrics.val_loss
    (sample, *_) = read_samples(files.samples)
    assert sample.step == 30
    assert sample.text


def test_checkpoints(folder: StudyFolder) -> None:
    files = folder.trial("second", BEST)
    checkpoint, best = read_checkpoint(files.checkpoint), read_checkpoint(files.best)
    assert checkpoint.trial.id == BEST
    assert checkpoint.progress.step == 30
    assert set(best.tensors) < set(checkpoint.tensors)


def test_the_lock_and_a_request(folder: StudyFolder) -> None:
    holder = read_holder(folder.lock)
    assert holder is not None
    assert (holder["host"], holder["pid"]) == ("box", 4242)
    assert take_requests(folder) == [Request("retry", "first", (DIVERGED,))]


def test_check_finds_no_problem(folder: StudyFolder) -> None:
    checked = check_study(folder, is_at_work=False)
    assert (checked.trials, checked.ended, checked.findings) == (4, 4, [])
