"""The bar below every tab: the keys of where the focus is."""

from __future__ import annotations

from rich.markup import escape
from textual.screen import Screen
from textual.widgets import Input, Static

GAP = 2  # cells between two keys


class KeyBar(Static):
    """One line of text, because a widget for each key would be a new layout each time the focus moves.

    The keys can be clicked. Where they do not all fit, the last of the pane go, those of everywhere stay.
    """

    ALLOW_SELECT = False

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_resize(self) -> None:
        self._changed(self.screen)

    def _changed(self, screen: Screen[object]) -> None:
        if not self.is_attached or screen is not self.screen:
            return
        own: dict[str, str] = {}
        everywhere: dict[str, str] = {}
        widths: dict[str, int] = {}
        is_typing = isinstance(screen.focused, Input)
        for active in screen.active_bindings.values():
            binding = active.binding
            key = self.app.get_key_display(binding)
            if binding.show and binding.action not in widths and not (is_typing and len(key) == 1):
                group = everywhere if active.node is self.app else own
                group[binding.action] = (
                    f"[@click=app.simulate_key('{binding.key}')][$accent bold]{escape(key)}[/] {binding.description}[/]"
                )
                widths[binding.action] = len(key) + 1 + len(binding.description) + GAP
        while own and sum(widths.values()) > self.size.width:
            del widths[own.popitem()[0]]
        self.update(" " + (" " * GAP).join([*own.values(), *everywhere.values()]), layout=False)
