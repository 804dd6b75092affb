"""Computing in a thread while the user types: one result at a time, always for the latest question."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from textual.dom import DOMNode
from textual.message import Message

# Keys that follow at once are answered together.
WAIT_SECONDS = 0.05

Question = TypeVar("Question")
Result = TypeVar("Result")


class Latest(Generic[Question, Result]):
    """The latest result. All methods belong to the screen's thread.

    `compute` runs in a thread and must not touch widgets. The node receives `Ready` after each result. A question that
    is replaced before its turn is never computed.
    """

    @dataclass
    class Ready(Message):
        """There is a new result. If `latest.is_waiting`, it answers an earlier question than the last one."""

        latest: Latest[Any, Any]

    def __init__(self, node: DOMNode, compute: Callable[[Question], Result]) -> None:
        self.result: Result | None = None
        # How long the result took, and when it arrived.
        self.seconds = 0.0
        self.finished_at = 0.0
        self._node = node
        self._compute = compute
        self._next: Question | None = None
        self._is_busy = False

    @property
    def is_waiting(self) -> bool:
        """True while the latest question has no result yet."""
        return self._is_busy or self._next is not None

    def ask(self, question: Question, delay: float = WAIT_SECONDS) -> None:
        """Compute the result of a question after a delay in seconds."""
        self._next = question
        self._node.set_timer(max(delay, WAIT_SECONDS), self._start)

    def _start(self) -> None:
        if self._is_busy or self._next is None:
            return
        question, self._next, self._is_busy = self._next, None, True
        self._node.run_worker(lambda: self._run(question), thread=True, group="latest")

    def _run(self, question: Question) -> None:
        start = time.monotonic()
        result = self._compute(question)
        self._node.call_later(self._finish, result, time.monotonic() - start)

    def _finish(self, result: Result, seconds: float) -> None:
        self._is_busy = False
        self.seconds = seconds
        self.finished_at = time.monotonic()
        self.result = result
        self._node.post_message(self.Ready(self))
        self._start()
