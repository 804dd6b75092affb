"""The bar below every tab: the keys of where the focus is."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

GAP = 2  # cells between two keys


class KeyBar(Static):
    """One line of text, because a widget for each key would be a new layout each time the focus moves.

    The keys can be clicked. Where they do not all fit, the last of the pane go, those of everywhere stay.
    """

    ALLOW_SELECT = False

    def on_mount(self) -> None:
        self._ends: list[tuple[int, str]] = []  # where each key's text ends, and the key
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_resize(self) -> None:
        self._changed(self.screen)

    def _changed(self, screen: Screen[object]) -> None:
        if not self.is_attached or screen is not self.screen:
            return
        own: dict[str, tuple[str, str, str]] = {}
        everywhere: dict[str, tuple[str, str, str]] = {}
        is_typing = isinstance(screen.focused, Input)
        for active in screen.active_bindings.values():
            binding = active.binding
            shown = self.app.get_key_display(binding)
            if binding.show and not (is_typing and len(shown) == 1):
                group = everywhere if active.node is self.app else own
                group.setdefault(binding.action, (binding.key, shown, binding.description))
        while own and sum(map(_width, [*own.values(), *everywhere.values()])) > self.size.width:
            own.popitem()
        parts: list[str | tuple[str, str]] = []
        self._ends, end = [], 0
        for entry in (*own.values(), *everywhere.values()):
            key, shown, description = entry
            parts += [" ", (shown, "bold $accent"), f" {description} "]
            end += _width(entry)
            self._ends.append((end, key))
        self.update(Content.assemble(*parts), layout=False)

    def on_click(self, event: events.Click) -> None:
        for end, key in self._ends:
            if event.x < end:
                self.app.simulate_key(key)
                return


def _width(entry: tuple[str, str, str]) -> int:
    return len(entry[1]) + 1 + len(entry[2]) + GAP
