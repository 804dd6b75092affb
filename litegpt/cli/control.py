"""`litegpt stop|pause|resume|retry STUDY [TRIAL...]`: ask something of the runner at work on a study."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from litegpt.cli.command import Exit, complain, narrator
from litegpt.plan.errors import InputError, did_you_mean
from litegpt.plan.study import read_study
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.run.lock import read_holder
from litegpt.run.requests import send_request

ANSWER_SECONDS = 10.0  # a runner looks for requests several times a second; a machine may be busy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("study", type=Path, help="the study file")
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help="ids of trials; none means the whole run")
    parser.add_argument("--phase", help="only trials of this phase")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder that holds <study>/")


def run(arguments: argparse.Namespace) -> Exit:
    """Leave the request and wait until the runner has taken it."""
    study = read_study(arguments.study)
    folder = StudyFolder(arguments.results, study.name)
    if arguments.phase is not None:
        study.phase(arguments.phase)
    known = [trial.id for trial in read_journal(folder.journal).trials()]
    for trial in arguments.trials:
        if trial not in known:
            raise InputError(f"no trial '{trial}' in {folder.path}{did_you_mean(trial, known)}")
    if read_holder(folder.lock) is None:
        raise InputError("no runner is at work on this study; litegpt-run starts one", folder.path)
    request = send_request(folder, arguments.command, arguments.phase, arguments.trials)
    deadline = time.monotonic() + ANSWER_SECONDS
    while request.exists():
        if time.monotonic() > deadline:
            request.unlink(missing_ok=True)
            complain("the runner has not answered; is its process still there? `litegpt status` names it")
            return Exit.TRIALS_FAILED
        time.sleep(0.05)
    narrator().print(f"{arguments.command}: the runner has taken it.")
    return Exit.WELL
