"""The phases of a study file, with the trials they come to."""

from __future__ import annotations

from collections.abc import Sequence

from litegpt.display import inert
from tui.grid.preview import Preview
from tui.grid.text import trials_text
from tui.widgets.table import Cell, Column, Table

TRIALS, DONE = Column("trials", "trials", 9), Column("done", "done", 7)
NAME_WIDTH = 6  # at least


class PhaseList(Table):
    """A row a phase; on a narrow screen what is done already is left out."""

    HELP = "The phases in the order of the file; the trials they come to, and how many of them are done already."

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(self._row, id=id)
        self.names: Sequence[str] = ()
        self._preview: Preview | None = None

    def show_phases(self, names: Sequence[str], cursor: int | None = None) -> None:
        """Show the phases of these names."""
        self.names = names
        self._arrange(cursor)

    def show_preview(self, preview: Preview) -> None:
        """Show what the phases come to."""
        self._preview = preview
        self.refresh_changed()

    def on_table_resized(self) -> None:
        self._arrange(None)

    def _arrange(self, cursor: int | None) -> None:
        room = self.content_size.width
        numbers = [TRIALS, DONE] if room > NAME_WIDTH + TRIALS.width + DONE.width + 1 else [TRIALS]
        name = max(NAME_WIDTH, room - sum(column.width + 1 for column in numbers) - 1)
        self.show([Column("name", "phase", name, is_left=True), *numbers], len(self.names), cursor=cursor)

    def _row(self, row: int) -> list[Cell]:
        phases = self._preview.phases if self._preview else ()
        trials, done = ("", "")
        if row < len(phases):
            trials, done = trials_text(phases[row]), f"{phases[row].done:,}" if phases[row].done else ""
        cells: list[Cell] = [(inert(self.names[row]), "strong"), (trials, ""), (done, "good")]
        return cells[: len(self.columns)]
