"""Bars with their intervals, and what is to be said about them."""

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
    """An answer; `show` takes it, `say` a sentence instead."""

    HELP = "Which hyperparameters mattered. Those that vary together are one bar: their effects cannot be told apart."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_by(1)", "Down", show=False, id="bars.down"),
        Binding("k,up", "scroll_by(-1)", "Up", show=False, id="bars.up"),
        Binding("g,home", "scroll_home", "Top", show=False, id="bars.top"),
        Binding("G,end", "scroll_end", "Bottom", show=False, id="bars.bottom"),
    ]
    DEFAULT_CSS = "Bars Static { height: auto; }"

    def compose(self) -> ComposeResult:
        yield Static()

    def on_mount(self) -> None:
        self._answer: Answer | None = None

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
    """Return a bar a factor, each with its interval or its parts below, then what the bars mean and the notes.

    Bars lie apart where `height` has the room.
    """
    if not answer.bars:
        return Content.styled(f"{inert(answer.problem)}.", "$text-muted")
    name_cells = min(NAME_CELLS, width * 2 // 5, max(len(bar.name) for bar in answer.bars))
    room = max(4, width - name_cells - VALUE_CELLS - 1)
    ends = [end for bar in answer.bars for end in (bar.value, bar.low, bar.high) if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    slope = (room - 1) / (high - low) if high > low else 0.0
    zero = round(-low * slope)  # left of it is what shuffling made better
    is_spacious = 2 * len(answer.bars) + 4 <= height
    parts: list[Part] = []
    for bar in answer.bars:
        name = inert(bar.name)
        name = name if len(name) <= name_cells else f"{name[: name_cells - 1]}…"
        parts += [f"{name:<{name_cells}} ", " " * zero, (f"{_bar(bar.value * slope):<{room - zero}}", "$primary")]
        parts += [(f"{bar.value:>{VALUE_CELLS}.3f}", "bold"), "\n"]
        below = _below(bar, name_cells + 1, zero, slope)
        parts += [*below, "\n"] if below or is_spacious else []
    parts.append((inert(answer.meaning), "$text-muted"))
    parts += [(f"\n· {inert(note)}", "$text-muted") for note in answer.notes]
    return Content.assemble(*parts)


def _bar(cells: float) -> str:
    """Return a bar in eighths of a cell; nothing for what is below zero."""
    full, rest = divmod(max(0, round(8 * cells)), 8) if math.isfinite(cells) else (0, 0)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def _below(bar: Share, left: int, zero: int, slope: float) -> Sequence[Part]:
    """Return the line under a bar: the interval, or the parts, or nothing."""
    if bar.low is not None and bar.high is not None:
        start, end = round(bar.low * slope), round(bar.high * slope)
        line = f"├{'─' * (end - start - 1)}┤" if end > start else "│"
        return [" " * (left + zero + start), (line, "$accent")]
    told = " + ".join(f"{name} {value:.3f}" for name, value in bar.parts)
    return [" " * left, (inert(told), "$text-muted")] if told else []
