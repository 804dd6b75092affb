"""The plain view of a paused run."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from litegpt.results.state import PhaseState, StudyState
from litegpt.run.phase_run import RunningTrial
from litegpt.run.view import STOPPING, PlainView
from tests.run.study_files import SMALL


@pytest.mark.parametrize(("interrupted", "lines"), [(False, ["paused: full", "resumed"]), (True, ["paused: full"])])
def test_only_a_resumed_run_is_announced(interrupted: bool, lines: list[str]) -> None:
    console = Console(file=io.StringIO())
    view = PlainView(console)
    runner: Any = SimpleNamespace(state=StudyState(), running=[], paused="full", interrupted=False)
    view.observe(runner)
    runner.paused, runner.interrupted = None, interrupted
    view.observe(runner)
    assert console.file.getvalue().splitlines() == lines


def test_an_interrupted_run_says_at_once_that_it_stops() -> None:
    console = Console(file=io.StringIO())
    view = PlainView(console)
    trial = RunningTrial("p", SMALL)
    runner: Any = SimpleNamespace(state=StudyState(), running=[trial], paused=None, interrupted=True)
    runner.phases, runner.state.phases["p"] = [], PhaseState("p")
    view.observe(runner)
    view.observe(runner)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line for line in lines if line.startswith("stopping")] == [STOPPING]
