"""The help dialog: the keys of the focused pane."""

from __future__ import annotations

from typing import ClassVar

from rich.markup import escape
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Static


class HelpScreen(ModalScreen[None]):
    """The purpose of the focused pane, and the keys that work there, its own keys first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,f1", "dismiss", "Close", id="help.close"),
        Binding("j,down", "scroll(1)", "Down", show=False, id="help.down"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="help.up"),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    @classmethod
    def of(cls, screen: Screen[object]) -> HelpScreen:
        """Return the help for the focused pane of a screen."""
        focused: DOMNode = screen.focused or screen
        parts = [f"[bold]{escape(_title(focused))}[/]"]
        parts += [escape(text.strip()) for node in focused.ancestors_with_self if (text := getattr(node, "HELP", None))]
        sections: dict[DOMNode, dict[str, list[str]]] = {}
        meanings: dict[str, str] = {}
        for key, active in screen.active_bindings.items():
            binding = active.binding
            # Bindings without an id are Textual's own.
            if binding.id is not None:
                sections.setdefault(active.node, {}).setdefault(binding.id, []).append(key)
                meanings.setdefault(binding.id, binding.tooltip or binding.description)
        for node, group in sections.items():
            lines = [f"[$text-muted]{escape(_title(node))}[/]"]
            for name, keys in group.items():
                displayed = " ".join(screen.app.get_key_display(Binding(key, "")) for key in sorted(keys, key=len)[:3])
                lines.append(f"  [$accent]{escape(displayed):<14}[/] {escape(meanings[name])}")
            parts.append("\n".join(lines))
        return cls("\n\n".join(parts))

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as box:
            box.border_title = "Help"
            yield Static(self._text)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def _title(node: DOMNode) -> str:
    title = getattr(node, "border_title", None) or getattr(node, "HELP_TITLE", None)
    if title:
        return str(title)
    return "Everywhere" if node.parent is None else type(node).__name__.removesuffix("Screen")
