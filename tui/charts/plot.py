"""Draws lines, areas and axes as rows of text. It knows nothing of Textual."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from litegpt.analysis.terminal_charts import Bucket, reduce_columns
from tui.charts.canvas import SPARSE, Canvas
from tui.charts.scales import Scale, extent, padded, scaled, ticks, unscaled

Cells = list[tuple[str, str]]
"""A row of a frame: pieces of text, each with the name of its colour; '' is the plain colour."""

Values = Sequence[float]


@dataclass(frozen=True, eq=False)
class Line:
    """A series of points with ascending x; nan in y is a gap. The sign is drawn at its end."""

    name: str
    xs: Values
    ys: Values
    colour: str
    sign: str = ""
    # The length of the dashes in dots; 0 is a solid line.
    dash: int = 0


@dataclass(frozen=True, eq=False)
class Area:
    """An area between two series, drawn below all lines."""

    xs: Values
    lows: Values
    highs: Values
    colour: str


@dataclass(frozen=True)
class Frame:
    """A drawn plot, and the position of its x axis: the cells left of it, its width and its limits."""

    rows: list[Cells]
    left: int
    width: int
    x_limits: tuple[float, float]
    x_scale: Scale

    def x_at(self, cell: int) -> float:
        """Return the x at a cell of the frame."""
        low, high = self.x_limits
        share = min(1.0, max(0.0, (cell - self.left) / max(1, self.width - 1)))
        return unscaled(low + (high - low) * share, self.x_scale)


@dataclass(frozen=True)
class Axes:
    """Scales, limits and marks of a plot. The data sets the limits that are None."""

    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    x_title: str = ""
    cursor: float | None = None
    # Vertical lines with a label, such as the end of a phase.
    verticals: Sequence[tuple[float, str]] = ()


def draw(lines: Sequence[Line], width: int, height: int, axes: Axes, areas: Sequence[Area] = ()) -> Frame:
    """Draw a frame of `width` x `height` cells, axes included."""
    x_limits = _x_limits((*lines, *areas), axes)
    placed = [(line, _place(axes, line.xs, line.ys)) for line in lines]
    scaled_areas = [(area, _place(axes, area.xs, area.lows, area.highs)) for area in areas]
    drawn = [(xs, ys) for _, (xs, ys) in placed] or [(xs, ys) for _, (xs, *both) in scaled_areas for ys in both]
    # Only lines set the limits of y: an outlier in an area must not flatten them.
    low, high = _y_limits(drawn, axes, x_limits)
    rows = max(1, height - 2)
    y_ticks = ticks(low, high, max(2, rows // 3), axes.y_scale)
    left = max((len(label) for _, label in y_ticks), default=1) + 1
    columns = max(1, width - left)
    canvas = Canvas(columns, rows)
    slope = (rows * 4 - 1) / (high - low) if high > low else 0.0
    colours = {"": 0, "axis": 1, "cursor": 2}
    for area, (xs, lows, highs) in scaled_areas:
        colour = colours.setdefault(area.colour, len(colours))
        bottom = reduce_columns(xs, lows, columns * 2, *x_limits)
        top = reduce_columns(xs, highs, columns * 2, *x_limits)
        for column, least, greatest in _filled(bottom, top):
            canvas.run(column, int((high - greatest) * slope), int((high - least) * slope), colour, SPARSE)
    overlay = _Overlay(columns, rows, axes.x_scale, x_limits)
    overlay.add_axes(axes)
    for line, (xs, ys) in placed:
        colour = colours.setdefault(line.colour, len(colours))
        buckets = reduce_columns(xs, ys, columns * 2, *x_limits)
        canvas.path(buckets, high, slope, colour, line.dash)
        if line.sign and buckets:
            column, *_, last, _ = buckets[-1]
            overlay.add_sign(column // 2 + 1, int((high - last) * slope) // 4, line.sign, colour)
    labels = {int((high - at) * slope + 0.5) // 4: label for at, label in y_ticks}
    names = list(colours)
    picture: list[Cells] = []
    for row in range(rows):
        label = labels.get(row, "")
        axis = (f"{label:>{left - 1}}{'┤' if label else '│'}", "axis")
        picture.append([axis, *_pieces(*canvas.row(row), overlay.rows.get(row, {}), names)])
    picture += _x_axis(axes, left, columns, x_limits)
    return Frame(picture[:height], left, columns, x_limits, axes.x_scale)


def _place(axes: Axes, xs: Values, *columns: Values) -> list[list[float]]:
    """Apply the scales. Points without a position in x are dropped; values without a position in y are gaps."""
    placed = [scaled(xs, axes.x_scale), *(scaled(ys, axes.y_scale) for ys in columns)]
    if all(math.isfinite(sum(column)) for column in placed):
        return placed
    kept = [index for index, x in enumerate(placed[0]) if math.isfinite(x)]
    return [[column[index] if math.isfinite(column[index]) else math.nan for index in kept] for column in placed]


class _Overlay:
    """Single characters drawn over the dots: vertical lines, the cursor, the signs at the ends of lines."""

    def __init__(self, columns: int, rows: int, x_scale: Scale, x_limits: tuple[float, float]) -> None:
        self.rows: dict[int, dict[int, tuple[str, int]]] = {}
        self._columns = columns
        self._rows = rows
        self._scale = x_scale
        self._limits = x_limits

    def add_axes(self, axes: Axes) -> None:
        for x, label in axes.verticals:
            column = self._column(x)
            if column is not None:
                self._add_vertical(column, "┊", 1)
                for index, letter in enumerate(label[: self._columns - column - 1], start=column + 1):
                    self._put(0, index, letter, 1)
        if axes.cursor is not None and (column := self._column(axes.cursor)) is not None:
            self._add_vertical(column, "│", 2)

    def add_sign(self, column: int, row: int, sign: str, colour: int) -> None:
        """Put a sign at the end of a line, to the left of signs that are already there."""
        row = min(self._rows - 1, max(0, row))
        column = min(self._columns - 1, column)
        while column > 0 and self.rows.get(row, {}).get(column, ("", 0))[1] > 2:
            column -= 1
        self._put(row, column, sign, colour)

    def _add_vertical(self, column: int, character: str, colour: int) -> None:
        for row in range(self._rows):
            self._put(row, column, character, colour)

    def _put(self, row: int, column: int, character: str, colour: int) -> None:
        self.rows.setdefault(row, {})[column] = (character, colour)

    def _column(self, x: float) -> int | None:
        low, high = self._limits
        (position,) = scaled((x,), self._scale)
        if not low <= position <= high or high <= low:
            return None
        return min(self._columns - 1, int((position - low) / (high - low) * (self._columns - 1) + 0.5))


def _pieces(text: str, colours: bytearray, over: dict[int, tuple[str, int]], names: Sequence[str]) -> Cells:
    """Split a row into pieces of one colour, after putting the characters of `over` on top."""
    if over:
        letters, colours = list(text), bytearray(colours)
        for column, (letter, colour) in over.items():
            letters[column], colours[column] = letter, colour
        text = "".join(letters)
    cells: Cells = []
    start = 0
    for colour, group in groupby(colours):
        end = start + len(list(group))
        cells.append((text[start:end], names[colour]))
        start = end
    return cells


def _x_axis(axes: Axes, left: int, columns: int, limits: tuple[float, float]) -> list[Cells]:
    low, high = limits
    line, labels = ["─"] * columns, [" "] * columns
    title = f" {axes.x_title}" if axes.x_title else ""
    last = -1
    for at, label in ticks(low, high, max(2, columns // 10), axes.x_scale):
        column = min(columns - 1, int((at - low) / (high - low) * (columns - 1) + 0.5))
        line[column] = "┬"
        start = min(max(0, column - len(label) // 2), columns - len(label))
        if start > last and start + len(label) <= columns - len(title):
            labels[start : start + len(label)] = label
            last = start + len(label)
    if title and len(title) <= columns:
        labels[columns - len(title) :] = title
    return [[(" " * (left - 1) + "└" + "".join(line), "axis")], [(" " * left + "".join(labels), "axis")]]


def _filled(lows: Sequence[Bucket], highs: Sequence[Bucket]) -> Iterator[tuple[int, float, float]]:
    """Yield the limits of an area for every column, with straight lines between the given columns."""
    bottom = {column: low for column, _, low, *_ in lows}
    top = {column: high for column, _, _, high, *_ in highs}
    shared = sorted(bottom.keys() & top.keys())
    for before, after in pairwise(shared):
        for column in range(before, after):
            share = (column - before) / (after - before)
            least = bottom[before] + (bottom[after] - bottom[before]) * share
            yield column, least, top[before] + (top[after] - top[before]) * share
    if shared:
        yield shared[-1], bottom[shared[-1]], top[shared[-1]]


def _x_limits(drawn: Sequence[Line | Area], axes: Axes) -> tuple[float, float]:
    """Return the limits of x, in units of the scale."""
    if axes.x_limits is not None:
        low, high = scaled(axes.x_limits, axes.x_scale)
    else:
        ends = [scaled((*entry.xs[:2], *entry.xs[-1:]), axes.x_scale) for entry in drawn]
        low, high = extent(ends) or (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1)


def _y_limits(
    columns: Sequence[tuple[Values, Values]], axes: Axes, x_limits: tuple[float, float]
) -> tuple[float, float]:
    """Return the limits of y between the limits of x, in units of the scale."""
    if axes.y_limits is not None:
        low, high = scaled(axes.y_limits, axes.y_scale)
        return low, high
    visible = [ys[bisect_left(xs, x_limits[0]) : bisect_right(xs, x_limits[1])] for xs, ys in columns]
    limits = extent(visible)
    return padded(*limits) if limits else (0.0, 1.0)
