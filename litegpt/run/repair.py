"""Repair of damaged results. Nothing that a trial has recorded is deleted: files are renamed instead."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from litegpt.results.check import Finding
from litegpt.results.events import TrialRequeued
from litegpt.results.folder import StudyFolder
from litegpt.results.lines import sort_out
from litegpt.run.phases import phase_ended
from litegpt.run.runner_journal import RunnerJournal


def repair(folder: StudyFolder, findings: Sequence[Finding]) -> list[str | None]:
    """Repair findings and return what was done about each, None where no repair exists.

    The caller must hold the study's lock.
    """
    lines = {finding.where: _sort_out(finding.where) for finding in findings if finding.repair == "sort out"}
    # The journal must be read after its own lines were repaired.
    with RunnerJournal(folder) as journal:
        return [lines.get(finding.where) or _repair(folder, journal, finding) for finding in findings]


def _repair(folder: StudyFolder, journal: RunnerJournal, finding: Finding) -> str | None:
    match finding.repair:
        case "delete":
            finding.where.unlink(missing_ok=True)
            return "deleted"
        case "set aside":
            return f"renamed to {_set_aside(finding.where).name}"
        case "requeue":
            return _requeue(folder, journal, finding)
        case "recount":
            return _recount(journal, finding)
    return None


def _sort_out(path: Path) -> str:
    return f"{sort_out(path)} lines moved to {path.name}.damaged"


def _requeue(folder: StudyFolder, journal: RunnerJournal, finding: Finding) -> str | None:
    trial = finding.trial
    if trial is None:
        return None
    done = "queued again"
    # The metrics of a trial that is not running are wrong: it is trained again from the beginning.
    if trial.state != "running":
        files = folder.trial(trial.phase, trial.id)
        files.checkpoint.unlink(missing_ok=True)
        if files.metrics.exists():
            done += f", its metrics renamed to {_set_aside(files.metrics).name}"
    journal.append(TrialRequeued(phase=trial.phase, trial=trial.id, attempt=trial.attempt, reason=finding.what))
    return done


def _recount(journal: RunnerJournal, finding: Finding) -> str | None:
    phase = journal.state.phases[finding.phase or ""]
    counts = phase.counts()
    if phase.ended is None or counts.unfinished:
        return "counted again when its trials have ended"
    journal.append(phase_ended(phase, len(phase.excluded), phase.seconds or 0.0))
    return "counted again"


def _set_aside(path: Path) -> Path:
    aside = path.with_name(path.name + ".damaged")
    os.replace(path, aside)
    return aside
