"""Mean curves by the values of a hyperparameter, as lines and areas for a chart. Computed in a thread."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import nan
from statistics import fmean
from typing import Literal, NamedTuple

from litegpt.analysis.bands import Segment, bands, matched_trials
from litegpt.analysis.curves import key_of
from litegpt.results.state import PhaseState, TrialState
from litegpt.study.hyperparameter import Value
from litegpt.study.trial import HYPERPARAMETERS
from tui.charts.plot import Area, Line
from tui.charts.scales import Scale
from tui.curve import Curve
from tui.messages import TrialKey

MeanAxis = Literal["step", "time", "tokens"]


@dataclass(frozen=True)
class CurveSection:
    """A part of a mean curve over the same trials, with their mean, minimum and maximum."""

    xs: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    trials: int

    def smoothed(self, weight: float) -> CurveSection:
        """Return the section with smoothed columns."""
        mean, low, high = (smoothed(column, weight) for column in (self.mean, self.low, self.high))
        return CurveSection(self.xs, mean, low, high, self.trials)

    def after(self, x: float) -> CurveSection:
        """Return the part to the right of x."""
        start = bisect_right(self.xs, x)
        xs, mean, low, high = (column[start:] for column in (self.xs, self.mean, self.low, self.high))
        return CurveSection(xs, mean, low, high, self.trials)


@dataclass(frozen=True)
class MeanCurve:
    """The mean over all trials with one value. A new section begins where the set of trials changes."""

    value: Value
    sections: tuple[CurveSection, ...]

    def at(self, x: float | None) -> tuple[CurveSection, int] | None:
        """Return the section and the index of the last point at or before `x` (None: the last point of all).

        None beyond the end of the curve.
        """
        if x is not None and x > self.sections[-1].xs[-1]:
            return None
        for section in reversed(self.sections):
            count = len(section.xs) if x is None else bisect_right(section.xs, x)
            if count:
                return section, count - 1
        return None

    def lines(self, name: str, colour: str, sign: str) -> list[Line]:
        """Return the mean as one line with gaps, or as several lines if the sections overlap in x.

        The last of several lines has the name and the sign.
        """
        overlap = any(before.xs[-1] > after.xs[0] for before, after in pairwise(self.sections))
        if overlap:
            last = len(self.sections) - 1
            return [
                Line("" if index < last else name, section.xs, section.mean, colour, "" if index < last else sign)
                for index, section in enumerate(self.sections)
            ]
        xs: list[float] = []
        ys: list[float] = []
        for section in self.sections:
            if xs:
                xs.append(xs[-1])
                ys.append(nan)
            xs += section.xs
            ys += section.mean
        return [Line(name, xs, ys, colour, sign)] if xs else []

    def areas(self, colour: str) -> list[Area]:
        """Return the range of the trials."""
        return [Area(section.xs, section.low, section.high, colour) for section in self.sections if section.trials > 1]


class MeanQuestion(NamedTuple):
    """The curves of trials to average by the values of a hyperparameter."""

    curves: Mapping[TrialKey, tuple[TrialState, Curve]]
    hyperparameter: str
    metric: str
    axis: MeanAxis
    # Exclude trials without a counterpart for every value on otherwise equal settings.
    only_matched: bool = False


class MeanResult(NamedTuple):
    """The mean curves, and the number of trials in them."""

    curves: list[MeanCurve]
    trials: int


def mean_curves(question: MeanQuestion) -> MeanResult:
    """Compute a mean curve for each value of the hyperparameter.

    On the axes of time and tokens, the mean of a step is drawn at the mean x of its trials.
    """
    curves, name, metric, axis, only_matched = question
    trials = [trial for trial, _ in curves.values()]
    if only_matched:
        trials = matched_trials(trials, name)
    histories = {key: curves[key][1] for key in map(key_of, trials)}
    means: list[MeanCurve] = []
    for band in bands(trials, histories, name, metric):
        members = [curves[key_of(trial)] for trial in trials if getattr(trial.settings, name) == band.value]
        sections = [
            CurveSection(_xs(segment, members, metric, axis), segment.mean, segment.low, segment.high, segment.trials)
            for segment in band.segments
        ]
        if sections:
            means.append(MeanCurve(band.value, tuple(sections)))
    return MeanResult(means, len(trials))


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Return the exponential moving average without the bias towards zero at its start. Weight 0 changes nothing."""
    result: list[float] = []
    average, sum_of_weights = 0.0, 0.0
    for value in values:
        average = weight * average + (1 - weight) * value
        sum_of_weights = weight * sum_of_weights + (1 - weight)
        result.append(average / sum_of_weights)
    return result


def drawable(means: Sequence[MeanCurve], weight: float, x_scale: Scale) -> list[MeanCurve]:
    """Smooth mean curves, and cut off x = 0 for a logarithmic x axis."""
    result = []
    for mean in means:
        sections = [section.smoothed(weight) if weight else section for section in mean.sections]
        if x_scale == "log":
            sections = [kept for section in sections if (kept := section.after(0.0)).xs]
        if sections:
            result.append(MeanCurve(mean.value, tuple(sections)))
    return result


def hyperparameters(trials: Sequence[TrialState]) -> dict[str, int]:
    """Count the values of each hyperparameter that varies between trials, the learning rate first.

    If none varies, return only the learning rate.
    """
    names = sorted(HYPERPARAMETERS, key=lambda name: name != "learning_rate")
    counts = {name: len({getattr(trial.settings, name) for trial in trials}) for name in names}
    return {name: count for name, count in counts.items() if count > 1} or {"learning_rate": counts["learning_rate"]}


def phase_ends(phases: Iterable[PhaseState]) -> list[tuple[float, str]]:
    """Return the step at which each phase ends, except the last phase, and the label for it."""
    ends: dict[int, list[str]] = {}
    for phase in phases:
        steps = [trial.settings.max_iters for trial in phase.current() if trial.state == "done"]
        if steps:
            ends.setdefault(max(steps), []).append(phase.name)
    return [(float(step), f"◂{', '.join(ends[step])}") for step in sorted(ends)[:-1]]


def _xs(segment: Segment, trials: Iterable[tuple[TrialState, Curve]], metric: str, axis: MeanAxis) -> list[float]:
    """Return the x of a segment's means: its steps, or the mean time or tokens of its trials at these steps."""
    if axis == "step":
        return [float(step) for step in segment.steps]
    # The x of each step, for each trial.
    members: list[dict[float, float]] = []
    for trial, curve in trials:
        measured = zip(curve.steps, curve.column(metric), curve.seconds, strict=True)
        tokens = trial.settings.batch_size * trial.settings.block_size
        xs = {step: seconds if axis == "time" else step * tokens for step, value, seconds in measured if value == value}
        if segment.steps[0] in xs:
            members.append(xs)
    means = [fmean([x for xs in members if (x := xs.get(step, nan)) == x] or [0.0]) for step in segment.steps]
    # The line must not turn back where a clock was set back.
    return list(accumulate(means, max))
