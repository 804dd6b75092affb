"""A phase's entries as a table. The input line for an entry is drawn over the entry's row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input

from litegpt.display import inert
from litegpt.study.edit.entries import Entry, EntryAddress, Kind
from litegpt.study.edit.typed import typed_assignment
from litegpt.study.trial import HYPERPARAMETERS
from tui.terminal import literal
from tui.widgets.table import Cell, Column, Table

TITLES: dict[Kind, str] = {
    "phase": "set",
    "promote": "promotion",
    "grid": "axis",
    "exclude": "exclude",
    "trial": "trial",
    "defaults": "default",
}
ROLES: dict[Kind, str] = {"grid": "accent", "exclude": "warn", "defaults": "dim", "promote": "good"}
NAME, KIND, COUNT = 17, 9, 3
NARROW, NARROW_NAME = 60, 13


class EntryInput(Input):
    """The input line. Escape restores the entry."""

    HELP = (
        "Values: 1e-3, 3e-3 · 1..6 · log(6e-5, 6e-4, 7) · lin(1, 5, 5). A default or a fixed value may be arithmetic "
        "on other hyperparameters: n_embd // 64. An exclusion is a combination: n_layer = 2, n_embd = 64. Enter "
        "accepts the entry, esc restores it."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", tooltip="Complete the name, or accept the entry", id="entry.complete"),
        Binding("escape", "leave", "Cancel", id="entry.leave"),
    ]

    class Left(Message):
        """The user cancelled the input."""

    async def action_complete(self) -> None:
        """Accept the suggested name; without a suggestion, accept the entry as enter does."""
        before = self.value
        if self.cursor_at_end:
            self.action_cursor_right()
        if self.value == before:
            await self.action_submit()

    def action_leave(self) -> None:
        self.post_message(self.Left())


class Entries(Vertical):
    """The entries of a phase. It edits nothing itself; its messages say what the user types, and for which entry."""

    ALLOW_MAXIMIZE = True

    @dataclass
    class Typing(Message):
        """The line changed. `is_taken`: the user accepts it; `is_left`: by moving the focus away."""

        address: EntryAddress
        text: str
        is_taken: bool = False
        is_left: bool = False

        def addressed(self) -> tuple[EntryAddress, str]:
            """Return the entry and its value. A new entry is typed as `name = value`. InputError: there is no name."""
            if self.address.name or self.address.kind in ("exclude", "trial"):
                return self.address, self.text
            name, value = typed_assignment(self.text)
            return EntryAddress(self.address.kind, name), value

    class Closed(Message):
        """The line was closed without an edit."""

    def __init__(self) -> None:
        super().__init__(id="grid-right", classes="pane")
        self._entries: Sequence[Entry] = ()
        # The entry that is being typed.
        self._address: EntryAddress | None = None
        self._row = 0

    def compose(self) -> ComposeResult:
        yield Table(self._cells, id="grid-entries", classes="")
        yield EntryInput(id="grid-entry", compact=True, select_on_focus=False)

    @property
    def table(self) -> Table:
        return self.query_one("#grid-entries", Table)

    @property
    def entry(self) -> Entry | None:
        """The entry under the cursor."""
        return self._entries[self.table.cursor] if self.table.cursor < len(self._entries) else None

    @property
    def is_typing(self) -> bool:
        return self._address is not None

    @property
    def _name_width(self) -> int:
        return NAME if self.table.content_size.width >= NARROW else NARROW_NAME

    def show(self, entries: Sequence[Entry], empty: str, cursor: EntryAddress | None = None) -> None:
        """Show a phase's entries, and move the cursor to one of them."""
        self._entries = entries
        addresses = [entry.address for entry in entries]
        self.table.empty = empty
        self._arrange(addresses.index(cursor) if cursor in addresses else None)
        self._show_help()

    def on_table_resized(self) -> None:
        self._arrange(None)
        self._lay_line()

    def edit(self, address: EntryAddress, text: str) -> None:
        """Open the line for an entry: on its row, or for a new entry on a new row at the end."""
        addresses = [entry.address for entry in self._entries]
        self._address = address
        self._row = addresses.index(address) if address in addresses else len(addresses)
        self._arrange(min(self._row, len(addresses)))
        line = self.query_one(EntryInput)
        is_named = address in addresses or address.kind in ("exclude", "trial")
        line.suggester = None if is_named else SuggestFromList([f"{name} = " for name in HYPERPARAMETERS])
        line.placeholder = "" if address in addresses else _placeholder(address.kind)
        line.value = text
        line.cursor_position = len(text)
        line.add_class("-open")
        line.remove_class("-wrong")
        self._lay_line()
        line.focus()

    def close(self, *, refocus: bool = True) -> None:
        """Hide the line, and focus the table if `refocus`."""
        self._address = None
        self.query_one(EntryInput).remove_class("-open")
        self._arrange(None)
        if refocus:
            self.table.focus()

    def mark_wrong(self, is_wrong: bool) -> None:
        """Show the line in red if its text is wrong."""
        self.query_one(EntryInput).set_class(is_wrong, "-wrong")

    def _arrange(self, cursor: int | None) -> None:
        value = max(12, self.table.content_size.width - self._name_width - KIND - COUNT - 4)
        columns = [
            Column("kind", "", KIND, is_left=True),
            Column("name", "name", self._name_width, is_left=True),
            Column("value", "values", value, is_left=True),
            Column("count", "#", COUNT),
        ]
        is_new = self._address is not None and self._row >= len(self._entries)
        self.table.show(columns, len(self._entries) + is_new, cursor=cursor)

    def _lay_line(self) -> None:
        """Move the line over its row. The line for a new entry also covers the name."""
        if self._address is None:
            return
        table, line = self.table, self.query_one(EntryInput)
        is_new = self._row >= len(self._entries)
        left = KIND + 1 + (0 if is_new else self._name_width + 1)
        line.styles.offset = (left, 1 + self._row - int(table.scroll_offset.y))
        line.styles.width = max(10, table.content_size.width - left - (0 if is_new else COUNT + 1))

    def _cells(self, row: int) -> list[Cell]:
        if row >= len(self._entries):
            address = self._address or EntryAddress("grid")
            return [(TITLES[address.kind], ROLES.get(address.kind, "")), ("", ""), ("", ""), ("", "")]
        entry = self._entries[row]
        kind = entry.address.kind
        count = str(entry.count) if kind == "grid" else ""
        role = "dim" if kind == "defaults" else ""
        name = inert(entry.address.name)
        return [
            (TITLES[kind], ROLES.get(kind, "")),
            (name, role or "strong"),
            (inert(entry.text), role),
            (count, "dim"),
        ]

    @on(Table.Moved, "#grid-entries")
    def _moved(self) -> None:
        if self.is_typing:
            self._row_left()
        self._show_help()

    def _show_help(self) -> None:
        """Explain the hyperparameter under the cursor in the border."""
        known = HYPERPARAMETERS.get(self.entry.address.name) if self.entry else None
        self.border_subtitle = literal(known.plain_help) if known else ""

    def _row_left(self) -> None:
        self.close()
        self.post_message(self.Closed())

    @on(EntryInput.Left)
    def _left(self) -> None:
        self._row_left()

    @on(Input.Changed, "#grid-entry")
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._address is not None:
            self.post_message(self.Typing(self._address, event.value))

    @on(Input.Submitted, "#grid-entry")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._address is not None:
            self.post_message(self.Typing(self._address, event.value, is_taken=True))

    @on(Input.Blurred, "#grid-entry")
    def _blurred(self, event: Input.Blurred) -> None:
        """Accept the entry when the user clicks elsewhere. When the terminal itself loses the focus, keep typing."""
        event.stop()
        if self._address is not None and self.app.app_focus:
            self.post_message(self.Typing(self._address, event.value, is_taken=True, is_left=True))


def _placeholder(kind: Kind) -> str:
    if kind == "grid":
        return "learning_rate = 6e-5, 1e-4 or log(6e-5, 6e-4, 7)"
    if kind in ("exclude", "trial"):
        return "n_layer = 2, n_embd = 64"
    return "dropout = 0.1, or n_head = n_embd // 64"
