"""The order of trials, best first."""

from __future__ import annotations

from collections.abc import Iterable

from litegpt.errors import InputError, did_you_mean
from litegpt.results.metric import METRICS, Metric
from litegpt.results.state import TrialState
from litegpt.study.phase import RANKINGS, default_ranking
from litegpt.study.trial import tokens_differ


def comparable_metric(trials: Iterable[TrialState]) -> Metric:
    """Return the metric by which these trials are ranked by default: one that compares between their tokenizers."""
    return METRICS[ranking_of(trials)]


def ranking_of(trials: Iterable[TrialState]) -> str:
    """Return what these trials are ranked by where nothing else is asked for."""
    return default_ranking(tokens_differ(trial.settings for trial in trials))


def measured(trials: Iterable[TrialState], name: str) -> list[tuple[TrialState, float]]:
    """Return the trials that have a metric, each with its value."""
    return [(trial, value) for trial in trials if (value := trial.metrics.value(name)) is not None]


def rank(trials: Iterable[TrialState], by: str | None = None) -> list[TrialState]:
    """Return the trials that are done and have the figure, the least first; equal ones in the order of their ids.

    Without a figure, by what suits these trials (`ranking_of`). InputError: the figure is none of RANKINGS.
    """
    trials = list(trials)
    by = by or ranking_of(trials)
    if by not in RANKINGS:
        raise InputError(f"'{by}' ranks no trials{did_you_mean(by, RANKINGS)}; it is one of {', '.join(RANKINGS)}")
    ranked = [(figure, trial.id, trial) for trial in trials if (figure := trial.metrics.value(by)) is not None]
    return [trial for _, _, trial in sorted(ranked, key=lambda entry: entry[:2]) if trial.state == "done"]


def best_of(trials: Iterable[TrialState]) -> TrialState | None:
    """Return the first of `rank`, None when no trial is done."""
    return next(iter(rank(trials)), None)
