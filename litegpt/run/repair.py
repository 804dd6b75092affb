"""Mending what a check of results has found. Nothing that a trial has told is thrown away: it is renamed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from litegpt.results.check import Finding
from litegpt.results.events import TrialRequeued
from litegpt.results.folder import StudyFolder
from litegpt.results.lines import sort_out
from litegpt.run.ledger import Ledger
from litegpt.run.phases import phase_ended


def repair(folder: StudyFolder, findings: Sequence[Finding]) -> list[str | None]:
    """Mend findings and return what was done about each, None where nothing can be. Only under the study's lock."""
    lines = {finding.where: _sort_out(finding.where) for finding in findings if finding.repair == "sort out"}
    with Ledger(folder) as ledger:  # after the journal's own lines
        return [lines.get(finding.where) or _mend(folder, ledger, finding) for finding in findings]


def _mend(folder: StudyFolder, ledger: Ledger, finding: Finding) -> str | None:
    match finding.repair:
        case "delete":
            finding.where.unlink(missing_ok=True)
            return "deleted"
        case "set aside":
            return f"renamed to {_set_aside(finding.where).name}"
        case "requeue":
            return _requeue(folder, ledger, finding)
        case "recount":
            return _recount(ledger, finding)
    return None


def _sort_out(path: Path) -> str:
    return f"{sort_out(path)} lines moved to {path.name}.damaged"


def _requeue(folder: StudyFolder, ledger: Ledger, finding: Finding) -> str | None:
    trial = finding.trial
    if trial is None:
        return None
    done = "queued again"
    if trial.state != "running":  # its metrics are wrong: it is trained anew from the beginning
        files = folder.trial(trial.phase, trial.id)
        files.checkpoint.unlink(missing_ok=True)
        if files.metrics.exists():
            done += f", its metrics renamed to {_set_aside(files.metrics).name}"
    ledger.append(TrialRequeued(phase=trial.phase, trial=trial.id, attempt=trial.attempt, reason=finding.what))
    return done


def _recount(ledger: Ledger, finding: Finding) -> str | None:
    phase = ledger.state.phases[finding.phase or ""]
    counts = phase.counts()
    if phase.ended is None or counts.unfinished:
        return "counted anew when its trials have ended"
    ledger.append(phase_ended(phase, len(phase.excluded), phase.seconds or 0.0))
    return "counted anew"


def _set_aside(path: Path) -> Path:
    aside = path.with_name(path.name + ".damaged")
    os.replace(path, aside)
    return aside
