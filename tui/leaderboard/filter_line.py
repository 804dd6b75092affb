"""The input line for a filter of trials."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message
from textual.widgets import Input

from litegpt.analysis.query import Query, parse_query
from litegpt.display import inert
from litegpt.errors import InputError


class FilterLine(Input):
    """Visible while there is a filter or one is typed. A filter takes effect as soon as it is valid."""

    HELP = (
        "lr>=3e-4 · n_layer:2,4 · lr:1e-4..3e-4 · state:done · -batch_size:32 · a word of the phase or the trial · "
        "@500 to show the ranking as of step 500. All terms must match. Enter returns to the table; esc in the table "
        "removes the filter."
    )

    @dataclass
    class Filtered(Message):
        """The filter has changed. With a `problem` the typed text is invalid, and the last valid filter stays."""

        query: Query
        text: str
        problem: str | None = None

    def __init__(self, text: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(text, placeholder="lr>=3e-4 n_layer:4 state:done -batch_size:32 @500", id=id, compact=True)
        self.query_typed = Query()
        self._read(text)
        self.set_class(bool(text), "-open")

    def open(self) -> None:
        """Show the line and focus it."""
        self.add_class("-open")
        self.focus()

    def clear_filter(self) -> bool:
        """Remove the filter; return whether the line was visible."""
        was_open = self.has_class("-open")
        self.value = ""
        self.remove_class("-open")
        return was_open

    def _read(self, text: str) -> str | None:
        try:
            self.query_typed = parse_query(text)
        except InputError as error:
            return inert(str(error))
        return None

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        problem = self._read(event.value)
        self.set_class(problem is not None, "-wrong")
        self.post_message(self.Filtered(self.query_typed, event.value, problem))

    def on_input_submitted(self) -> None:
        self.set_class(bool(self.value.strip()), "-open")
