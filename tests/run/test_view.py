"""The plain view of a paused run."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from litegpt.results.state import StudyState
from litegpt.run.view import PlainView


@pytest.mark.parametrize(("interrupted", "lines"), [(False, ["paused: full", "resumed"]), (True, ["paused: full"])])
def test_only_a_resumed_run_is_announced(interrupted: bool, lines: list[str]) -> None:
    console = Console(file=io.StringIO())
    view = PlainView(console)
    runner: Any = SimpleNamespace(state=StudyState(), running=[], paused="full", interrupted=False)
    view.observe(runner)
    runner.paused, runner.interrupted = None, interrupted
    view.observe(runner)
    assert console.file.getvalue().splitlines() == lines
