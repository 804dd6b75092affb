"""Curves by hyperparameter: the mean and the range of all trials that share a value, step by step."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from litegpt.analysis.curves import Curves, Key, key_of
from litegpt.results.metric import History
from litegpt.results.state import TrialState
from litegpt.study.trial import HYPERPARAMETERS, LENGTH

TOKENS = {"tokenizer", "vocab_size"}  # parts of one choice: a size of 0 leaves it to the tokenizer


@dataclass(frozen=True)
class Segment:
    """A stretch of steps over which the same trials are averaged."""

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    trials: int


@dataclass(frozen=True)
class Band:
    """All trials with one value; a gap between segments is where the set of trials changes."""

    value: int | float | str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Matched:
    """One value against the others on otherwise equal settings."""

    value: int | float | str
    mean: float  # of the metric, over the matched settings
    difference: float  # from the mean of its matched siblings and itself; below 0 is lower than they are
    margin: float | None  # of the difference, at 95 %; None for a single setting
    settings: int

    @property
    def against(self) -> str:
        """The difference with its margin."""
        return f"{self.difference:+.3f}" + ("" if self.margin is None else f" ± {self.margin:.3f}")


def bands(trials: Iterable[TrialState], curves: Curves, name: str, metric: str = "train_loss") -> list[Band]:
    """Return a band per value of a hyperparameter, in the order of the values.

    Means over different trials are not joined: where a phase ends, or a trial stops, a new segment begins.
    """
    by_value: dict[int | float | str, list[TrialState]] = defaultdict(list)
    for trial in trials:
        by_value[getattr(trial.settings, name)].append(trial)
    return [Band(value, _segments(by_value[value], curves, metric)) for value in sorted(by_value)]


def _segments(trials: Sequence[TrialState], curves: Curves, metric: str) -> tuple[Segment, ...]:
    known: dict[Key, dict[int, float]] = {}
    for trial in trials:
        curve = curves.get(key_of(trial))
        measured = dict(curve.points(metric)) if curve is not None else {}
        if measured:
            known[key_of(trial)] = measured
    spans = {key: (min(measured), max(measured)) for key, measured in known.items()}
    values: dict[int, dict[Key, float]] = {}
    for step in sorted({step for measured in known.values() for step in measured}):
        present = [key for key, (first, last) in spans.items() if first <= step <= last]
        if all(step in known[key] for key in present):  # trials evaluated less often set the steps
            values[step] = {key: known[key][step] for key in present}
    segments: list[list[int]] = []
    members: set[Key] | None = None
    for step in values:
        if members is None or values[step].keys() != members:
            segments.append([])
            members = set(values[step])
        segments[-1].append(step)
    return tuple(
        Segment(
            steps=tuple(steps),
            mean=tuple(statistics.fmean(values[step].values()) for step in steps),
            low=tuple(min(values[step].values()) for step in steps),
            high=tuple(max(values[step].values()) for step in steps),
            trials=len(values[steps[0]]),
        )
        for steps in segments
    )


def median_course(curves: Iterable[History], metric: str = "val_loss") -> tuple[list[int], list[float], list[float]]:
    """Return (steps, median training losses, median validation losses) of several curves.

    For another metric of the validation text, such as bits per character, training losses are left out.
    """
    train: dict[int, list[float]] = defaultdict(list)
    validation: dict[int, list[float]] = defaultdict(list)
    for curve in curves:
        losses = dict(curve.points("train_loss"))
        for step, value in curve.points(metric):
            if step in losses:
                train[step].append(losses[step])
                validation[step].append(value)
    steps = sorted(validation)
    training = [statistics.median(train[step]) for step in steps] if metric == "val_loss" else []
    return steps, training, [statistics.median(validation[step]) for step in steps]


def matched_groups(trials: Iterable[TrialState], name: str) -> list[dict[int | float | str, TrialState]]:
    """Return the settings that differ in one hyperparameter alone and have all its values, within a phase each.

    What follows from it one to one (heads from the width) goes with it, and a vocabulary's size with its tokenizer.
    """
    phases: dict[str, list[TrialState]] = defaultdict(list)
    for trial in trials:
        phases[trial.phase].append(trial)
    groups: list[dict[int | float | str, TrialState]] = []
    for own in phases.values():
        values = {getattr(trial.settings, name) for trial in own}
        if len(values) < 2:
            continue
        followers = [other for other in HYPERPARAMETERS if other not in LENGTH and _follows(own, name, other)]
        found: dict[object, dict[int | float | str, TrialState]] = defaultdict(dict)
        for trial in own:
            rest = {key: value for key, value in dataclasses.asdict(trial.settings).items() if key not in followers}
            found[tuple(rest.items())][getattr(trial.settings, name)] = trial
        groups += [group for group in found.values() if len(group) == len(values)]
    return groups


def matched_trials(trials: Iterable[TrialState], name: str) -> list[TrialState]:
    """Return the trials of `matched_groups`: their bands compare like with like."""
    return [trial for group in matched_groups(trials, name) for trial in group.values()]


def matched(trials: Iterable[TrialState], name: str, metric: str = "best_val_loss") -> list[Matched]:
    """Return how each value of a hyperparameter does against the others on otherwise equal settings."""
    differences: dict[int | float | str, list[tuple[float, float]]] = defaultdict(list)
    for group in matched_groups((trial for trial in trials if trial.state == "done"), name):
        values = {
            value: number for value, trial in group.items() if (number := trial.metrics.value(metric)) is not None
        }
        if len(values) == len(group):
            middle = statistics.fmean(values.values())
            for value, number in values.items():
                differences[value].append((number, number - middle))
    rows = []
    for value in sorted(differences):
        numbers, own = zip(*differences[value], strict=True)
        margin = 1.96 * statistics.stdev(own) / math.sqrt(len(own)) if len(own) > 1 else None
        rows.append(Matched(value, statistics.fmean(numbers), statistics.fmean(own), margin, len(own)))
    return rows


def unmatched(trials: Iterable[TrialState], name: str) -> str:
    """Return a sentence on why a hyperparameter's values have no equal settings: what else changes with them."""
    phases: dict[str, list[TrialState]] = defaultdict(list)
    for trial in trials:
        phases[trial.phase].append(trial)
    varied = [own for own in phases.values() if len({getattr(trial.settings, name) for trial in own}) > 1]
    others = [other for other in HYPERPARAMETERS if other not in (name, *LENGTH)] if varied else []
    told = " and ".join(other for other in others if all(_determines(own, other, name) for own in varied))
    return f"No settings are equal but for {name}{told and f', which goes with {told}'}."


def _follows(trials: Sequence[TrialState], name: str, other: str) -> bool:
    return _determines(trials, name, other) and ({name, other} == TOKENS or _determines(trials, other, name))


def _determines(trials: Sequence[TrialState], name: str, other: str) -> bool:
    """Whether each value of `name` goes with one value of `other`."""
    pairs = {(getattr(trial.settings, name), getattr(trial.settings, other)) for trial in trials}
    return len(pairs) == len({first for first, _ in pairs})
