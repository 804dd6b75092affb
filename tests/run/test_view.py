"""What the plain view says of a run that is held up."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from litegpt.results.state import StudyState
from litegpt.run.view import PlainView


@pytest.mark.parametrize(("interrupted", "told"), [(False, ["paused: full", "resumed"]), (True, ["paused: full"])])
def test_only_a_run_that_goes_on_says_so(interrupted: bool, told: list[str]) -> None:
    console = Console(file=io.StringIO())
    view = PlainView(console)
    runner: Any = SimpleNamespace(state=StudyState(), running=[], paused="full", interrupted=False)
    view.observe(runner)
    runner.paused, runner.interrupted = None, interrupted
    view.observe(runner)
    assert console.file.getvalue().splitlines() == told  # type: ignore[attr-defined]
