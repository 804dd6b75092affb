from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from litegpt.errors import InputError
from litegpt.results.progress import phase_progress
from litegpt.results.ranking import rank
from litegpt.results.state import PhaseState, TrialState, TrialStatus
from litegpt.study.phase import RANKINGS


@pytest.fixture
def trial(make_trials: Any) -> TrialState:
    return TrialState("phase1", "a", make_trials(1)[0], state="done", best_val_loss=2.0, final_loss=1.0, seconds=5.0)


def ids(trials: list[TrialState]) -> str:
    return "".join(trial.id for trial in trials)


def test_the_least_is_first_and_ids_break_ties(trial: TrialState) -> None:
    trials = [replace(trial, id=name, best_val_loss=loss) for name, loss in (("d", 2.0), ("b", 2.0), ("c", 1.0))]
    assert ids(rank(trials)) == "cbd"
    assert ids(rank(reversed(trials), "best_val_loss")) == "cbd"


def test_only_trials_that_are_done_and_have_the_figure(trial: TrialState) -> None:
    trials = [
        trial,
        replace(trial, id="b", best_val_loss=None),
        replace(trial, id="c", state="diverged", best_val_loss=0.1),
        replace(trial, id="d", state="failed"),
        replace(trial, id="e", state="stopped"),
        replace(trial, id="f", final_loss=0.5),
    ]
    assert ids(rank(trials)) == "af"
    assert ids(rank(trials, "final_loss")) == "fab"
    assert ids(rank(trials, "val_loss")) == ""


@pytest.mark.parametrize("by", RANKINGS)
def test_every_ranking_is_a_figure_of_a_trial(trial: TrialState, by: str) -> None:
    figure: dict[str, Any] = {by: 1.0}
    assert ids(rank([replace(trial, **figure)], by)) == "a"
    figure[by] = None
    assert ids(rank([replace(trial, **figure)], by)) == ""


def test_an_unknown_ranking_is_bad_input() -> None:
    with pytest.raises(InputError, match=r"'vall_loss' ranks no trials \(did you mean 'val_loss'\?\)"):
        rank([], "vall_loss")


def test_progress_counts_each_trial_once(trial: TrialState) -> None:
    states: list[TrialStatus] = ["done", "done", "running", "queued", "diverged", "failed", "stopped"]
    trials = {
        str(number): replace(trial, id=str(number), state=state, best_val_loss=3.0 - number / 10)
        for number, state in enumerate(states)
    }
    progress = phase_progress(PhaseState("phase1", planned=(*trials, "not queued yet"), trials=trials))
    assert (progress.trials, progress.queued, progress.running, progress.done) == (8, 2, 1, 2)
    assert (progress.diverged, progress.failed, progress.stopped, progress.ended) == (1, 1, 1, 5)
    assert progress.best == trials["1"]
    assert progress.best_val_loss == 2.9
    assert phase_progress(PhaseState("phase2")).best_val_loss is None
