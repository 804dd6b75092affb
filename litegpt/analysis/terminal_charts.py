"""Charts for a terminal: series reduced to columns, and the charts that commands print.

plotext draws the printed charts. It takes 0.2 s to import and 60 ms per chart, so it is imported only for a chart.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

# Steps of a table of losses.
TABLE_COLUMNS = 5
LETTERS = "abcdefghijklmnopqrstuvwxyz"
COLOURS = ((76, 194, 255), (255, 180, 84), (126, 231, 135), (255, 123, 156), (199, 146, 234), (86, 212, 192))

Bucket = tuple[int, float, float, float, float, bool]
"""The values of a series within one column: (column, first, minimum, maximum, last, joined to the previous bucket).

Minimum and maximum keep the spikes that a mean would hide. It is a tuple, because a frame needs thousands of them.
"""


@dataclass(frozen=True)
class Series:
    """A line of a chart: its name and its points by x; None or nan as y is a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]


def reduce_columns(
    xs: Sequence[float], ys: Sequence[float | None], columns: int, x_min: float, x_max: float
) -> list[Bucket]:
    """Return one bucket per column that has a point. `xs` is ascending; points outside of the range are left out."""
    buckets: list[Bucket] = []
    if columns < 1 or not x_max >= x_min:
        return buckets
    start, end = bisect_left(xs, x_min), bisect_right(xs, x_max)
    if start > 0 or end < len(xs):
        xs, ys = xs[start:end], ys[start:end]
    scale = (columns - 1) / (x_max - x_min) if x_max > x_min else 0.0
    offset = 0.5 - x_min * scale
    # Column -1 means that no bucket is open.
    column, joined = -1, False
    first = low = high = last = 0.0
    for x, y in zip(xs, ys, strict=True):
        if y is None or y != y:  # nan
            if column >= 0:
                buckets.append((column, first, low, high, last, joined))
            column, joined = -1, False
            continue
        at = int(x * scale + offset)
        if at == column:
            last = y
            if y < low:
                low = y
            elif y > high:
                high = y
            continue
        if column >= 0:
            buckets.append((column, first, low, high, last, joined))
            joined = True
        column = at
        first = low = high = last = y
    if column >= 0:
        buckets.append((column, first, low, high, last, joined))
    return buckets


def loss_chart(series: Sequence[Series], width: int, height: int, color: bool) -> str:
    """Return a chart of losses by step as text: `width` x `height` cells, and a legend with one line per series.

    A letter at the end of each line identifies it without colour. Series without a value are only in the legend.
    """
    drawn = [(entry, *_finite(entry.points)) for entry in series]
    if not any(xs for _, xs, _ in drawn):
        return "no losses to draw yet"
    chart = _plot([(xs, ys) for _, xs, ys in drawn], max(20, width), max(5, height), color)
    legend = []
    for index, (entry, xs, ys) in enumerate(drawn):
        end = f"{ys[-1]:.3f} at {xs[-1]:,.0f}" if xs else "no losses"
        line = f"{_letter(index)} {entry.name}  {end}"
        legend.append(_painted(line, index) if color else line)
    return "\n".join([*(line.rstrip() for line in chart.splitlines()), *legend])


def loss_table(series: Sequence[Series], columns: int = TABLE_COLUMNS, x_title: str = "step") -> str:
    """Return the losses as a table: one row per series, one column per step, for screen readers and dumb terminals."""
    drawn = [(entry.name, *_finite(entry.points)) for entry in series]
    last = max((xs[-1] for _, xs, _ in drawn if xs), default=None)
    if last is None:
        return "no losses to show yet"
    steps = [last * (column + 1) / columns for column in range(columns)]
    rows = [[x_title, *(f"{step:,.0f}" for step in steps)]]
    for name, xs, ys in drawn:
        ends = [bisect_right(xs, step) for step in steps]
        # A series that has ended has no value any more.
        is_over = [not xs or (step > xs[-1] and step - last / columns >= xs[-1]) for step in steps]
        values = ["-" if over or not end else f"{ys[end - 1]:.3f}" for end, over in zip(ends, is_over, strict=True)]
        rows.append([name, *values])
    widths = [max(len(row[column]) for row in rows) for column in range(columns + 1)]
    lines = []
    for name, *cells in rows:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join([name.ljust(widths[0]), *padded]).rstrip())
    return "\n".join(lines)


def _plot(lines: Sequence[tuple[list[float], list[float]]], width: int, height: int, color: bool) -> str:
    import plotext

    # The chart may be larger than the terminal.
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    for index, (xs, ys) in enumerate(lines):
        if not xs:
            continue
        pixel = plotext.pixel(foreground=COLOURS[index % len(COLOURS)]) if color else plotext.pixel()
        signal = figure.signal(xs, ys, marker=plotext.marker("braille", pixel))
        figure.draw(signal.lines())
        figure.draw(figure.signal(xs[-1:], ys[-1:], marker=plotext.marker(_letter(index), pixel)))
    last = round(max(xs[-1] for xs, _ in lines if xs))
    parts = next(count for count in (4, 5, 3, 2, 1) if last % count == 0)
    steps = sorted({last * part // parts for part in range(parts + 1)})
    figure.ruler("x").ticks(steps, [f"{step:,}" for step in steps])
    return str(figure.build().string(colorless=not color))


def _finite(points: Sequence[tuple[float, float | None]]) -> tuple[list[float], list[float]]:
    pairs = [(x, y) for x, y in points if y is not None and math.isfinite(y)]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _letter(index: int) -> str:
    return LETTERS[index % len(LETTERS)]


def _painted(text: str, index: int) -> str:
    red, green, blue = COLOURS[index % len(COLOURS)]
    return f"\x1b[38;2;{red};{green};{blue}m{text}\x1b[0m"
