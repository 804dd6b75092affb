"""Packs in complete runs: killed in the middle, out of memory, and models that are too large."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.run.study_files import NewStudy, Record, StudyFiles, wait_until

PHASE = """
[[phase]]
name = "only"
max_iters = 120
eval_interval = 10
[phase.grid]
seed = [1, 2, 3, 4, 5, 6]
"""
TOO_LARGE = """
[[phase]]
name = "fits"
max_iters = 10
[phase.grid]
seed = [1]
[[phase]]
name = "large"
preset = "gpt3-175b"
block_size = 8
max_iters = 10
[phase.grid]
seed = [1]
"""
ALLOCATOR = """
import sys
if "litegpt.worker" in sys.orig_argv:  # the runner stays free of torch
    import torch
    from litegpt.train.pack import Pack
    advance = Pack.advance
    def advance_or_fail(pack):
        if len(pack.trials) > 2 and pack.step == 30:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        advance(pack)
    Pack.advance = advance_or_fail
"""
PACKED = ("--workers", "2", "--pack-width", "3")


def losses(study: StudyFiles) -> dict[str, list[Record]]:
    """Return each trial's evaluations without times; the last record of a step counts."""
    trials = {}
    for trial in study.settings("only"):
        steps = {record["step"]: record for record in study.metrics("only", trial)}
        names = ("train_loss", "val_loss", "final_loss")
        trials[trial] = [{"step": step, **{name: steps[step][name] for name in names}} for step in sorted(steps)]
    return trials


@pytest.fixture(scope="module")
def undisturbed(new_study: NewStudy) -> StudyFiles:
    study = new_study(PHASE)
    ran = study.run(*PACKED)
    assert ran.returncode == 0, ran.stderr
    assert {record["pack_width"] for record in study.events("trial_started")} == {3}
    return study


@pytest.mark.slow
def test_a_killed_pack_resumes_bit_for_bit(new_study: NewStudy, undisturbed: StudyFiles) -> None:
    study = new_study(PHASE)
    runner = study.start(*PACKED)
    wait_until(lambda: study.metrics_lines() >= 15, "the pack is training")
    os.kill(study.worker_pids()[0], signal.SIGKILL)
    assert runner.wait(60) == 0
    study.assert_complete()
    lost = study.events("trial_requeued")
    assert len(lost) == 3, "the worker died in the middle of its pack"
    assert losses(study) == losses(undisturbed)


@pytest.mark.slow
def test_trials_of_an_interrupted_pack_resume_one_by_one(new_study: NewStudy, undisturbed: StudyFiles) -> None:
    """The runner is killed as well, and the next one packs nothing."""
    study = new_study(PHASE)
    runner = study.start(*PACKED)
    wait_until(lambda: study.metrics_lines() >= 15, "the pack is training")
    runner.kill()
    runner.wait(60)
    study.assert_nothing_runs()
    ran = study.run("--workers", "2", "--pack-width", "1")
    assert ran.returncode == 0, ran.stderr
    assert {record["pack_width"] for record in study.events("trial_started")} == {3, 1}
    assert losses(study) == losses(undisturbed)


@pytest.mark.slow
def test_a_pack_that_runs_out_of_memory_splits(
    new_study: NewStudy, undisturbed: StudyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(ALLOCATOR, encoding="utf-8")
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    study = new_study(PHASE)
    ran = study.run(*PACKED)
    assert ran.returncode == 0, ran.stderr
    study.assert_complete()
    assert {ended["state"] for ended in study.endings().values()} == {"done"}
    assert losses(study) == losses(undisturbed)
    widths = {record["pack_width"] for trial in study.settings("only") for record in study.metrics("only", trial)}
    assert widths == {3, 2, 1}
    assert (study.results.parent / "autotune.json").exists(), "the next run packs no wider"


def test_a_model_that_does_not_fit_is_refused_before_anything_starts(new_study: NewStudy) -> None:
    study = new_study(TOO_LARGE)
    ran = study.run()
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.strip().splitlines()
    for words in ("phase 'large' does not fit", "n_layer 96", "gradient_accumulation", "activation_checkpointing"):
        assert words in line
    assert not study.results.exists()


def test_a_pack_width_below_one_is_refused(new_study: NewStudy) -> None:
    ran = new_study(PHASE).run("--pack-width", "0")
    assert ran.returncode == 2
    assert "a pack holds at least one trial" in ran.stderr
