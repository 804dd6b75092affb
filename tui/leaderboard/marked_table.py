"""A table whose rows can be marked: one row, a range or all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.widgets.table import Cell, Table


class MarkedTable(Table):
    """Keeps no marks itself; its messages say which rows to mark or unmark."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", id="marks.mark"),
        Binding("v", "range", "Mark a range", show=False, id="marks.range"),
        Binding("asterisk", "mark_all", "Mark all rows", key_display="*", show=False, id="marks.all"),
    ]

    @dataclass
    class Toggled(Table.Moved):
        """Mark these rows, or unmark them if all of them are marked."""

        rows: range = range(0)

    def __init__(
        self,
        cells: Callable[[int], Sequence[Cell]],
        flags: Callable[[int], str],
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(cells, self._flags_and_range, id=id)
        self._plain_flags = flags
        # The row where a range starts.
        self._anchor: int | None = None

    def leave_range(self) -> bool:
        """Cancel an open range; return whether there was one."""
        was_open = self._anchor is not None
        self._anchor = None
        self.refresh_changed()
        return was_open

    def action_mark(self) -> None:
        """Mark the open range, or mark the row and move to the next one."""
        if not self.count:
            return
        rows, row = self._range(), self.cursor
        is_single, self._anchor = self._anchor is None, None
        self.post_message(self.Toggled(self, row, rows))
        if is_single:
            self.move_to(row + 1)

    def action_range(self) -> None:
        """Start a range, or mark it."""
        if self._anchor is None:
            self._anchor = self.cursor
            self.refresh_changed()
        else:
            self.action_mark()

    def action_mark_all(self) -> None:
        self.post_message(self.Toggled(self, self.cursor, range(self.count)))

    def _range(self) -> range:
        anchor = self.cursor if self._anchor is None else self._anchor
        return range(min(anchor, self.cursor), max(anchor, self.cursor) + 1)

    def _flags_and_range(self, row: int) -> str:
        flags = self._plain_flags(row)
        return f"{flags} marked" if self._anchor is not None and row in self._range() else flags
