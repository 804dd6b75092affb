"""A table of any length. Only the visible rows are created."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from textwrap import wrap
from typing import ClassVar, Self

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.themes import drawn_style, has_shades

Cell = tuple[str, str]
"""A cell's text and its role, one of `tui.themes`; '' is plain text."""


@dataclass(frozen=True)
class Column:
    """A column. The width counts cells."""

    name: str
    heading: str
    width: int
    is_left: bool = False


class Table(ScrollView, can_focus=True):
    """Rows below a heading, with a cursor. `show` takes the columns and the number of rows; `cells` creates a row."""

    HELP = "A table. Click a heading to sort by it."
    DEFAULT_CSS = "Table { height: 1fr; overflow-x: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="table.page_down"),
        Binding("home,g", "go('first')", "First row", show=False, id="table.first"),
        Binding("end,G", "go('last')", "Last row", show=False, id="table.last"),
        Binding("enter", "open", "Open", show=False, id="table.open"),
    ]

    @dataclass
    class Moved(Message):
        """The cursor has moved to another row."""

        table: Table
        row: int

        @property
        def control(self) -> Table:
            return self.table

    @dataclass
    class Opened(Moved):
        """The user opened a row."""

    @dataclass
    class HeadingClicked(Message):
        """The user clicked on a column's heading."""

        table: Table
        column: str

        @property
        def control(self) -> Table:
            return self.table

    @dataclass
    class Resized(Message):
        """The width for the columns has changed."""

        table: Table

        @property
        def control(self) -> Table:
            return self.table

    def __init__(
        self,
        cells: Callable[[int], Sequence[Cell]],
        flags: Callable[[int], str] = lambda row: "",
        *,
        id: str | None = None,  # noqa: A002
        classes: str = "pane",
    ) -> None:
        """`cells(row)` returns a row's cells in the order of the columns, `flags(row)` the styles of the whole row."""
        super().__init__(id=id, classes=classes)
        self.cursor = 0
        self.count = 0
        self.columns: Sequence[Column] = ()
        self.sorted_by = ""
        self.empty = ""
        self._cells = cells
        self._flags = flags
        # The lines that are on screen.
        self._painted: dict[int, Strip] = {}
        # The width at the last `Resized`.
        self._width = 0

    def show(self, columns: Sequence[Column], count: int, *, cursor: int | None = None, sorted_by: str = "") -> None:
        """Show `count` rows with the cursor on one of them. Any cell may have changed."""
        self.columns, self.count, self.sorted_by = columns, count, sorted_by
        self.cursor = max(0, min(count - 1, self.cursor if cursor is None else cursor))
        size = Size(max(1, self.content_size.width), count + 1)
        if size != self.virtual_size:
            self.virtual_size = size
            # Textual scrolls in the new size only after the next layout.
            self.call_after_refresh(self._follow_cursor)
        self.refresh_changed()

    @property
    def rows_on_screen(self) -> range:
        """The rows that are visible now."""
        top = self.scroll_offset.y
        return range(top, min(self.count, top + max(0, self.content_size.height - 1)))

    def notify_style_update(self) -> None:
        self._painted.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        self._painted.clear()
        self._follow_cursor()
        if self.content_size.width != self._width:
            self._width = self.content_size.width
            self.post_message(self.Resized(self))

    def render_line(self, y: int) -> Strip:
        strip = self._painted.get(y)
        if strip is None:
            strip = self._painted[y] = self._line(y, self.rich_style)
        return strip

    def _line(self, y: int, base: Style) -> Strip:
        width = self.content_size.width
        if y == 0:
            return self._heading(base).adjust_cell_length(width, base)
        row = y - 1 + self.scroll_offset.y
        if row >= self.count:
            lines = [] if self.count else wrap(self.empty, max(10, width))
            sentence = lines[y - 2] if 2 <= y < len(lines) + 2 else ""
            return Strip([Segment(sentence, base + drawn_style(self.app, "dim"))]).adjust_cell_length(width, base)
        whole = base
        for flag in self._flags(row).split():
            whole += drawn_style(self.app, flag)
        is_here = row == self.cursor
        if is_here:
            whole += drawn_style(self.app, "here" if self.has_focus else "here_blurred")
        # Without background shades, the row of the cursor is reversed. Coloured cells would break it into pieces.
        is_plain = is_here and not has_shades(self.app)
        segments = []
        for column, (text, style) in zip(self.columns, self._cells(row), strict=True):
            padded = fit(text, column.width, column.is_left) + " "
            segments.append(Segment(padded, whole if is_plain else whole + drawn_style(self.app, style)))
        return Strip(segments).adjust_cell_length(width, whole)

    def refresh_changed(self) -> None:
        """Paint the lines that have changed."""
        base = self.rich_style
        for y in range(self.content_size.height):
            strip = self._line(y, base)
            if strip != self._painted.get(y):
                self._painted[y] = strip
                super().refresh(Region(0, y, self.size.width, 1))

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        if repaint:
            self._painted.clear()
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _heading(self, base: Style) -> Strip:
        plain, lit = base + drawn_style(self.app, "heading"), base + drawn_style(self.app, "sorted")
        return Strip(
            Segment(
                fit(column.heading, column.width, column.is_left) + " ", lit if column.name == self.sorted_by else plain
            )
            for column in self.columns
        )

    def move_to(self, row: int) -> None:
        """Put the cursor on a row."""
        row = max(0, min(self.count - 1, row))
        if row == self.cursor or not self.count:
            return
        self.cursor = row
        self._follow_cursor()
        self.refresh_changed()
        self.post_message(self.Moved(self, row))

    def _follow_cursor(self) -> None:
        """Scroll just enough to show the cursor."""
        rows = max(1, self.content_size.height - 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + rows:
            self.scroll_to(y=self.cursor - rows + 1, animate=False)

    def action_move(self, by: int) -> None:
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        self.move_to(self.cursor + by * max(1, self.content_size.height - 2))

    def action_go(self, where: str) -> None:
        self.move_to(0 if where == "first" else self.count - 1)

    def action_open(self) -> None:
        """Open the row at the cursor."""
        if self.count:
            self.post_message(self.Opened(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            start = 0
            for column in self.columns:
                if start <= offset.x <= start + column.width:
                    self.post_message(self.HeadingClicked(self, column.name))
                start += column.width + 1
        else:
            row = offset.y - 1 + self.scroll_offset.y
            if event.chain > 1 and row == self.cursor:
                self.action_open()
            elif row < self.count:
                self.move_to(row)


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the first columns, as many as fit into `width` cells."""
    ends = accumulate(column.width + 1 for column in columns)
    return [column for column, end in zip(columns, ends, strict=True) if end <= width + 1]


def fit(text: str, width: int, is_left: bool) -> str:
    """Cut or pad a text to exactly `width` cells. Its characters must have single width."""
    if len(text) > width:
        return text[: width - 1] + "…"
    return text.ljust(width) if is_left else text.rjust(width)
