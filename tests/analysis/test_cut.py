"""Ties at the cut of a promotion."""

from __future__ import annotations

from litegpt.analysis.cut import ties_at_cut
from litegpt.results.metric import TrialMetrics
from litegpt.results.state import TrialState
from tests.builders import make_trial

LOSSES = (1.0, 1.1, 1.2, 1.25, 1.29, 1.5)


def finished_trials() -> list[TrialState]:
    trials = [make_trial(learning_rate=1e-3 * (index + 1)) for index in range(len(LOSSES))]
    return [
        TrialState("phase1", trial.id, trial, state="done", metrics=TrialMetrics(best_val_loss=loss))
        for trial, loss in zip(trials, LOSSES, strict=True)
    ]


def test_trials_within_the_noise_of_the_last_promoted_trial_are_tied() -> None:
    ties = ties_at_cut(finished_trials(), "best_val_loss", 3, noise=0.1 / 2.772)
    assert ties is not None
    assert ties.tied == 2
    assert ties.sentence() == (
        "2 trials below rank 3 tie with it: noise changes best_val_loss by up to 0.1. "
        "Promote more trials to include them."
    )


def test_a_cut_between_clearly_different_trials_has_no_ties() -> None:
    assert ties_at_cut(finished_trials(), "best_val_loss", 5, noise=0.01) is None


def test_unknown_noise_and_a_cut_below_all_trials_have_no_ties() -> None:
    assert ties_at_cut(finished_trials(), "best_val_loss", 3, noise=None) is None
    assert ties_at_cut(finished_trials(), "best_val_loss", 6, noise=1.0) is None
