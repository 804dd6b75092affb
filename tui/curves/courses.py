"""Means and bands by hyperparameter as a chart takes them; made away from the screen's thread."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import nan
from statistics import fmean
from typing import Literal

from litegpt.analysis.bands import Segment, bands, matched_trials
from litegpt.analysis.curves import key_of
from litegpt.results.state import PhaseState, TrialState
from litegpt.study.hyperparameter import Value
from litegpt.study.trial import HYPERPARAMETERS
from tui.charts.plot import Area, Line
from tui.charts.scales import Scale
from tui.curve import Curve
from tui.messages import TrialKey

CourseFigure = Literal["val_loss", "train_loss", "bits_per_char", "seconds"]
CourseAxis = Literal["step", "time", "tokens"]


@dataclass(frozen=True)
class Stretch:
    """The mean, the least and the greatest of the same trials all along."""

    xs: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    trials: int

    def smoothed(self, weight: float) -> Stretch:
        """Return it with each column smoothed."""
        mean, low, high = (smoothed(column, weight) for column in (self.mean, self.low, self.high))
        return Stretch(self.xs, mean, low, high, self.trials)

    def from_x(self, least: float) -> Stretch:
        """Return what of it lies to the right of an x."""
        start = bisect_right(self.xs, least)
        xs, mean, low, high = (column[start:] for column in (self.xs, self.mean, self.low, self.high))
        return Stretch(xs, mean, low, high, self.trials)


@dataclass(frozen=True)
class Course:
    """All trials with one value; a new stretch begins where the set of trials changes."""

    value: Value
    stretches: tuple[Stretch, ...]

    def at(self, x: float | None) -> tuple[Stretch, int] | None:
        """Return the stretch and the place in it of the latest point by `x`, or the last; None beyond its end."""
        if x is not None and x > self.stretches[-1].xs[-1]:
            return None
        for stretch in reversed(self.stretches):
            place = len(stretch.xs) if x is None else bisect_right(stretch.xs, x)
            if place:
                return stretch, place - 1
        return None

    def lines(self, name: str, colour: str, sign: str) -> list[Line]:
        """Return its mean, in one line with gaps where that is possible; else the last line has the name."""
        joined = all(before.xs[-1] <= after.xs[0] for before, after in pairwise(self.stretches))
        if not joined:
            last = len(self.stretches) - 1
            return [
                Line("" if place < last else name, stretch.xs, stretch.mean, colour, "" if place < last else sign)
                for place, stretch in enumerate(self.stretches)
            ]
        xs: list[float] = []
        ys: list[float] = []
        for stretch in self.stretches:
            if xs:
                xs.append(xs[-1])
                ys.append(nan)
            xs += stretch.xs
            ys += stretch.mean
        return [Line(name, xs, ys, colour, sign)] if xs else []

    def areas(self, colour: str) -> list[Area]:
        """Return what its trials lie between."""
        return [Area(stretch.xs, stretch.low, stretch.high, colour) for stretch in self.stretches if stretch.trials > 1]


def make_courses(
    curves: Mapping[TrialKey, tuple[TrialState, Curve]],
    name: str,
    figure: CourseFigure,
    axis: CourseAxis,
    *,
    only_matched: bool = False,
) -> tuple[list[Course], int]:
    """Return a course per value of a hyperparameter, and of how many trials.

    By time and tokens, a mean lies at the mean x that its trials had at that step. `only_matched` leaves out the
    trials that have no counterpart on otherwise equal settings.
    """
    trials = [trial for trial, _ in curves.values()]
    if only_matched:
        trials = matched_trials(trials, name)
    histories = {key: curves[key][1] for key in map(key_of, trials)}
    found: list[Course] = []
    for band in bands(trials, histories, name, figure):
        own = [curves[key_of(trial)] for trial in trials if getattr(trial.settings, name) == band.value]
        stretches = [
            Stretch(_xs(segment, own, figure, axis), segment.mean, segment.low, segment.high, segment.trials)
            for segment in band.segments
        ]
        if stretches:
            found.append(Course(band.value, tuple(stretches)))
    return found, len(trials)


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Return the exponential moving average, not pulled towards zero at its beginning; weight 0 changes nothing."""
    result: list[float] = []
    average, sum_of_weights = 0.0, 0.0
    for value in values:
        average = weight * average + (1 - weight) * value
        sum_of_weights = weight * sum_of_weights + (1 - weight)
        result.append(average / sum_of_weights)
    return result


def shown(courses: Sequence[Course], weight: float, x_scale: Scale) -> list[Course]:
    """Return courses smoothed, without what a logarithmic x has no place for."""
    result = []
    for course in courses:
        stretches = [stretch.smoothed(weight) if weight else stretch for stretch in course.stretches]
        if x_scale == "log":
            stretches = [kept for stretch in stretches if (kept := stretch.from_x(0.0)).xs]
        if stretches:
            result.append(Course(course.value, tuple(stretches)))
    return result


def hyperparameters(trials: Sequence[TrialState]) -> dict[str, int]:
    """Return the hyperparameters in which trials differ, the learning rate first, each with its number of values."""
    names = sorted(HYPERPARAMETERS, key=lambda name: name != "learning_rate")
    counts = {name: len({getattr(trial.settings, name) for trial in trials}) for name in names}
    return {name: count for name, count in counts.items() if count > 1} or {"learning_rate": counts["learning_rate"]}


def phase_ends(phases: Iterable[PhaseState]) -> list[tuple[float, str]]:
    """Return at which steps phases end, but for the last, and their names."""
    ends: dict[int, list[str]] = {}
    for phase in phases:
        steps = [trial.settings.max_iters for trial in phase.current() if trial.state == "done"]
        if steps:
            ends.setdefault(max(steps), []).append(phase.name)
    return [(float(step), f"◂{', '.join(ends[step])}") for step in sorted(ends)[:-1]]


def _xs(
    segment: Segment, trials: Iterable[tuple[TrialState, Curve]], figure: CourseFigure, axis: CourseAxis
) -> list[float]:
    """Return where a segment's means lie: at its steps, or at what its trials had used by then on average."""
    if axis == "step":
        return [float(step) for step in segment.steps]
    members: list[dict[float, float]] = []  # each trial's x by step
    for trial, curve in trials:
        measured = zip(curve.steps, curve.column(figure), curve.seconds, strict=True)
        tokens = trial.settings.batch_size * trial.settings.block_size
        xs = {step: seconds if axis == "time" else step * tokens for step, value, seconds in measured if value == value}
        if segment.steps[0] in xs:
            members.append(xs)
    means = [fmean([x for xs in members if (x := xs.get(step, nan)) == x] or [0.0]) for step in segment.steps]
    return list(accumulate(means, max))  # a clock that went back does not turn the line round
