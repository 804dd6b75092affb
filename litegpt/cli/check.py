"""`litegpt check RESULTS`: whether a study's results are whole, and what mends them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litegpt.cli.command import Exit, complain
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.results.check import Checked, check_study
from litegpt.results.folder import StudyFolder
from litegpt.run.lock import Holder, StudyHeldError, StudyLock, describe_holder, runner_at_work
from litegpt.run.repair import repair
from litegpt.run.runner_journal import RunnerError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("results", type=Path, help="a study's results: results/<study>")
    parser.add_argument("--repair", action="store_true", help="mend what can be mended, and say what was done")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print what is wrong; the exit code is 1 where something is, and after a repair where something still is."""
    folder = StudyFolder.find(arguments.results)
    if not folder.journal.exists():
        raise InputError("there is no journal.jsonl here: nothing has run yet", folder.path)
    if not arguments.repair:
        runner = runner_at_work(folder.lock)
        checked = check_study(folder, runner is not None)
        _print(arguments, folder, checked, [None] * len(checked.findings), runner)
        return Exit.TRIALS_FAILED if checked.findings else Exit.WELL
    try:
        with StudyLock(folder.lock):
            checked = check_study(folder, is_at_work=False)
            done = repair(folder, checked.findings)
            left = check_study(folder, is_at_work=False).findings
    except StudyHeldError as error:
        complain(f"{error}: a study is repaired when nobody runs it")
        return Exit.HELD
    except (OSError, RunnerError) as error:
        raise InputError(f"cannot be repaired: {error}", folder.path) from None
    _print(arguments, folder, checked, done, None)
    return Exit.TRIALS_FAILED if left else Exit.WELL


def _print(
    arguments: argparse.Namespace,
    folder: StudyFolder,
    checked: Checked,
    done: Sequence[str | None],
    runner: Holder | None,
) -> None:
    findings: list[dict[str, Any]] = [
        {
            "where": str(finding.where.relative_to(folder.path)),
            "what": finding.what,
            "repair": finding.repair,
            "done": act,
        }
        for finding, act in zip(checked.findings, done, strict=True)
    ]
    if arguments.json:
        told = {"study": checked.study, "trials": checked.trials, "ended": checked.ended, "runner": runner}
        print(json.dumps({**told, "findings": findings}, indent=2))
        return
    for finding in findings:
        line = f"{finding['where']}: {finding['what']}"
        if finding["done"]:
            line += f" -> {finding['done']}"
        elif finding["repair"] and not arguments.repair:
            line += " (--repair mends this)"
        print(inert(line))
    if runner is not None:
        print(inert(f"A runner is at work, {describe_holder(runner)}: what it has under its hands was left out."))
    waiting = checked.trials - checked.ended
    print(f"{checked.ended:,} of {checked.trials:,} trials have ended", end="; " if waiting else ", each once; ")
    print(f"{len(findings) or 'nothing'} {'is' if len(findings) < 2 else 'are'} wrong")
