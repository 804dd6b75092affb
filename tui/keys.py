"""Every key of the console, for its documentation: `python -m tui.keys docs/console.md` writes the list anew."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import format_key

import tui
from tui.app import ConsoleApp
from tui.screen import StudyScreen

START, END = "<!-- keys: begin -->\n", "<!-- keys: end -->"


def bindings() -> Iterator[tuple[str, list[Binding]]]:
    """Yield each screen and widget of the console that has keys of its own, with them."""
    yield "Everywhere", _own(ConsoleApp)
    yield "Every tab", _own(StudyScreen)
    for module_info in pkgutil.walk_packages(tui.__path__, "tui."):
        if module_info.ispkg or module_info.name.count(".") == 1:
            continue
        module = importlib.import_module(module_info.name)
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__ and issubclass(kind, DOMNode):
                own = _own(kind)
                if own:
                    yield name.removesuffix("Screen"), own


def key_list() -> str:
    """Return the list as Markdown, a table for each place."""
    parts = []
    for title, group in bindings():
        rows: dict[str | None, list[str]] = {}
        meanings: dict[str | None, str] = {}
        for binding in group:
            rows.setdefault(binding.id, []).append(_shown(binding.key))
            meanings[binding.id] = binding.tooltip or binding.description
        lines = [f"| {' '.join(keys)} | {meanings[name]} | `{name}` |" for name, keys in rows.items()]
        parts.append("\n".join([f"### {title}", "", "| Keys | What | Id |", "| --- | --- | --- |", *lines]))
    return "\n\n".join(parts) + "\n"


def _own(kind: type[DOMNode]) -> list[Binding]:
    found: dict[str | None, Binding] = {}
    for binding in Binding.make_bindings(vars(kind).get("BINDINGS", [])):
        known = found.get(binding.id)
        key = f"{known.key},{binding.key}" if known else binding.key
        found[binding.id] = binding.with_key(key)
    return list(found.values())


def _shown(keys: str) -> str:
    names = {"left_square_bracket": "[", "right_square_bracket": "]", "equals_sign": "="}
    shown = [f"`{names.get(key) or format_key(key)}`" for key in keys.split(",")]
    return " ".join(shown).replace("|", "\\|")


def main() -> None:
    """Write the list into a page between its two marks."""
    path = Path(sys.argv[1])
    before, _, rest = path.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{START}\n{key_list()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
