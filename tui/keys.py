"""The list of all keys for the documentation. `python -m tui.keys docs/console.md` updates it."""

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
    """Yield each screen and widget that has keys, with these keys."""
    yield "Everywhere", _bindings_of(ConsoleApp)
    yield "Every tab", _bindings_of(StudyScreen)
    for module_info in pkgutil.walk_packages(tui.__path__, "tui."):
        if module_info.ispkg or module_info.name.count(".") == 1:
            continue
        module = importlib.import_module(module_info.name)
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ != module.__name__ or not issubclass(kind, DOMNode):
                continue
            if group := _bindings_of(kind):
                yield name.removesuffix("Screen"), group


def key_list() -> str:
    """Return the keys as Markdown, one table per screen or widget."""
    parts = []
    for title, group in bindings():
        rows: dict[str | None, list[str]] = {}
        meanings: dict[str | None, str] = {}
        for binding in group:
            rows.setdefault(binding.id, []).append(_key_names(binding.key))
            meanings[binding.id] = binding.tooltip or binding.description
        lines = [f"| {' '.join(keys)} | {meanings[name]} | `{name}` |" for name, keys in rows.items()]
        parts.append("\n".join([f"### {title}", "", "| Keys | Action | Id |", "| --- | --- | --- |", *lines]))
    return "\n\n".join(parts) + "\n"


def _bindings_of(kind: type[DOMNode]) -> list[Binding]:
    """Return the class's own bindings; several bindings with one id become one with all their keys."""
    merged: dict[str | None, Binding] = {}
    for binding in Binding.make_bindings(vars(kind).get("BINDINGS", [])):
        earlier = merged.get(binding.id)
        merged[binding.id] = binding.with_key(f"{earlier.key},{binding.key}" if earlier else binding.key)
    return list(merged.values())


def _key_names(keys: str) -> str:
    names = {"left_square_bracket": "[", "right_square_bracket": "]", "equals_sign": "="}
    displayed = [f"`{names.get(key) or format_key(key)}`" for key in keys.split(",")]
    return " ".join(displayed).replace("|", "\\|")


def main() -> None:
    """Write the list into a page, between its two markers."""
    path = Path(sys.argv[1])
    before, _, rest = path.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{START}\n{key_list()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
