"""Content of the live chart: its choices of metrics and axes, the lines of trials, and the range of all trials."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, cast

from litegpt.results.metric import METRICS, comparable_metrics
from litegpt.study.trial import Trial
from tui.charts.plot import Area, Line
from tui.curve import Curve, CurveMetric
from tui.feed import Feed
from tui.messages import TrialKey

ChartMetrics = tuple[str, tuple[CurveMetric, ...]]
"""A title, and the metrics drawn under it."""

CHOICES: tuple[ChartMetrics, ...] = (
    ("validation ━ and training ╌ loss, nats per token", ("val_loss", "train_loss")),
    ("validation loss, nats per token", ("val_loss",)),
    ("minibatch loss, nats per token", ("final_loss",)),
)


def chart_choices(tokenizers_differ: bool) -> tuple[ChartMetrics, ...]:
    """Return the choices; if tokenizers differ, the first is the metric that compares between them."""
    if not tokenizers_differ:
        return CHOICES
    (name,) = comparable_metrics(("val_loss",), tokenizers_differ)
    return ((f"validation, {METRICS[name].label}", (cast("CurveMetric", name),)), *CHOICES)


XAxis = Literal["step", "seconds", "tokens"]
X_AXES: tuple[XAxis, ...] = ("step", "seconds", "tokens")


class Envelope:
    """The range of a metric over the ended trials of a phase, step by step. Each curve is added only once."""

    def __init__(self, metric: CurveMetric) -> None:
        self._metric: CurveMetric = metric
        self._added: set[TrialKey] = set()
        self._limits: dict[float, tuple[float, float]] = {}

    def add(self, key: TrialKey, curve: Curve) -> None:
        """Add the curve of a trial that has ended."""
        if key in self._added:
            return
        self._added.add(key)
        limits = self._limits
        for step, value in zip(curve.steps, curve.column(self._metric), strict=True):
            if not math.isnan(value):
                low, high = limits.get(step, (value, value))
                limits[step] = (min(low, value), max(high, value))

    def __contains__(self, key: TrialKey) -> bool:
        return key in self._added

    def area(self, colour: str) -> Area | None:
        """Return the range as an area, None for fewer than two curves."""
        if len(self._added) < 2 or not self._limits:
            return None
        steps = sorted(self._limits)
        lows, highs = zip(*(self._limits[step] for step in steps), strict=True)
        return Area(steps, lows, highs, colour)


def trial_lines(
    feed: Feed,
    signs: Mapping[TrialKey, str],
    names: Mapping[TrialKey, str],
    metrics: Sequence[CurveMetric],
    axis: XAxis,
    colours: Sequence[str],
) -> list[Line]:
    """Return one line per trial and metric; the first trial of `signs` is drawn last, on top of the others.

    Only the line of the first metric has the trial's name and sign.
    """
    lines: list[Line] = []
    for index, (key, sign) in reversed(list(enumerate(signs.items()))):
        curve, trial = feed.curve(key), feed.trial(key)
        if curve is None or trial is None or not len(curve):
            continue
        colour = "good" if sign == "★" else colours[index % len(colours)]
        xs = x_values(curve, trial.settings, axis)
        for metric in metrics:
            is_first = metric == metrics[0]
            dash = 2 if metric == "train_loss" else 0
            ys = curve.column(metric)
            lines.append(Line(names[key] if is_first else "", xs, ys, colour, sign if is_first else "", dash))
    return lines


def baseline_lines(feed: Feed, lines: Sequence[Line], metric: CurveMetric) -> Iterator[Line]:
    """Yield a horizontal line for the n-gram baseline, if it is known in the metric's unit."""
    if feed.baseline is None or not lines:
        return
    # Imported only here: the feed has loaded this module already if there is a baseline.
    from litegpt.analysis.baselines import baseline_levels

    xs = [min(line.xs[0] for line in lines), max(line.xs[-1] for line in lines)]
    trials = (trial.settings for trial in feed.state.trials())
    for name, level in baseline_levels(dict([feed.baseline]), trials, metric).items():
        yield Line(name, xs, [level, level], "warn", dash=3)


def x_values(curve: Curve, trial: Trial, axis: XAxis) -> Sequence[float]:
    """Return the x of each evaluation of a trial."""
    if axis == "seconds":
        return curve.seconds
    if axis == "tokens":
        tokens = trial.batch_size * trial.block_size
        return array("d", [step * tokens for step in curve.steps])
    return curve.steps
