"""The dialog that chooses the leaderboard's columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import SelectionList
from textual.widgets.selection_list import Selection


class ColumnsScreen(ModalScreen[list[str] | None]):
    """A list of all columns. Returns the names of the hidden ones."""

    HELP = "The columns of the leaderboard. A narrow screen shows only those that fit."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,c,q", "close", "Done", id="columns.close"),
        Binding("j", "move(1)", "Down", show=False, id="columns.down"),
        Binding("k", "move(-1)", "Up", show=False, id="columns.up"),
    ]

    def __init__(self, names: Iterable[str], hidden: set[str]) -> None:
        super().__init__()
        self._names = list(names)
        self._hidden = hidden

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Columns"
            box.border_subtitle = "space or enter shows or hides a column · esc closes"
            yield SelectionList(*(Selection(name, name, name not in self._hidden) for name in self._names))

    def action_move(self, by: int) -> None:
        choices: SelectionList[str] = self.query_one(SelectionList)
        if by > 0:
            choices.action_cursor_down()
        else:
            choices.action_cursor_up()

    def action_close(self) -> None:
        chosen: SelectionList[str] = self.query_one(SelectionList)
        visible = set(chosen.selected)
        # Columns of other phases are not listed here, and stay hidden.
        unlisted = self._hidden - set(self._names)
        self.dismiss(sorted(unlisted | {name for name in self._names if name not in visible}))
