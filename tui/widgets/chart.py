"""A chart with a cursor, a zoom and a legend. It is drawn again only after a change."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from litegpt.analysis.terminal_charts import Series, loss_table
from litegpt.display import wants_plain_text
from tui.charts.plot import Area, Axes, Cells, Frame, Line, draw
from tui.charts.scales import SCALES, Scale, label, scaled, unscaled
from tui.themes import drawn_style

# One zoom step shows this share of the visible range.
ZOOM = 0.5
# The legend takes at most one in this many rows.
LEGEND_SHARE = 4


class Chart(Widget, can_focus=True):
    """Lines over a common x axis. Colours are roles of `tui.themes`, theme variables or plain colours."""

    HELP = (
        "A chart. The cursor (or a click) reads values; + and - zoom around it, 0 shows the whole range; s changes the "
        "scale of y."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "Cursor left", show=False, id="chart.left"),
        Binding("right,l", "move(1)", "Cursor right", show=False, id="chart.right"),
        Binding("shift+left,H", "move(-10)", "Cursor far left", show=False, id="chart.far_left"),
        Binding("shift+right,L", "move(10)", "Cursor far right", show=False, id="chart.far_right"),
        Binding("plus,equals_sign", "zoom(1)", "Zoom in", key_display="+", show=False, id="chart.zoom_in"),
        Binding("minus", "zoom(-1)", "Zoom out", show=False, id="chart.zoom_out"),
        Binding("0", "reset", "Whole range", show=False, id="chart.reset"),
        Binding("s", "scale", "Linear, log or symlog", show=False, id="chart.scale"),
    ]
    DEFAULT_CSS = "Chart { height: 1fr; min-height: 5; }"

    @dataclass
    class CursorMoved(Message):
        """The cursor has moved to another x; None when it has been removed."""

        chart: Chart
        x: float | None

        @property
        def control(self) -> Chart:
            return self.chart

    def __init__(self, *, id: str | None = None, classes: str = "pane", y_scale: Scale = "linear") -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.y_scale: Scale = y_scale
        self.x_scale: Scale = "linear"
        self.cursor: float | None = None
        self._lines: Sequence[Line] = ()
        self._areas: Sequence[Area] = ()
        self._verticals: Sequence[tuple[float, str]] = ()
        self._x_title = ""
        self._empty = ""
        self._zoomed: tuple[float, float] | None = None
        self._strips: list[Strip] | None = None
        self._frame: Frame | None = None

    def show(
        self,
        lines: Sequence[Line],
        areas: Sequence[Area] = (),
        *,
        verticals: Sequence[tuple[float, str]] = (),
        x_title: str = "step",
        x_scale: Scale = "linear",
        empty: str = "nothing to draw yet",
    ) -> None:
        """Draw areas and lines, the last line on top. `empty` is shown if there is nothing to draw."""
        self._lines = lines
        self._areas = areas
        self._verticals = verticals
        self._x_title = x_title
        self._empty = empty
        if x_scale != self.x_scale:
            self.x_scale, self._zoomed = x_scale, None
        self.redraw()

    def redraw(self) -> None:
        """Draw again before the next frame."""
        self._strips = None
        self.refresh()

    def on_resize(self) -> None:
        self._strips = None

    def notify_style_update(self) -> None:
        self._strips = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        if self._strips is None:
            self._strips = self._draw(self.content_size)
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.content_size.width, self.rich_style)

    def _draw(self, size: Size) -> list[Strip]:
        width, height = size
        if width < 8 or height < 3:
            return []
        if not any(len(line.xs) for line in self._lines) and not self._areas:
            self._frame = None
            plain = self.rich_style + drawn_style(self.app, "axis")
            lines = wrap(self._empty, width)
            blank = Strip.blank(width, self.rich_style)
            above = [blank] * max(0, (height - len(lines) + 1) // 2)
            return [*above, *(Strip([Segment(line.center(width), plain)]) for line in lines)][:height]
        if wants_plain_text():
            self._frame = None
            return self._table(width)
        legend = self._legend(width, max(1, height // LEGEND_SHARE))
        axes = Axes(
            x_scale=self.x_scale,
            y_scale=self.y_scale,
            x_limits=self._zoomed,
            x_title=self._x_title,
            cursor=self.cursor,
            verticals=self._verticals,
        )
        self._frame = draw(self._lines, width, height - len(legend), axes, self._areas)
        base = self.rich_style
        styles: dict[str, Style] = {}
        strips = []
        for row in (*self._frame.rows, *legend):
            segments = []
            for text, colour in row:
                if colour not in styles:
                    styles[colour] = base + drawn_style(self.app, colour)
                segments.append(Segment(text, styles[colour]))
            strips.append(Strip(segments).adjust_cell_length(width, base))
        return strips

    def _table(self, width: int) -> list[Strip]:
        """Return the lines as a table, for screen readers."""
        named = [line for line in self._lines if line.name or line.sign]
        series = [
            Series(f"{line.sign} {line.name}".strip(), list(zip(line.xs, line.ys, strict=True))) for line in named
        ]
        rows = loss_table(series, x_title=self._x_title).splitlines()
        return [Strip([Segment(row, self.rich_style)]).adjust_cell_length(width, self.rich_style) for row in rows]

    def _legend(self, width: int, most: int) -> list[Cells]:
        """Return the names of the lines with their values at the cursor (or their last values), as many as fit."""
        rows: list[Cells] = [[]]
        used = 0
        for line in self._lines:
            if not line.name:
                continue
            value = self._value(line)
            sign = line.sign or ("╌" if line.dash else "━")
            text = f"{sign} {line.name} {'-' if value is None else f'{value:.3f}'}  "
            if used + len(text) > width and rows[-1]:
                if len(rows) == most:
                    rows[-1].append(("…", "axis"))
                    break
                rows.append([])
                used = 0
            rows[-1].append((text[:width], line.colour))
            used += len(text)
        if self.cursor is not None:
            rows[0].insert(0, (f"{self._x_title} {label(self.cursor, 1)}  ", "cursor"))
        return rows if rows[0] else []

    def _value(self, line: Line) -> float | None:
        """Return a line's last value at or before the cursor; without a cursor, the last of all."""
        end = len(line.xs) if self.cursor is None else bisect_right(line.xs, self.cursor)
        return next((y for y in reversed(line.ys[:end]) if not math.isnan(y)), None)

    def action_move(self, by: int) -> None:
        """Move the cursor by a number of cells. The first press puts it in the middle."""
        if self._frame is None:
            return
        if self.cursor is None:
            self._put_cursor(self._frame.x_at(self._frame.left + self._frame.width // 2))
            return
        low, high = self._frame.x_limits
        (position,) = scaled((self.cursor,), self.x_scale)
        step = (high - low) / max(1, self._frame.width - 1)
        self._put_cursor(unscaled(min(high, max(low, position + by * step)), self.x_scale))

    def action_zoom(self, way: int) -> None:
        """Halve or double the visible range of x around the cursor, or around the middle."""
        if self._frame is None:
            return
        low, high = self._frame.x_limits
        (middle,) = scaled((self.cursor,), self.x_scale) if self.cursor is not None else ((low + high) / 2,)
        half = (high - low) / 2 * (ZOOM if way > 0 else 1 / ZOOM)
        full_low, full_high = self._whole_range()
        low, high = max(full_low, middle - half), min(full_high, middle + half)
        is_whole = low <= full_low and high >= full_high
        self._zoomed = None if is_whole else (unscaled(low, self.x_scale), unscaled(high, self.x_scale))
        self.redraw()

    def action_reset(self) -> None:
        """Show the whole range and remove the cursor."""
        self._zoomed = None
        self._put_cursor(None)

    def action_scale(self) -> None:
        """Select the next scale of y."""
        self.y_scale = SCALES[(SCALES.index(self.y_scale) + 1) % len(SCALES)]
        self.border_subtitle = "" if self.y_scale == "linear" else self.y_scale
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        if self._frame is not None:
            offset = event.get_content_offset(self)
            if offset is not None and offset.x >= self._frame.left:
                self._put_cursor(self._frame.x_at(offset.x))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_zoom(1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_zoom(-1)

    def _put_cursor(self, x: float | None) -> None:
        self.cursor = None if x is None else self._nearest(x)
        self.redraw()
        self.post_message(self.CursorMoved(self, self.cursor))

    def _nearest(self, x: float) -> float:
        """Return the x of the nearest point if it is in the same cell as `x`, otherwise `x`."""
        if self._frame is None:
            return x
        low, high = self._frame.x_limits
        reach = (high - low) / max(1, self._frame.width - 1) * 0.75
        best = x
        for line in self._lines:
            index = bisect_left(line.xs, x)
            for near in line.xs[max(0, index - 1) : index + 1]:
                (here, there) = scaled((x, near), self.x_scale)
                if abs(here - there) < reach:
                    best, reach = near, abs(here - there)
        return best

    def _whole_range(self) -> tuple[float, float]:
        drawn = [entry.xs for entry in self._lines] + [entry.xs for entry in self._areas]
        ends = [end for xs in drawn if len(xs) for end in (xs[0], xs[-1])]
        positions = [position for position in scaled(ends, self.x_scale) if not math.isnan(position)]
        return (min(positions), max(positions)) if positions else (0.0, 1.0)
