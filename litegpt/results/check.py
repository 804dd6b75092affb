"""Verification of a study's results: each trial ends once, and its files agree with the journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from litegpt.results import fields
from litegpt.results.folder import StudyFolder, TrialFolder
from litegpt.results.journal import read_journal
from litegpt.results.lines import LineReader, Record
from litegpt.results.metrics import Evaluation, read_metrics
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.results.weights import weights_fault

Repair = Literal["requeue", "recount", "delete", "set aside", "sort out"]
"""requeue: queue the trial again and rename wrong metrics; recount: record a phase's counts again; delete;
set aside: rename to .damaged; sort out: move a file's damaged lines to .damaged."""

MEASURED = ("train_loss", "val_loss", "final_loss", "bits_per_char")


@dataclass(frozen=True)
class Finding:
    """One fault and its repair (None if `litegpt check` cannot repair it)."""

    where: Path
    what: str
    repair: Repair | None = None
    trial: TrialState | None = None  # the trial to queue again
    phase: str | None = None  # the phase to count again


@dataclass
class Checked:
    """The result of a check."""

    study: str | None
    trials: int
    ended: int
    findings: list[Finding] = field(default_factory=list)


def check_study(folder: StudyFolder, is_at_work: bool) -> Checked:
    """Return the faults of a study. Unfinished writes of a running runner are not faults."""
    state = read_journal(folder.journal)
    counts = state.counts()
    ended = counts.ended
    checked = Checked(state.study, sum(counts.values()), ended)
    checked.findings += _journal_findings(folder, state, is_at_work)
    for phase in state.phases.values():
        for trial in phase.trials.values():
            checked.findings += _trial_findings(folder.trial(phase.name, trial.id), trial, state, is_at_work)
    checked.findings += _stray_findings(folder, state, is_at_work)
    return checked


def _journal_findings(folder: StudyFolder, state: StudyState, is_at_work: bool) -> Iterator[Finding]:
    journal = folder.journal
    yield from _line_findings(journal, is_at_work)
    if state.opened is None:
        yield Finding(journal, "has no beginning (study_opened)")
    for name, trial in _ended_twice(LineReader(journal).read()):
        yield Finding(journal, f"{name}/{trial} ended twice, and was not queued again between")
    for phase in state.phases.values():
        yield from _phase_findings(journal, phase, is_at_work)


def _ended_twice(records: list[Record]) -> Iterator[tuple[str, str]]:
    ended: set[tuple[str, str]] = set()
    for record in records:
        key = fields.text(record.get("phase")) or "", fields.text(record.get("trial")) or ""
        match record.get("event"):
            case "trial_ended" if key in ended:
                yield key
            case "trial_ended":
                ended.add(key)
            case "trial_queued" | "trial_requeued" | "trial_started":
                ended.discard(key)


def _phase_findings(journal: Path, phase: PhaseState, is_at_work: bool) -> Iterator[Finding]:
    if phase.ended is None:
        return
    counts = phase.counts()
    waiting = counts.unfinished
    if waiting:
        yield Finding(journal, f"{phase.name} has ended, but {waiting} of its trials have not; litegpt-run continues")
    elif not is_at_work and any(counts[state] != count for state, count in phase.ended_counts.items()):
        recorded = ", ".join(f"{count} {state}" for state, count in phase.ended_counts.items())
        message = f"{phase.name} ended with {recorded}, which does not match its trials"
        yield Finding(journal, message, "recount", phase=phase.name)


def _line_findings(path: Path, is_at_work: bool) -> Iterator[Finding]:
    reader = LineReader(path)
    reader.read()
    if reader.damaged:
        lines = "a line is" if reader.damaged == 1 else f"{reader.damaged} lines are"
        yield Finding(path, f"{lines} damaged and cannot be read", "sort out")
    elif not is_at_work and reader.is_torn:
        yield Finding(path, "its last line is incomplete", "sort out")


def _trial_findings(files: TrialFolder, trial: TrialState, state: StudyState, is_at_work: bool) -> Iterator[Finding]:
    if trial.state == "running":
        if not is_at_work:
            yield Finding(files.path, "was running when its runner was killed", "requeue", trial)
        return
    for path in (files.metrics, files.samples):
        if path.exists():
            yield from _line_findings(path, is_at_work)
    if trial.state in ("done", "diverged"):
        fault = _metrics_fault(files, trial, is_imported=state.corpus is None)
        if fault is not None:
            yield Finding(files.metrics, fault, None if state.corpus is None else "requeue", trial)
    if (files.checkpoint.exists() or files.checkpoint.is_symlink()) and (fault := weights_fault(files.checkpoint)):
        yield Finding(files.checkpoint, fault, "delete")
    if (files.best.exists() or files.best.is_symlink()) and (fault := weights_fault(files.best)):
        yield Finding(files.best, fault, "set aside")


def _metrics_fault(files: TrialFolder, trial: TrialState, is_imported: bool) -> str | None:
    """Return how a trial's metrics differ from its end in the journal; None if they agree."""
    rows = {row.step: row for row in read_metrics(files.metrics)}
    last = rows.get(trial.metrics.step if trial.metrics.step is not None else -1)
    if not rows:
        return "the metrics of a trial that ended are missing"
    if not is_imported:
        end = trial.settings.max_iters
        steps = range(0, end if trial.state == "done" else min(end, max(rows) + 1), trial.settings.eval_interval)
        # Count without building lists: the settings are untrusted, and max_iters may be huge.
        expected = len(steps) + (trial.state == "done" or end in rows)
        found = sum(step in steps or step == end for step in rows)
        if found < expected:
            return f"{expected - found} of {expected} evaluations are missing"
    # Other programs evaluate at other steps.
    if trial.state != "done" or is_imported:
        return None
    if last is None:
        return f"the trial ended at step {trial.metrics.step}, which has no evaluation"
    return _metrics_mismatch(trial, last, rows)


def _metrics_mismatch(trial: TrialState, last: Evaluation, rows: dict[int, Evaluation]) -> str | None:
    for name in MEASURED:
        recorded, measured = trial.metrics.value(name), getattr(last, name)
        if recorded is not None and recorded != measured:
            return f"{name} is {measured} at the last step, but {recorded} in the journal"
    best = rows.get(trial.metrics.best_val_step if trial.metrics.best_val_step is not None else -1)
    for name in ("val_loss", "bits_per_char") if best is not None else ():
        recorded, measured = trial.metrics.value(f"best_{name}"), getattr(best, name)
        if recorded is not None and recorded != measured:
            return f"{name} is {measured} at the best step {trial.metrics.best_val_step}, but {recorded} in the journal"
    return None


def _stray_findings(folder: StudyFolder, state: StudyState, is_at_work: bool) -> Iterator[Finding]:
    """Find links, files of interrupted writes, and folders of trials that are not in the journal."""
    known = {folder.trial(trial.phase, trial.id).path for trial in state.trials()}
    for phase in state.phases:
        for path in sorted((folder.path / phase).glob("*")):
            if path.is_symlink():
                yield Finding(path, "is a link, which is not followed")
            elif path.is_dir() and path not in known:
                yield Finding(path, "is a folder without a trial in the journal")
            for file in sorted(path.glob("*")) if path.is_dir() and not path.is_symlink() else ():
                if file.is_symlink():
                    yield Finding(file, "is a link, which is not followed")
                elif file.suffix == ".tmp" and not is_at_work:
                    yield Finding(file, "was left by an interrupted write", "delete")
