"""A question before an action that cannot be undone."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label

from tui.terminal import literal


class ConfirmScreen(ModalScreen[bool]):
    """Returns True if the user agreed."""

    HELP = "A question. Enter chooses the highlighted answer."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer(False)", "No", id="confirm.no"),
        Binding("y", "answer(True)", "Yes", id="confirm.yes"),
        Binding("left,h", "app.focus_previous", "Switch", show=False, id="confirm.left"),
        Binding("right,l", "app.focus_next", "Switch", show=False, id="confirm.right"),
    ]

    def __init__(self, question: str, consequence: str, action: str) -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence
        self._action = action

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = literal(self._question)
            yield Label(self._consequence, markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no")
                yield Button(self._action, id="yes", variant="warning")

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, agreed: bool) -> None:
        self.dismiss(agreed)
