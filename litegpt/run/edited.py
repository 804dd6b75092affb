"""Differences between a study file and the study as its results were started.

A run keeps the study that it was started with, so an edit takes effect only in the next run.
"""

from __future__ import annotations

from collections.abc import Iterator

from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.run.phases import resolve_study
from litegpt.study.phase import Phase
from litegpt.study.split import SplitRule
from litegpt.study.study import Study, read_study

RULES = ("defaults", "fixed", "axes", "excludes", "listed", "promotion")


def edits(study: Study, state: StudyState, folder: StudyFolder) -> list[str]:
    """Return the differences in words; an empty list if the results have no snapshot yet."""
    try:
        started = read_study(folder.snapshot, follow_links=False)
    except InputError:
        return []
    return [*_study_edits(study, started), *_phase_edits(study, started, state)]


def started_split(folder: StudyFolder) -> SplitRule | None:
    """Return the split that the results were started with, None if they have no snapshot."""
    try:
        return read_study(folder.snapshot, follow_links=False).split
    except InputError:
        return None


def _study_edits(study: Study, started: Study) -> Iterator[str]:
    changes = study.split.changes(started.split)
    if study.keep != started.keep:
        changes.append(("keep", study.keep, started.keep))
    for name, now, then in changes:
        yield f"{name} is {now}, it was {then}"


def _phase_edits(study: Study, started: Study, state: StudyState) -> Iterator[str]:
    started_phases = {phase.name: phase for phase in started.phases}
    expansions = resolve_study(study, state)
    for phase in study.phases:
        phase_state, expansion = state.phases.get(phase.name), expansions.get(phase.name)
        if phase.name not in started_phases:
            yield f"{phase.name} is new"
        elif phase_state is not None and phase_state.planned and expansion is not None:
            planned, wanted = set(phase_state.planned), {trial.id for trial in expansion.trials}
            changes = [(len(wanted - planned), "more"), (len(planned - wanted), "fewer")]
            if difference := " and ".join(f"{count} {word}" for count, word in changes if count):
                yield f"{phase.name} has {difference} trials"
        elif any(_rule(phase, name) != _rule(started_phases[phase.name], name) for name in RULES):
            yield f"{phase.name} has other settings"
    for name in started_phases.keys() - {phase.name for phase in study.phases}:
        yield f"{name} is gone"


def _rule(phase: Phase, name: str) -> object:
    return getattr(phase, name)
