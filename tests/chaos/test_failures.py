"""A corpus that changes and weights that are missing; other failures are tested in tests/run and tests/train."""

from __future__ import annotations

import json

from tests.run.study_files import NewStudy, wait_until

PHASES = """
[[phase]]
name = "first"
max_iters = 40
[phase.grid]
seed = [1, 2]
learning_rate = [1e-2, 1e6]

[[phase]]
name = "second"
max_iters = 60
[phase.promote]
from = "first"
top = 1
how = "exact"
start = "checkpoint"
"""


def test_a_changed_corpus_ends_the_run_and_fails_no_trial(new_study: NewStudy) -> None:
    study = new_study(PHASES)
    runner = study.start("--workers", "2")
    wait_until(lambda: (study.results / "runner.lock").exists(), "the runner is there")
    before = study.corpus.read_text(encoding="utf-8")
    study.corpus.write_text(before + "one more", encoding="utf-8")
    _, err = runner.communicate(timeout=60)
    assert runner.returncode == 2
    assert "the corpus has changed since the run began" in err
    assert "Traceback" not in err
    assert study.events("trial_ended") == []
    study.assert_nothing_runs()
    study.corpus.write_text(before, encoding="utf-8")
    assert study.run("--workers", "2").returncode == 1, "two trials diverge"
    study.assert_complete()
    assert {ended["failure"] for ended in study.endings().values()} == {None, "diverged"}


def test_missing_weights_fail_one_trial_and_keep_the_traceback(new_study: NewStudy) -> None:
    study = new_study(PHASES)
    runner = study.start("--workers", "2", "--phase", "first")
    runner.communicate(timeout=60)
    for best in study.results.glob("first/*/best.safetensors"):
        best.unlink()
    over = study.run("--workers", "2")
    assert over.returncode == 1
    assert json.loads(over.stdout)["failed"] == 1
    (ended,) = [ended for (phase, _), ended in study.endings().items() if phase == "second"]
    assert (ended["state"], ended["failure"]) == ("failed", "bad weights")
    assert "no such checkpoint" in ended["reason"]
    (error,) = study.results.glob("second/*/error.txt")
    assert "Traceback" in error.read_text(encoding="utf-8")
