"""Actions on a study, separate from their keys: write a new study, launch, control.

The functions take the Textual application only to show notifications, to open dialogs and to run threads.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App

import litegpt
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.processes import module_command
from litegpt.results.state import StudyState
from litegpt.run.requests import send_request
from tui.location import DEFAULT_STUDY
from tui.messages import TrialKey
from tui.session import Session

if TYPE_CHECKING:
    from litegpt.run.new_study import NewStudy

LAUNCH_SECONDS = 60


def may_change(app: App[Any], session: Session) -> bool:
    """True if this console may change things; a read-only console says that it may not."""
    if session.readonly:
        app.notify("read-only: this console only looks", severity="warning")
    return not session.readonly


def write_new_study(app: App[Any], session: Session, open_study: Callable[[Path], None]) -> None:
    """Ask for a text and write a study for it; `open_study` shows the file if this console has no study yet."""
    if not may_change(app, session):
        return
    from tui.dialogs.new_study import NewStudyScreen, written_message

    def finish(study: NewStudy | None) -> None:
        if study is None:
            return
        if session.location.study_path is None:
            open_study(study.path)
            app.notify(inert(f"{written_message(study)}; r runs it"), markup=False)
        else:
            app.notify(inert(f"{written_message(study)}; litegpt-tui {study.path} opens it"), markup=False)

    is_first = session.location.study_path is None and not DEFAULT_STUDY.exists()
    app.push_screen(NewStudyScreen(default_text(), str(DEFAULT_STUDY) if is_first else "study.toml"), finish)


def default_text() -> str:
    """Return the only text in the current folder, or else the novella of a checkout, or else an empty string."""
    texts = [path for path in Path().glob("*.txt") if path.is_file()]
    novella = Path(litegpt.__file__).parents[1] / "data" / "novella.txt"
    if len(texts) == 1:
        return str(texts[0])
    return os.path.relpath(novella) if novella.is_file() else ""


def run_study(app: App[Any], session: Session) -> None:
    """Start the study's runner in the background. It keeps running when the console quits."""
    if not may_change(app, session):
        return
    path = session.location.study_path
    if session.feed.runner.state == "running":
        app.notify("the study is already running")
    elif path is None:
        app.notify("there is no study to run", severity="warning")
    else:
        app.run_worker(lambda: _launch(app, session, path), thread=True, group="call", exclusive=True)


def _launch(app: App[Any], session: Session, path: Path) -> None:
    """Start the runner if trials are left; runs in a thread."""
    if _is_over(path, session.feed.state):
        app.call_from_thread(app.notify, "nothing is left to run: every trial of this study has ended")
        return
    app.call_from_thread(app.notify, "launching the study in the background")
    _run_litegpt(app, session, "run", str(path), "--detach")


def _is_over(path: Path, state: StudyState) -> bool:
    """Return whether the study file asks for nothing more. The runner reports an invalid file."""
    from litegpt.run.phases import next_phase
    from litegpt.study.study import read_study

    try:
        return next_phase(read_study(path), state) is None
    except InputError:
        return False


def _run_litegpt(app: App[Any], session: Session, name: str, *arguments: str) -> None:
    """Run a `litegpt` command to its end and show the last line of its stderr; runs in a thread."""
    root = str(session.location.folder.root)
    command = module_command("litegpt.cli.main", name, *arguments, "--results", root)
    try:
        process = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LAUNCH_SECONDS, check=False
        )
        message, failed = process.stderr.strip(), process.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        message, failed = str(error), True
    if failed or message:
        severity = "error" if failed else "information"
        last_line = inert(message.splitlines()[-1] if message else f"litegpt {name} failed")
        app.call_from_thread(app.notify, last_line, severity=severity, markup=False)


def control(app: App[Any], session: Session, kind: str) -> None:
    """Ask the runner to stop, pause, resume or retry: the marked trials, or the whole study."""
    if not may_change(app, session):
        return
    feed = session.feed
    marked = [
        key
        for key in sorted(session.view.marks)
        if (trial := feed.trial(key)) and (trial.failed if kind == "retry" else not trial.is_ended)
    ]
    if feed.runner.state != "running" and (kind != "retry" or session.location.study_path is None):
        app.notify("this study is not running; r starts it", severity="warning")
    elif feed.runner.state != "running":
        trials = [trial for _, trial in marked]
        path = str(session.location.study_path)
        app.run_worker(
            lambda: _run_litegpt(app, session, "retry", path, *trials), thread=True, group="call", exclusive=True
        )
    elif kind == "pause":
        _send(app, session, "resume" if feed.state.paused or feed.runner.waiting else "pause", [])
    elif kind == "stop":
        _confirm_stop(app, session, marked)
    else:
        _send(app, session, kind, marked)


def _confirm_stop(app: App[Any], session: Session, marked: Sequence[TrialKey]) -> None:
    from tui.dialogs.confirm import ConfirmScreen

    subject = f"the {len(marked)} marked trials" if marked else "the whole run"
    consequence = (
        "They are not trained any further." if marked else "It can be resumed: r continues from the last checkpoints."
    )
    app.push_screen(
        ConfirmScreen(f"Stop {subject}?", consequence, "Stop"),
        lambda agreed: _send(app, session, "stop", marked) if agreed else None,
    )


def _send(app: App[Any], session: Session, kind: str, keys: Sequence[TrialKey]) -> None:
    """Send one request per phase of the trials, or one for the whole study if there are no trials."""
    phases: dict[str | None, list[str]] = {}
    for phase, trial in keys:
        phases.setdefault(phase, []).append(trial)
    try:
        for name, trials in (phases or {None: []}).items():
            send_request(session.location.folder, kind, name, trials)
    except OSError as error:
        app.notify(inert(str(error)), severity="error", markup=False)
        return
    app.notify(f"asked the runner to {kind}" + (f" {len(keys)} trials" if keys else ""))
