"""A canvas of braille cells. A cell has 2 x 4 dots and one colour, that of the last dot drawn in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from litegpt.analysis.terminal_charts import Bucket, reduce_columns
from tui.charts.scales import extent, padded

DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot, by column and row of the cell."""

RUNS = tuple(tuple(tuple(sum(column[top : bottom + 1]) for bottom in range(4)) for top in range(4)) for column in DOTS)
"""The bits of a vertical run of dots, by column, first and last row."""

SPARSE = 0x95
"""A mask of every other dot, for areas."""

BRAILLE = 0x2800


class Canvas:
    """`width` x `height` cells. Dots are counted from the top left; dots outside are not drawn."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._dots = [bytearray(width) for _ in range(height)]
        self._colours = [bytearray(width) for _ in range(height)]

    def run(self, x: int, top: int, bottom: int, colour: int, mask: int = 0xFF) -> None:
        """Draw a vertical run of dots, both ends included; `mask` removes some of them."""
        column = x >> 1
        if bottom < top:
            top, bottom = bottom, top
        if not 0 <= column < self.width or bottom < 0 or top >= self.height * 4:
            return
        top, bottom = max(0, top), min(self.height * 4 - 1, bottom)
        runs = RUNS[x & 1]
        first, last = top >> 2, bottom >> 2
        for row in range(first, last + 1):
            bits = runs[top & 3 if row == first else 0][bottom & 3 if row == last else 3]
            self._dots[row][column] |= bits & mask
            self._colours[row][column] = colour

    def path(self, buckets: Iterable[Bucket], zero: float, slope: float, colour: int, dash: int = 0) -> None:
        """Draw a line through buckets, one per column of dots. A value is `(zero - value) * slope` dots from the top.

        With `dash`, only every other run of that many dots is drawn.
        """
        dots, colours, width, limit = self._dots, self._colours, self.width, self.height * 4 - 1
        before_x = before_y = 0
        zero_dot = zero * slope + 0.5
        for x, first, low, high, last, joined in buckets:
            top = enter = leave = int(zero_dot - high * slope)
            bottom = top
            if low != high:
                bottom = int(zero_dot - low * slope)
                enter = int(zero_dot - first * slope)
                leave = int(zero_dot - last * slope)
            if joined:
                if x - before_x > 1:
                    before_y = self._bridge(before_x, before_y, x, enter, colour, dash)
                if before_y < top:
                    top = before_y
                elif before_y > bottom:
                    bottom = before_y
            before_x, before_y = x, leave
            column = x >> 1
            if column >= width or bottom < 0 or top > limit or (dash and (x // dash) & 1):
                continue
            top, bottom = max(0, top), min(limit, bottom)
            row, end, runs = top >> 2, bottom >> 2, RUNS[x & 1]
            if row == end:
                dots[row][column] |= runs[top & 3][bottom & 3]
                colours[row][column] = colour
                continue
            dots[row][column] |= runs[top & 3][3]
            colours[row][column] = colour
            for between in range(row + 1, end):
                dots[between][column] |= runs[0][3]
                colours[between][column] = colour
            dots[end][column] |= runs[0][bottom & 3]
            colours[end][column] = colour

    def _bridge(self, start: int, y: int, end: int, y_end: int, colour: int, dash: int) -> int:
        """Draw the straight line between two points, column by column; return its last y."""
        slope, y_start = (y_end - y) / (end - start), y
        for x in range(start + 1, end):
            after = round(y_start + slope * (x - start))
            if not (dash and (x // dash) & 1):
                self.run(x, y, after, colour)
            y = after
        return y

    def row(self, row: int) -> tuple[str, bytearray]:
        """Return a row's characters (blank if nothing is drawn) and the colour of each."""
        return self._dots[row].decode("latin-1").translate(_GLYPHS), self._colours[row]


def sparkline(xs: Sequence[float], ys: Sequence[float], width: int) -> str:
    """Draw a line of `width` cells in one row of text; blank if there are fewer than two points."""
    limits = extent([ys])
    if limits is None or len(ys) < 2:
        return " " * width
    low, high = padded(*limits)
    canvas = Canvas(width, 1)
    canvas.path(reduce_columns(xs, ys, width * 2, xs[0], xs[-1]), high, 3 / (high - low), 1)
    return canvas.row(0)[0]


_GLYPHS = {bits: chr(BRAILLE + bits) if bits else " " for bits in range(256)}
