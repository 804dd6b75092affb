"""Trials of another program, checked and written as a study."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from litegpt.errors import InputError
from litegpt.results import fields
from litegpt.results.events import Event, PhaseEnded, PhasePlanned, TrialEnded, TrialQueued
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal, read_journal
from litegpt.results.lines import LineReader
from litegpt.results.metric import TrialMetrics, bits_per_char
from litegpt.results.metrics import Evaluation, Evaluations, MetricsWriter
from litegpt.results.samples import Sample, append_sample
from litegpt.study.settings import plain_value
from litegpt.study.trial import HYPERPARAMETERS, Trial

JOURNAL_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Damage:
    """Something that could not be imported, with file and line."""

    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.message}"


@dataclass
class RawTrial:
    """An unchecked trial of a file; its numbers may be NaN."""

    path: Path
    line: int
    settings: Mapping[str, Any]
    evaluations: list[Evaluation] = field(default_factory=list)
    max_iters: int | None = None  # None: derived from the evaluations
    final_loss: float | None = None
    seconds: float | None = None
    text: str = ""
    vocab_size: int | None = None


@dataclass(frozen=True)
class ImportedTrial:
    """A complete trial."""

    settings: Trial
    evaluations: tuple[Evaluation, ...]
    final_loss: float | None
    seconds: float | None
    text: str

    def ended(self, phase: str) -> TrialEnded:
        last = self.evaluations[-1] if self.evaluations else None
        losses = (self.final_loss, *(last.losses if last else ()))
        diverged = any(loss is not None and not math.isfinite(loss) for loss in losses)
        return TrialEnded(
            phase=phase,
            trial=self.settings.id,
            attempt=1,
            state="diverged" if diverged else "done",
            reason="the loss is not a number" if diverged else None,
            metrics=dataclasses.replace(
                TrialMetrics.at(math.inf, Evaluations(self.evaluations)),
                step=self.settings.max_iters,
                seconds=self.seconds,
                train_loss=last.train_loss if last else None,
                val_loss=last.val_loss if last else None,
                final_loss=self.final_loss,
            ),
        )


@dataclass(frozen=True)
class ImportedPhase:
    """The trials of one phase, the damage, and the vocabulary size if the files contain it."""

    name: str
    trials: tuple[ImportedTrial, ...]
    damages: tuple[Damage, ...]
    vocab_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class StudyImported(Event):
    """Phases were imported from files of another program. The corpus is unknown; its vocabulary size may be known."""

    event: ClassVar[str] = "study_imported"
    is_promise: ClassVar[bool] = True
    study: str
    sources: Sequence[str]
    vocab_size: int | None


def check_trials(name: str, raws: Sequence[RawTrial], damages: Sequence[Damage]) -> ImportedPhase:
    """Return a phase of the complete trials, with the reason for each one that is not."""
    all_damages = list(damages)
    counts = Counter(len(raw.evaluations) for raw in raws if raw.max_iters is None)
    usual = counts.most_common(1)[0][0] if counts else 0
    trials: dict[Trial, ImportedTrial] = {}
    for raw in raws:
        reason = _incompleteness(raw, usual) or _impossible_setting(raw.settings)
        if reason is None:
            trial = _trial(raw)
            reason = "repeats a setting; only the first is taken" if trial.settings in trials else None
            trials.setdefault(trial.settings, trial)
        if reason is not None:
            all_damages.append(Damage(raw.path, raw.line, f"the trial {_settings_text(raw.settings)} {reason}"))
    sizes = Counter(raw.vocab_size for raw in raws if raw.vocab_size)
    all_damages.sort(key=lambda damage: (str(damage.path), damage.line or 0))
    return ImportedPhase(
        name, tuple(trials.values()), tuple(all_damages), max(sizes, key=sizes.__getitem__, default=None)
    )


def _incompleteness(raw: RawTrial, usual: int) -> str | None:
    """Return why a trial is incomplete."""
    if raw.max_iters is not None:
        return None
    steps = [evaluation.step for evaluation in raw.evaluations]
    if len(steps) < 2:
        return f"has {len(steps)} evaluations: too few to tell its length"
    if steps != [steps[1] * number for number in range(len(steps))] or not steps[1]:
        return f"lacks evaluations: it has the steps {', '.join(map(str, steps[:20]))}"
    if len(steps) < usual:
        return f"has {len(steps)} evaluations, the others {usual}"
    return None


def _impossible_setting(settings: Mapping[str, Any]) -> str | None:
    """Return why a hyperparameter cannot have its value; the study file of the import could not be written."""
    for name, value in settings.items():
        try:
            plain_value(name, value)
        except ValueError as error:
            return f"cannot be imported: {name} {error}"
    return None


def _trial(raw: RawTrial) -> ImportedTrial:
    settings = dict(raw.settings)
    steps = [evaluation.step for evaluation in raw.evaluations]
    if raw.max_iters is None:
        settings["max_iters"] = steps[-1] + steps[1]
        settings["eval_interval"] = steps[1]
    else:
        settings["max_iters"] = raw.max_iters
    trial = Trial(**settings)
    rows = tuple(_completed(row, trial) for row in raw.evaluations)
    return ImportedTrial(trial, rows, raw.final_loss, raw.seconds, raw.text)


def _completed(row: Evaluation, trial: Trial) -> Evaluation:
    bits = bits_per_char(row.val_loss) if trial.tokenizer == "char" else None
    return dataclasses.replace(row, learning_rate=trial.learning_rate, attempt=1, bits_per_char=bits)


def _settings_text(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={settings[name]}" for name in HYPERPARAMETERS if name in settings)


def write_study(folder: StudyFolder, phases: Sequence[ImportedPhase], sources: Sequence[str]) -> None:
    """Write the phases into a results folder. InputError, with nothing written: one of them exists already.

    The caller holds the study's lock.
    """
    check_new(folder, phases)
    for phase in phases:
        for trial in phase.trials:
            _write_trial(folder, phase.name, trial)
    sizes = [phase.vocab_size for phase in phases if phase.vocab_size]
    with Journal(folder.journal, folder.study) as journal:
        journal.append(StudyImported(study=folder.study, sources=sources, vocab_size=max(sizes, default=None)))
        for phase in phases:
            journal.append(*_events(phase))


def check_new(folder: StudyFolder, phases: Sequence[ImportedPhase]) -> None:
    """Raise InputError if a phase has no complete trial, an illegal name, or exists already."""
    existing = read_journal(folder.journal).phases
    names = Counter(phase.name for phase in phases)
    for phase in phases:
        if names[phase.name] > 1:
            raise InputError(f"two folders would be the phase '{phase.name}'")
        if phase.name in existing:
            raise InputError(f"the study has the phase '{phase.name}' already: nothing was imported", folder.path)
        if not phase.trials:
            first = f"; {phase.damages[0]}" if phase.damages else ""
            raise InputError(f"no complete trial for the phase '{phase.name}'{first}")
        folder.trial(phase.name, phase.trials[0].settings.id)


def _write_trial(folder: StudyFolder, phase: str, trial: ImportedTrial) -> None:
    trial_folder = folder.trial(phase, trial.settings.id)
    with MetricsWriter(trial_folder.metrics) as writer:
        for evaluation in trial.evaluations:
            writer.append(evaluation)
    if trial.text:
        loss = trial.evaluations[-1].val_loss if trial.evaluations else None
        step = trial.settings.max_iters
        append_sample(
            trial_folder.samples,
            Sample(step=step, loss=loss, text=trial.text, prompt="", temperature=None, seed=None, attempt=1),
        )


def _events(phase: ImportedPhase) -> list[Event]:
    ended = [trial.ended(phase.name) for trial in phase.trials]
    states = Counter(event.state for event in ended)
    return [
        PhasePlanned(phase=phase.name, trials=[trial.settings.id for trial in phase.trials]),
        *(TrialQueued(phase=phase.name, settings=trial.settings) for trial in phase.trials),
        *ended,
        PhaseEnded(
            phase=phase.name,
            done=states["done"],
            diverged=states["diverged"],
            failed=0,
            stopped=0,
            excluded=0,
            seconds=sum(trial.seconds or 0.0 for trial in phase.trials),
        ),
    ]


def imported_vocab_size(journal: Path) -> int | None:
    """Return the vocabulary size of an imported study; None if it is unknown or the study was not imported."""
    try:
        with journal.open("rb") as file:
            head = file.read(JOURNAL_HEAD_BYTES)
    except OSError:
        return None
    if b'"study_imported"' not in head:
        return None
    records = LineReader(journal).read()
    sizes = [fields.whole(r.get("vocab_size")) for r in records if r.get("event") == StudyImported.event]
    return max((size for size in sizes if size), default=None)
