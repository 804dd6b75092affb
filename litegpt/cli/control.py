"""`litegpt stop|pause|resume|retry STUDY [TRIAL...]`: control a running study."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from litegpt.cli.command import Exit, complain, narrator
from litegpt.display import inert
from litegpt.errors import InputError, did_you_mean
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.state import StudyState
from litegpt.run.lock import StudyHeldError, StudyLock, runner_at_work
from litegpt.run.phases import requeued
from litegpt.run.requests import Request, send_request
from litegpt.run.runner_journal import RunnerError, RunnerJournal
from litegpt.study.study import Study, read_study

ANSWER_SECONDS = 10.0  # a runner reads requests several times per second, but its machine may be busy

ACCEPTED = {
    "stop": "Stopping; the runner writes checkpoints.",
    "pause": "Pausing; the runner writes checkpoints.",
    "resume": "Resuming.",
    "retry": "The trials are queued again.",
}
"""The message to print when the runner has read a request."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("study", type=Path, help="the study file")
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help="ids of trials (default: the whole run)")
    parser.add_argument("--phase", help="only trials of this phase")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder that holds <study>/")


def run(arguments: argparse.Namespace) -> Exit:
    """Send the request and wait until the runner has read it. Without a runner, retry writes the journal itself."""
    study = read_study(arguments.study)
    folder = StudyFolder(arguments.results, study.name)
    if arguments.phase is not None:
        study.phase(arguments.phase)
    state = read_journal(folder.journal)
    trial_ids = [trial.id for trial in state.trials()]
    for trial in arguments.trials:
        if trial not in trial_ids:
            raise InputError(f"no trial '{trial}' in {folder.path}{did_you_mean(trial, trial_ids)}")
    _check_phase(arguments, state)
    request = Request(arguments.command, arguments.phase, tuple(arguments.trials))
    if runner_at_work(folder.lock) is None:
        if request.kind != "retry":
            raise InputError("no runner holds this study; litegpt-run starts one", folder.path)
        return _retry(study, folder, request)
    return _ask(folder, request)


def _check_phase(arguments: argparse.Namespace, state: StudyState) -> None:
    """Refuse requests that would do nothing, or something else than the user means."""
    if arguments.command in ("pause", "resume") and (arguments.phase or arguments.trials):
        raise InputError(f"{arguments.command} concerns the whole run; leave phase and trials out")
    if arguments.command == "stop" and arguments.phase and not arguments.trials:
        phase = state.phases.get(arguments.phase)
        if phase is None or not phase.counts().unfinished:
            raise InputError(f"phase '{arguments.phase}' has no trial that could be stopped")


def _ask(folder: StudyFolder, request: Request) -> Exit:
    try:
        path = send_request(folder, request.kind, request.phase, request.trials)
    except OSError as error:
        raise InputError(f"cannot contact the runner: {error.strerror}", folder.path) from None
    deadline = time.monotonic() + ANSWER_SECONDS
    while path.exists():
        if time.monotonic() > deadline:
            path.unlink(missing_ok=True)
            complain("the runner has not answered; `litegpt status` shows whether its process still exists")
            return Exit.TRIALS_FAILED
        time.sleep(0.05)
    narrator().print(ACCEPTED[request.kind])
    return Exit.WELL


def _retry(study: Study, folder: StudyFolder, request: Request) -> Exit:
    """Queue trials again for the next runner, under the lock of the study."""
    if not folder.journal.exists():
        raise InputError("nothing has run yet; litegpt-run starts it", folder.path)
    try:
        with StudyLock(folder), RunnerJournal(folder) as journal:
            again = requeued(journal.state, request)
            journal.append(*again)
    except StudyHeldError as error:
        # A runner has started in the meantime.
        complain(str(error))
        return Exit.HELD
    except RunnerError as error:
        raise InputError(str(error)) from None
    if again:
        line = f"{len(again)} trials are queued again; `litegpt-run {study.path}` runs them"
    else:
        line = "no trial failed, diverged or was stopped"
    narrator().print(inert(line), soft_wrap=True)
    return Exit.WELL
