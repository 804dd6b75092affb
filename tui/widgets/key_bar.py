"""The bar at the bottom of every tab: the keys of the focused pane."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

# Cells between two keys.
GAP = 2


class KeyBar(Static):
    """One line of keys, which can be clicked. If they do not fit, the last keys of the pane are dropped.

    It is one widget, because one widget per key would need a new layout whenever the focus moves.
    """

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        # The column at which each key's text ends, and the key.
        self._ends: list[tuple[int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_resize(self) -> None:
        self._changed(self.screen)

    def _changed(self, screen: Screen[object]) -> None:
        if not self.is_attached or screen is not self.screen:
            return
        of_pane: dict[str, tuple[str, str, str]] = {}
        everywhere: dict[str, tuple[str, str, str]] = {}
        is_typing = isinstance(screen.focused, Input)
        for active in screen.active_bindings.values():
            binding = active.binding
            key = self.app.get_key_display(binding)
            if binding.show and not (is_typing and len(key) == 1):
                group = everywhere if active.node is self.app else of_pane
                group.setdefault(binding.action, (binding.key, key, binding.description))
        while of_pane and sum(map(_width, [*of_pane.values(), *everywhere.values()])) > self.size.width:
            of_pane.popitem()
        parts: list[str | tuple[str, str]] = []
        self._ends, end = [], 0
        for entry in (*of_pane.values(), *everywhere.values()):
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
