"""A curve in a few cells of one line."""

from __future__ import annotations

from litegpt.analysis.terminal_charts import reduce_columns
from tui.charts.canvas import Canvas
from tui.charts.scales import extent, padded
from tui.curve import Curve


def sparkline(curve: Curve, width: int, figure: str = "val_loss") -> str:
    """Return a figure's course as braille cells; blanks where nothing was measured."""
    ys = getattr(curve, figure)
    limits = extent([ys])
    if limits is None or len(ys) < 2:
        return " " * width
    low, high = padded(*limits)
    canvas = Canvas(width, 1)
    buckets = reduce_columns(curve.steps, ys, width * 2, curve.steps[0], curve.steps[-1])
    canvas.path(buckets, high, 3 / (high - low), 1)
    return canvas.row(0)[0]
