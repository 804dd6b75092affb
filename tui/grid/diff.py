"""The dialog that shows the changes to the study file before they are saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from litegpt.display import inert
from tui.terminal import literal

STYLES = {"+": "$success", "-": "$error", "@": "$accent"}


class DiffScreen(ModalScreen[bool]):
    """Returns True if the user wants to save."""

    HELP = "The lines of the study file that change. Finished trials keep their results."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,ctrl+s,y", "answer(True)", "Save", id="diff.save"),
        Binding("escape,n,q", "answer(False)", "Back to the editor", id="diff.back"),
        Binding("j,down", "scroll(1)", "Down", show=False, id="diff.down"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="diff.up"),
    ]

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._file = name
        self._lines = lines

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog diff") as box:
            box.border_title = literal(f"Save {inert(self._file)}?")
            box.border_subtitle = "enter saves · esc returns to the editor"
            with VerticalScroll(can_focus=False):
                parts = [(inert(line) + "\n", STYLES.get(line[:1], "$text-muted")) for line in self._lines[2:]]
                yield Static(Content.assemble(*parts))

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_answer(self, agreed: bool) -> None:
        self.dismiss(agreed)
