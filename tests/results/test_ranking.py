from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from litegpt.errors import InputError
from litegpt.results.metric import TrialMetrics
from litegpt.results.ranking import best_of, rank
from litegpt.results.state import PhaseState, TrialState, TrialStatus
from litegpt.study.phase import RANKINGS
from tests.builders import make_trial, trial_state


@pytest.fixture
def trial() -> TrialState:
    return replace(trial_state(make_trial(), best_val_loss=2.0, final_loss=1.0, seconds=5.0), id="a")


def ids(trials: list[TrialState]) -> str:
    return "".join(trial.id for trial in trials)


def test_the_least_is_first_and_ids_break_ties(trial: TrialState) -> None:
    trials = [
        replace(trial, id=name, metrics=TrialMetrics(best_val_loss=loss))
        for name, loss in (("d", 2.0), ("b", 2.0), ("c", 1.0))
    ]
    assert ids(rank(trials)) == "cbd"
    assert ids(rank(reversed(trials), "best_val_loss")) == "cbd"


def test_only_done_trials_with_the_metric_are_ranked(trial: TrialState) -> None:
    trials = [
        trial,
        replace(trial, id="b", metrics=TrialMetrics(final_loss=1.0)),
        replace(trial, id="c", state="diverged", metrics=TrialMetrics(best_val_loss=0.1)),
        replace(trial, id="d", state="failed"),
        replace(trial, id="e", state="stopped"),
        replace(trial, id="f", metrics=TrialMetrics(best_val_loss=2.0, final_loss=0.5)),
    ]
    assert ids(rank(trials)) == "af"
    assert ids(rank(trials, "final_loss")) == "fab"
    assert ids(rank(trials, "val_loss")) == ""


@pytest.mark.parametrize("by", RANKINGS)
def test_every_ranking_is_a_metric_of_a_trial(trial: TrialState, by: str) -> None:
    metrics: dict[str, Any] = {by: 1.0}
    assert ids(rank([replace(trial, metrics=TrialMetrics(**metrics))], by)) == "a"
    assert ids(rank([replace(trial, metrics=TrialMetrics())], by)) == ""


def test_an_unknown_ranking_is_bad_input() -> None:
    with pytest.raises(InputError, match=r"cannot rank by 'vall_loss' \(did you mean 'val_loss'\?\)"):
        rank([], "vall_loss")


def test_counts_include_each_trial_once(trial: TrialState) -> None:
    states: list[TrialStatus] = ["done", "done", "running", "queued", "diverged", "failed", "stopped"]
    trials = {
        str(number): replace(trial, id=str(number), state=state, metrics=TrialMetrics(best_val_loss=3.0 - number / 10))
        for number, state in enumerate(states)
    }
    counts = PhaseState("phase1", planned=(*trials, "not queued yet"), trials=trials).counts()
    assert counts == {"queued": 2, "running": 1, "done": 2, "diverged": 1, "failed": 1, "stopped": 1}
    assert (counts.total, counts.ended, counts.unfinished) == (8, 5, 3)
    assert best_of(trials.values()) == trials["1"]
    assert best_of([]) is None


def test_meaning_of_each_state(trial: TrialState) -> None:
    states = {state: replace(trial, state=state) for state in get_args(TrialStatus)}
    assert {state for state, trial in states.items() if trial.is_waiting} == {"queued"}
    assert {state for state, trial in states.items() if trial.is_ended} == {"done", "diverged", "failed", "stopped"}
    assert {state for state, trial in states.items() if trial.failed} == {"diverged", "failed", "stopped"}
