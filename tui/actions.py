"""What the console does to a study, apart from the keys that ask for it: launch, control, and the palette's list."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.screen import Screen

from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.results.state import StudyState
from litegpt.run.requests import send_request
from tui.messages import TrialKey

if TYPE_CHECKING:
    from tui.app import ConsoleApp

LAUNCH_SECONDS = 60


def refuse(app: ConsoleApp) -> bool:
    """Say so and return True where nothing may be touched."""
    if app.readonly:
        app.notify("read-only: this console only looks", severity="warning")
    return app.readonly


def run_study(app: ConsoleApp) -> None:
    """Start the study's runner in a session of its own; quitting the console does not stop it."""
    place = app.feed.place
    if refuse(app):
        return
    if app.feed.runner.state == "running":
        app.notify("the study is running already")
    elif place.study_path is None:
        app.notify("there is no study to run", severity="warning")
    else:
        path = place.study_path
        app.run_worker(lambda: _launch(app, path), thread=True, group="call", exclusive=True)


def _launch(app: ConsoleApp, path: Path) -> None:
    """Start the runner, if there is work for it; in a thread."""
    if _is_over(path, app.feed.state):
        app.call_from_thread(app.notify, "nothing is left to run: every trial of this study has ended")
        return
    app.call_from_thread(app.notify, "launching the study in the background")
    _show_answer(app, _command(app, "run", str(path), "--detach"))


def _is_over(path: Path, state: StudyState) -> bool:
    """Return whether the study file asks for nothing more. The runner reports an invalid file."""
    from litegpt.run.phases import next_phase
    from litegpt.study.study import read_study

    try:
        return next_phase(read_study(path), state) is None
    except InputError:
        return False


def _command(app: ConsoleApp, *arguments: str) -> list[str]:
    """Return the command line of `litegpt` on the study's results."""
    return [sys.executable, "-m", "litegpt.cli.main", *arguments, "--results", str(app.feed.place.folder.root)]


def _call(app: ConsoleApp, *arguments: str) -> None:
    """Call `litegpt` on the study's results, and show what it says."""
    command = _command(app, *arguments)
    app.run_worker(lambda: _show_answer(app, command), thread=True, group="call", exclusive=True)


def _show_answer(app: ConsoleApp, command: list[str]) -> None:
    """Wait for a command's word; in a thread."""
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LAUNCH_SECONDS, check=False
        )
        said, failed = ended.stderr.strip(), ended.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        said, failed = str(error), True
    if failed or said:
        severity = "error" if failed else "information"
        last = inert(said.splitlines()[-1] if said else f"{command[3]} failed")
        app.call_from_thread(app.notify, last, severity=severity, markup=False)


def control(app: ConsoleApp, kind: str) -> None:
    """Ask the runner to stop, pause, resume or retry: the marked trials, or the whole study."""
    if refuse(app):
        return
    marked = [
        key
        for key in sorted(app.view.marks)
        if (trial := app.feed.trial(key)) and (trial.failed if kind == "retry" else not trial.is_ended)
    ]
    if app.feed.runner.state != "running" and (kind != "retry" or app.feed.place.study_path is None):
        app.notify("no runner is at work on this study; r starts one", severity="warning")
    elif app.feed.runner.state != "running":
        _call(app, "retry", str(app.feed.place.study_path), *(trial for _, trial in marked))
    elif kind == "pause":
        _send(app, "resume" if app.feed.state.paused else "pause", [])
    elif kind == "stop":
        what = f"the {len(marked)} marked trials" if marked else "the whole run"
        loss = (
            "They are not trained any further." if marked else "It can be resumed; r goes on from the last checkpoints."
        )
        from tui.dialogs.confirm import ConfirmScreen

        app.push_screen(
            ConfirmScreen(f"Stop {what}?", loss, "Stop"), lambda agreed: _send(app, "stop", marked) if agreed else None
        )
    else:
        _send(app, kind, marked)


def _send(app: ConsoleApp, kind: str, keys: Sequence[TrialKey]) -> None:
    """Leave the request; one for each phase that trials are named of."""
    phases: dict[str | None, list[str]] = {}
    for phase, trial in keys:
        phases.setdefault(phase, []).append(trial)
    try:
        for name, trials in (phases or {None: []}).items():
            send_request(app.feed.place.folder, kind, name, trials)
    except OSError as error:
        app.notify(inert(str(error)), severity="error", markup=False)
        return
    app.notify(f"asked the runner to {kind}" + (f" {len(keys)} trials" if keys else ""))


def palette(app: ConsoleApp, screen: Screen[object]) -> Iterable[SystemCommand]:
    """Yield every action that has a key here."""
    seen: set[str] = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.description and active.enabled and binding.action not in seen:
            seen.add(binding.action)
            keys = app.get_key_display(binding)
            run = partial(app.run_action, binding.action, active.node)
            yield SystemCommand(binding.description, f"{binding.tooltip or binding.description} ({keys})", run)
