"""Samples ranked by the loss at which they were generated, from gibberish to prose."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from litegpt.analysis.curves import Key, key_of
from litegpt.results.metric import History, comparable_metrics
from litegpt.results.ranking import comparable_metric
from litegpt.results.samples import Sample
from litegpt.results.state import TrialState
from litegpt.study.trial import tokens_differ

# The original study's table has as many texts.
TEXTS = 18


@dataclass(frozen=True)
class RankedSample:
    """A sample and its metric. The text comes from a model: make it `inert` before it is shown."""

    trial: TrialState
    sample: Sample
    value: float | None  # None if the metric is not known at the sample's step


def sample_value(sample: Sample, trial: TrialState, metric: str, history: History | None = None) -> float | None:
    """Return a metric of a trial at the step of a sample, None if it is not known there.

    A sample holds its validation loss; the ratio of the trial's best losses converts it to bits per character. Other
    metrics are known at the steps of the history, and without one at the trial's last step alone.
    """
    if metric == "val_loss":
        return sample.loss
    metrics = trial.metrics
    if metric == "bits_per_char":
        if sample.loss is None or not metrics.best_val_loss or metrics.best_bits_per_char is None:
            return None
        return sample.loss * metrics.best_bits_per_char / metrics.best_val_loss
    if sample.step == metrics.step and metrics.value(metric) is not None:
        return metrics.value(metric)
    return history.at(sample.step, metric) if history and history.step_at(sample.step) == sample.step else None


def sample_metrics(trials: Iterable[TrialState]) -> tuple[str, ...]:
    """Return the metrics by which samples of these trials can be ranked, the default one first.

    By validation loss, a study that overfits starts with its memorised prose. Its training losses put it last.
    """
    listed = list(trials)
    default = comparable_metric(listed).curve.name
    losses = comparable_metrics(("val_loss", "train_loss", "final_loss"), tokens_differ(t.settings for t in listed))
    return tuple(dict.fromkeys((default, *losses)))


def rank_samples(
    samples: Iterable[tuple[TrialState, Iterable[Sample]]], metric: str, curves: Mapping[Key, History] | None = None
) -> list[RankedSample]:
    """Return the samples of trials, the highest value of the metric first; unknown values come before all others."""
    histories = curves or {}
    ranked = [
        RankedSample(trial, sample, sample_value(sample, trial, metric, histories.get(key_of(trial))))
        for trial, own in samples
        for sample in own
    ]
    return sorted(
        ranked,
        key=lambda entry: (
            -math.inf if entry.value is None else -entry.value,
            entry.trial.phase,
            entry.trial.id,
            entry.sample.step,
        ),
    )


def ladder(ranked: Sequence[RankedSample], count: int = TEXTS) -> list[RankedSample]:
    """Return at most `count` samples whose values are spread evenly, the highest first."""
    known = [(entry.value, entry) for entry in ranked if entry.value is not None]
    if len(known) <= count:
        return [entry for _, entry in known]
    highest, lowest = known[0][0], known[-1][0]
    chosen: set[int] = set()
    for position in range(count):
        target = highest + (lowest - highest) * position / (count - 1)
        chosen.add(min(range(len(known)), key=lambda index: abs(known[index][0] - target)))
    return [known[index][1] for index in sorted(chosen)]
