"""Previews made in a thread while the user types, one at a time, always of the latest text."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from textual.dom import DOMNode
from textual.message import Message

from litegpt.results.state import StudyState
from tui.grid.preview import Preview, Previewer

WAIT_SECONDS = 0.05  # a key that follows at once makes the preview of the one before needless
NEWS_SECONDS = 2.0  # trials that end bring a new preview no more often than this


class Estimates:
    """The latest preview, and the one that is being made."""

    @dataclass
    class Made(Message):
        """A preview is there."""

        text: str
        preview: Preview

    def __init__(self, path: Path) -> None:
        self.latest: Preview | None = None
        self._previewer = Previewer(path)
        self._wanted: tuple[str, StudyState] | None = None
        self._shown: tuple[str, StudyState] | None = None
        self._is_busy = False
        self._seconds = 0.0
        self._made_at = 0.0

    def want(self, node: DOMNode, text: str, state: StudyState, *, is_news: bool) -> None:
        """Have a preview made of a text; `node` is told with `Made`, and hands it to `take`."""
        if self._shown is not None and text == self._shown[0]:
            is_early = time.monotonic() - self._made_at < max(NEWS_SECONDS, 10 * self._seconds)
            if state is self._shown[1] or (is_news and is_early):
                self._wanted = None
                return
        self._wanted = (text, state)
        node.set_timer(WAIT_SECONDS, lambda: self._start(node, text))

    def take(self, node: DOMNode, made: Made) -> bool:
        """Take a preview in; return whether it is to be shown."""
        self._is_busy, self._made_at = False, time.monotonic()
        if self._wanted is not None and made.text != self._wanted[0]:
            self._start(node, self._wanted[0])
            return False
        self.latest, self._wanted = made.preview, None
        return True

    def _start(self, node: DOMNode, text: str) -> None:
        wanted = self._wanted
        if self._is_busy or wanted is None or wanted[0] != text:
            return
        self._is_busy, self._shown = True, wanted
        node.run_worker(lambda: self._make(node, *wanted), thread=True, group="estimate")

    def _make(self, node: DOMNode, text: str, state: StudyState) -> None:
        begun = time.monotonic()
        preview = self._previewer.preview(text, state)
        self._seconds = time.monotonic() - begun
        node.post_message(self.Made(text, preview))
