"""`litegpt check RESULTS`: verify a study's results, and repair them."""

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
    parser.add_argument("--repair", action="store_true", help="repair what can be repaired, and print what was done")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print what is wrong; the exit code is 1 if anything is wrong, with --repair if anything is left."""
    folder = StudyFolder.find(arguments.results)
    if not folder.journal.exists():
        raise InputError("journal.jsonl is missing: nothing has run yet", folder.path)
    if not arguments.repair:
        runner = runner_at_work(folder.lock)
        checked = check_study(folder, runner is not None)
        _print(arguments, folder, checked, [None] * len(checked.findings), runner)
        return Exit.TRIALS_FAILED if checked.findings else Exit.WELL
    try:
        with StudyLock(folder):
            checked = check_study(folder, is_at_work=False)
            done = repair(folder, checked.findings)
            left = check_study(folder, is_at_work=False).findings
    except StudyHeldError as error:
        complain(f"{error}: a study cannot be repaired while it runs")
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
        summary = {"study": checked.study, "trials": checked.trials, "ended": checked.ended, "runner": runner}
        print(json.dumps({**summary, "findings": findings}, indent=2))
        return
    for finding in findings:
        line = f"{finding['where']}: {finding['what']}"
        if finding["done"]:
            line += f" -> {finding['done']}"
        elif finding["repair"] and not arguments.repair:
            line += " (--repair fixes this)"
        print(inert(line))
    if runner is not None:
        print(inert(f"The study is running ({describe_holder(runner)}): its running trials were not checked."))
    waiting = checked.trials - checked.ended
    print(f"{checked.ended:,} of {checked.trials:,} trials have ended", end="; " if waiting else ", each once; ")
    print(f"{len(findings) or 'nothing'} {'is' if len(findings) < 2 else 'are'} wrong")
