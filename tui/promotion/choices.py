"""A short form. Each line is a choice, or a whole number that is typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static


@dataclass
class Choice:
    """One line. Without options it is a whole number of at least 1."""

    label: str
    value: str
    options: Sequence[str] = ()
    note: str = ""

    @property
    def number(self) -> int:
        """The typed number; 1 for an empty line."""
        return max(1, int(self.value or 1))


class Choices(Static, can_focus=True):
    """The lines, with a cursor. The dialog reads `choices` after `Changed`."""

    HELP = "Up and down select the line, left and right its value. Type numbers."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Line up", show=False, id="choices.up"),
        Binding("down,j", "move(1)", "Line down", show=False, id="choices.down"),
        Binding("left,h", "turn(-1)", "Previous value", show=False, id="choices.before"),
        Binding("right,l,space", "turn(1)", "Next value", show=False, id="choices.next"),
        Binding("backspace", "erase", "Erase a digit", show=False, id="choices.erase"),
        *(Binding(digit, f"type('{digit}')", "Type a number", show=False, id="choices.type") for digit in "0123456789"),
    ]

    class Changed(Message):
        """A value has changed."""

    def __init__(self, choices: Sequence[Choice], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.choices = choices
        self._row = 0
        # The first digit replaces the old number.
        self._is_fresh = True

    def on_mount(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Draw the lines."""
        label_width = max(len(choice.label) for choice in self.choices)
        parts: list[str | tuple[str, str]] = []
        for row, choice in enumerate(self.choices):
            is_here = row == self._row
            parts.append((f"{choice.label:<{label_width}}  ", "bold $primary" if is_here else "$text-muted"))
            left, right = ("◂ ", " ▸") if is_here else ("  ", "  ")
            parts += [
                (left, "$accent"),
                (choice.value or " ", "bold reverse" if is_here else "bold"),
                (right, "$accent"),
            ]
            parts += [(f" {choice.note}", "$text-muted"), "\n"]
        self.update(Content.assemble(*parts[:-1]))

    def action_move(self, by: int) -> None:
        self._row = (self._row + by) % len(self.choices)
        self._is_fresh = True
        self.draw()

    def action_turn(self, by: int) -> None:
        """Select the next option, or count up."""
        choice = self.choices[self._row]
        if choice.options:
            index = choice.options.index(choice.value)
            self._set(choice.options[(index + by) % len(choice.options)])
        else:
            self._set(str(max(1, choice.number + by)))

    def action_erase(self) -> None:
        choice = self.choices[self._row]
        if not choice.options:
            self._is_fresh = False
            self._set(choice.value[:-1])

    def action_type(self, digit: str) -> None:
        choice = self.choices[self._row]
        if not choice.options:
            self._set((("" if self._is_fresh else choice.value) + digit)[:9].lstrip("0"))
            self._is_fresh = False

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y < len(self.choices):
            if self._row == offset.y:
                self.action_turn(1)
            self._row = offset.y
            self.draw()

    def _set(self, value: str) -> None:
        self.choices[self._row].value = value
        self.draw()
        self.post_message(self.Changed())
