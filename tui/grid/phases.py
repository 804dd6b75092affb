"""The list of a study file's phases with their numbers of trials."""

from __future__ import annotations

from collections.abc import Sequence

from litegpt.display import inert
from tui.grid.preview import StudyPreview
from tui.grid.text import trials_text
from tui.widgets.table import Cell, Column, Table

TRIALS, DONE = Column("trials", "trials", 9), Column("done", "done", 7)
# The least width of the names.
NAME_WIDTH = 6


class PhaseList(Table):
    """One row per phase; a narrow screen has no column of finished trials."""

    HELP = "The phases in the order of the file, with the number of trials and how many of them have results."

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(self._row, id=id)
        self.names: Sequence[str] = ()
        self._preview: StudyPreview | None = None

    def show_phases(self, names: Sequence[str], cursor: int | None = None) -> None:
        """Show these phases."""
        self.names = names
        self._arrange(cursor)

    def show_preview(self, preview: StudyPreview) -> None:
        """Show the numbers of trials."""
        self._preview = preview
        self.refresh_changed()

    def on_table_resized(self) -> None:
        self._arrange(None)

    def _arrange(self, cursor: int | None) -> None:
        width = self.content_size.width
        numbers = [TRIALS, DONE] if width > NAME_WIDTH + TRIALS.width + DONE.width + 1 else [TRIALS]
        name_width = max(NAME_WIDTH, width - sum(column.width + 1 for column in numbers) - 1)
        self.show([Column("name", "phase", name_width, is_left=True), *numbers], len(self.names), cursor=cursor)

    def _row(self, row: int) -> list[Cell]:
        phases = self._preview.phases if self._preview else ()
        trials, done = ("", "")
        if row < len(phases):
            trials, done = trials_text(phases[row]), f"{phases[row].done:,}" if phases[row].done else ""
        cells: list[Cell] = [(inert(self.names[row]), "strong"), (trials, ""), (done, "good")]
        return cells[: len(self.columns)]
