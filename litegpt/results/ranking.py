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
    """Return the name of the metric by which these trials are ranked by default."""
    return default_ranking(tokens_differ(trial.settings for trial in trials))


def measured(trials: Iterable[TrialState], name: str) -> list[tuple[TrialState, float]]:
    """Return the trials that have a metric, each with its value."""
    return [(trial, value) for trial in trials if (value := trial.metrics.value(name)) is not None]


def check_ranking(by: str) -> None:
    """Raise InputError if trials cannot be ranked by a metric of that name."""
    if by not in RANKINGS:
        raise InputError(f"cannot rank by '{by}'{did_you_mean(by, RANKINGS)}; choose one of {', '.join(RANKINGS)}")


def rank(trials: Iterable[TrialState], by: str | None = None) -> list[TrialState]:
    """Return the finished trials that have a metric, the least value first; equal values are sorted by id.

    The default is the metric that compares between these trials. InputError: `by` is not one of RANKINGS.
    """
    trials = list(trials)
    by = by or ranking_of(trials)
    check_ranking(by)
    ranked = [(value, trial.id, trial) for trial, value in measured(trials, by) if trial.state == "done"]
    return [trial for _, _, trial in sorted(ranked, key=lambda entry: entry[:2])]


def best_of(trials: Iterable[TrialState]) -> TrialState | None:
    """Return the first of `rank`, None when no trial is done."""
    return next(iter(rank(trials)), None)
