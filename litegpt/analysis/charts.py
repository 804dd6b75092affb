"""The report's charts as SVG. Import it late: it loads matplotlib, which the extra `report` installs.

Axes and text are drawn in one marker colour. It is replaced by the colour of the surrounding text in an inline chart,
and by grey in a chart file.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from litegpt.analysis.bands import Band
from litegpt.analysis.importance import Importance
from litegpt.analysis.page import MARKER, ChartBlock

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8c6bb1",
)  # safe for the colour-blind
DASHES = ("-", "--", "-.", ":")
INCHES = (7.0, 3.6)
BAND_ALPHA = 0.12
LEGEND_MAX = 12


def draw(name: str, caption: str, paint: Callable[[Axes], None], left: float = 0.09) -> ChartBlock:
    """Return a chart that `paint` draws; `left` is the left margin as a share of the width."""
    style: Any = {
        "svg.fonttype": "none",  # text as text, not as paths
        "svg.hashsalt": name,  # reproducible, and different between charts
        "font.family": "sans-serif",
        "text.color": MARKER,
        "axes.edgecolor": MARKER,
        "axes.labelcolor": MARKER,
        "xtick.color": MARKER,
        "ytick.color": MARKER,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": MARKER,
        "grid.alpha": 0.15,
        "legend.frameon": False,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=INCHES)
        figure.subplots_adjust(left=left, right=0.98, top=0.96, bottom=0.14)
        paint(figure.subplots())
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    return ChartBlock(name, caption, text[text.index("<svg") :])


def bands_chart(
    bands: Sequence[Band], hyperparameter: str, metric: str, label: str, *, is_symlog: bool = False
) -> ChartBlock:
    """Draw mean and range by step, one colour per value; a line ends where the set of trials changes.

    `is_symlog` makes the axis of steps logarithmic, and linear near 0.
    """

    def paint(axes: Axes) -> None:
        styles = itertools.product(DASHES, COLOURS)
        for band, (dash, colour) in zip(bands, styles, strict=False):
            label_once: str | None = f"{band.value:g}" if isinstance(band.value, float) else str(band.value)
            for segment in band.segments:
                mark = "o" if len(segment.steps) == 1 else None
                axes.plot(segment.steps, segment.mean, dash, color=colour, label=label_once, marker=mark, lw=1.6)
                axes.fill_between(segment.steps, segment.low, segment.high, color=colour, alpha=BAND_ALPHA, lw=0)
                label_once = None
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        if is_symlog:
            axes.set_xscale("symlog", linthresh=100)
        if len(bands) <= LEGEND_MAX:
            axes.legend(title=hyperparameter, loc="best", ncols=2, fontsize=8)

    return draw(f"{metric}_by_{hyperparameter}", f"{label} by {hyperparameter}: mean and range of all trials", paint)


def importance_chart(importance: Importance) -> ChartBlock:
    """Draw one bar per factor, with its interval if the method has one."""

    def paint(axes: Axes) -> None:
        bars = list(reversed(importance.bars))
        axes.barh([bar.name for bar in bars], [bar.value for bar in bars], color=COLOURS[0], height=0.6)
        for row, bar in enumerate(bars):
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [row, row], color=MARKER, lw=1.5)
        axes.set_xlabel("share" if importance.method == "forest" else "loss of R² when shuffled")
        axes.grid(axis="y", visible=False)

    name = f"importance_{importance.method}_{importance.target.replace(' ', '_')}"
    interval = ", with 95 % intervals" if any(bar.low is not None for bar in importance.bars) else ""
    return draw(
        name,
        f"Importance for {importance.target}, {importance.method}{interval} ({importance.trials:,} trials)",
        paint,
        left=0.24,
    )


def front_chart(
    groups: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    front: Sequence[tuple[float, float]],
    label: str = "best validation loss",
) -> ChartBlock:
    """Draw loss against seconds, one colour per phase, and the line of the trials that no other beats."""

    def paint(axes: Axes) -> None:
        for (phase, points), colour in zip(groups, itertools.cycle(COLOURS), strict=False):
            if points:
                seconds, losses = zip(*points, strict=True)
                axes.scatter(seconds, losses, s=8, color=colour, alpha=0.5, label=phase, lw=0)
        if front:
            axes.step(*zip(*front, strict=True), where="post", color=MARKER, lw=1.2, label="front")
        axes.set_xscale("log")
        axes.set_xlabel("seconds")
        axes.set_ylabel(label)
        axes.legend(fontsize=8)

    return draw("front", f"{label.capitalize()} against time; no trial beats those on the line", paint)


def courses_chart(
    groups: Sequence[tuple[str, Sequence[int], Sequence[float], Sequence[float]]],
    guess: float | None,
    baselines: Mapping[str, float] = MappingProxyType({}),
    label: str = "loss",
) -> ChartBlock:
    """Draw the median losses of each phase by step, with guessing and the n-gram baselines.

    A group is (phase, steps, training, validation); the training losses may be empty.
    """
    levels = {**({} if guess is None else {"uniform guess": guess}), **baselines}

    def paint(axes: Axes) -> None:
        for (phase, steps, train, validation), colour in zip(groups, itertools.cycle(COLOURS), strict=False):
            axes.plot(steps, validation, color=colour, lw=1.8, label=f"{phase}, validation")
            if train:
                axes.plot(steps, train, "--", color=colour, lw=1.2, label=f"{phase}, training")
        for name, level in levels.items():
            axes.axhline(level, color=MARKER, lw=0.8, ls=":")
            axes.annotate(name, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
        axes.set_xlabel("step")
        axes.set_ylabel(f"median {label}")
        axes.legend(fontsize=8, ncols=2)

    lines = ": solid for unseen text, dashed for the training text" if any(train for _, _, train, _ in groups) else ""
    return draw("courses", f"Median {label} of each phase's trials{lines or ', on unseen text'}", paint)
