"""Bars with their intervals, their meaning and notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from litegpt.display import inert
from tui.importance.answers import Answer, Share

NAME_CELLS = 28
VALUE_CELLS = 7
Part = str | tuple[str, str] | Content


class Bars(VerticalScroll):
    """Shows an answer as bars, or a sentence instead."""

    HELP = (
        "Which hyperparameters mattered. Hyperparameters that vary together share a bar, because their effects cannot "
        "be separated."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_by(1)", "Down", show=False, id="bars.down"),
        Binding("k,up", "scroll_by(-1)", "Up", show=False, id="bars.up"),
        Binding("g,home", "scroll_home", "Top", show=False, id="bars.top"),
        Binding("G,end", "scroll_end", "Bottom", show=False, id="bars.bottom"),
    ]
    DEFAULT_CSS = "Bars Static { height: auto; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._answer: Answer | None = None

    def compose(self) -> ComposeResult:
        yield Static()

    def show(self, answer: Answer) -> None:
        self._answer = answer
        self.query_one(Static).update(
            bars_content(answer, max(20, self.content_size.width - 1), self.content_size.height)
        )

    def on_resize(self) -> None:
        if self._answer is not None:
            self.show(self._answer)

    def say(self, sentence: str) -> None:
        self._answer = None
        self.query_one(Static).update(Content.styled(sentence, "$text-muted"))

    def action_scroll_by(self, lines: int) -> None:
        self.scroll_relative(y=lines, animate=False)


def bars_content(answer: Answer, width: int, height: int) -> Content:
    """Return one bar per factor, each with its interval or parts below, then the meaning and the notes.

    Leaves a blank line between bars if `height` allows it.
    """
    if not answer.bars:
        return Content.styled(f"{inert(answer.problem)}.", "$text-muted")
    name_cells = min(NAME_CELLS, width * 2 // 5, max(len(bar.name) for bar in answer.bars))
    bar_cells = max(4, width - name_cells - VALUE_CELLS - 1)
    ends = [end for bar in answer.bars for end in (bar.value, bar.low, bar.high) if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    slope = (bar_cells - 1) / (high - low) if high > low else 0.0
    # Left of zero are hyperparameters whose shuffling improved the forest.
    zero = round(-low * slope)
    is_spacious = 2 * len(answer.bars) + 4 <= height
    parts: list[Part] = []
    for bar in answer.bars:
        name = inert(bar.name)
        name = name if len(name) <= name_cells else f"{name[: name_cells - 1]}…"
        parts += [f"{name:<{name_cells}} ", " " * zero, (f"{_bar(bar.value * slope):<{bar_cells - zero}}", "$primary")]
        parts += [(f"{bar.value:>{VALUE_CELLS}.3f}", "bold"), "\n"]
        below = _below(bar, name_cells + 1, zero, slope)
        parts += [*below, "\n"] if below or is_spacious else []
    parts.append((inert(answer.meaning), "$text-muted"))
    parts += [(f"\n· {inert(note)}", "$text-muted") for note in answer.notes]
    return Content.assemble(*parts)


def _bar(cells: float) -> str:
    """Return a bar in eighths of a cell, empty for negative values."""
    full, rest = divmod(max(0, round(8 * cells)), 8) if math.isfinite(cells) else (0, 0)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def _below(bar: Share, left: int, zero: int, slope: float) -> Sequence[Part]:
    """Return the line below a bar: its interval, its parts, or nothing."""
    if bar.low is not None and bar.high is not None:
        start, end = round(bar.low * slope), round(bar.high * slope)
        line = f"├{'─' * (end - start - 1)}┤" if end > start else "│"
        return [" " * (left + zero + start), (line, "$accent")]
    parts = " + ".join(f"{name} {value:.3f}" for name, value in bar.parts)
    return [" " * left, (inert(parts), "$text-muted")] if parts else []
