"""Curves by hyperparameter: mean and range of the trials that share a value, and values compared on equal settings."""

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

TOKENS = {"tokenizer", "vocab_size"}  # one choice: size 0 leaves the size to the tokenizer


@dataclass(frozen=True)
class Segment:
    """Consecutive steps at which the same trials are averaged."""

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    trials: int


@dataclass(frozen=True)
class Band:
    """All trials with one value. The set of trials changes between two segments."""

    value: int | float | str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Matched:
    """One value compared with the others on otherwise equal settings."""

    value: int | float | str
    mean: float  # over the matched settings
    difference: float  # from the mean of all values; below 0 is lower
    margin: float | None  # half the 95 % interval of the difference; None for one setting
    settings: int

    @property
    def against(self) -> str:
        return f"{self.difference:+.3f}" + ("" if self.margin is None else f" ± {self.margin:.3f}")


def bands(trials: Iterable[TrialState], curves: Curves, name: str, metric: str = "train_loss") -> list[Band]:
    """Return one band per value of a hyperparameter, sorted by value.

    Means over different trials are not joined: a new segment begins when a phase ends or a trial stops.
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
        # Trials that are evaluated less often determine the steps.
        if all(step in known[key] for key in present):
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
    """Group trials that differ in one hyperparameter alone; each group is within a phase and has all values.

    Hyperparameters that follow from it one to one, such as the heads from the width, may differ too.
    """
    phases: dict[str, list[TrialState]] = defaultdict(list)
    for trial in trials:
        phases[trial.phase].append(trial)
    groups: list[dict[int | float | str, TrialState]] = []
    for phase_trials in phases.values():
        values = {getattr(trial.settings, name) for trial in phase_trials}
        if len(values) < 2:
            continue
        followers = [other for other in HYPERPARAMETERS if other not in LENGTH and _follows(phase_trials, name, other)]
        settings: dict[object, dict[int | float | str, TrialState]] = defaultdict(dict)
        for trial in phase_trials:
            rest = {key: value for key, value in dataclasses.asdict(trial.settings).items() if key not in followers}
            settings[tuple(rest.items())][getattr(trial.settings, name)] = trial
        groups += [group for group in settings.values() if len(group) == len(values)]
    return groups


def matched_trials(trials: Iterable[TrialState], name: str) -> list[TrialState]:
    """Return the trials that have a counterpart for every value of a hyperparameter."""
    return [trial for group in matched_groups(trials, name) for trial in group.values()]


def matched(trials: Iterable[TrialState], name: str, metric: str = "best_val_loss") -> list[Matched]:
    """Compare each value of a hyperparameter with the others on otherwise equal settings.

    Give it the trials of one phase: the effect of a value at 500 steps can be the opposite of that at 5,000, and a
    mean over both is true of neither. Margins are Student's t intervals over the settings.
    """
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
        numbers, offsets = zip(*differences[value], strict=True)
        margin = (
            t_quantile(len(offsets) - 1) * statistics.stdev(offsets) / math.sqrt(len(offsets)) if offsets[1:] else None
        )
        rows.append(Matched(value, statistics.fmean(numbers), statistics.fmean(offsets), margin, len(offsets)))
    return rows


def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution, without scipy, which a light install lacks.

    P(|T| < t) is a finite sum over theta = atan(t / sqrt(freedom)): Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    low, high = 0.0, math.pi / 2
    while high - low > 1e-12:
        theta = (low + high) / 2
        odd = freedom % 2
        total = term = math.cos(theta) if odd else 1.0
        for k in range(2 + odd, freedom - 1, 2):
            term *= (k - 1) / k * math.cos(theta) ** 2
            total += term
        within = math.sin(theta) * (total if freedom > 1 else 0.0)
        if odd:
            within = 2 / math.pi * (theta + within)
        low, high = (theta, high) if within < 0.95 else (low, theta)
    return math.sqrt(freedom) * math.tan(low)


def unmatched(trials: Iterable[TrialState], name: str) -> str:
    """Say why no settings are equal but for a hyperparameter: which others change with it."""
    phases: dict[str, list[TrialState]] = defaultdict(list)
    for trial in trials:
        phases[trial.phase].append(trial)
    varied = [
        phase_trials
        for phase_trials in phases.values()
        if len({getattr(trial.settings, name) for trial in phase_trials}) > 1
    ]
    others = [other for other in HYPERPARAMETERS if other not in (name, *LENGTH)] if varied else []
    others_text = " and ".join(
        other for other in others if all(_determines(phase_trials, other, name) for phase_trials in varied)
    )
    return f"No settings are equal but for {name}{others_text and f', which changes with {others_text}'}."


def _follows(trials: Sequence[TrialState], name: str, other: str) -> bool:
    return _determines(trials, name, other) and ({name, other} == TOKENS or _determines(trials, other, name))


def _determines(trials: Sequence[TrialState], name: str, other: str) -> bool:
    """Return whether each value of `name` occurs with one value of `other`."""
    pairs = {(getattr(trial.settings, name), getattr(trial.settings, other)) for trial in trials}
    return len(pairs) == len({first for first, _ in pairs})
