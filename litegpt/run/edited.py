"""How a study file differs from what its results were begun with: a run goes on as it was started."""

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
    """Return what a study file says otherwise than the snapshot in its results; nothing where there is none."""
    try:
        begun = read_study(folder.snapshot)
    except InputError:
        return []
    return [*_head_edits(study, begun), *_phase_edits(study, begun, state)]


def begun_split(folder: StudyFolder) -> SplitRule | None:
    """Return the split that results were begun with, None where nobody knows."""
    try:
        return read_study(folder.snapshot).split
    except InputError:
        return None


def _head_edits(study: Study, begun: Study) -> Iterator[str]:
    changes = study.split.changes(begun.split)
    if study.keep != begun.keep:
        changes.append(("keep", study.keep, begun.keep))
    for name, now, then in changes:
        yield f"{name} is {now}, it was {then}"


def _phase_edits(study: Study, begun: Study, state: StudyState) -> Iterator[str]:
    then = {phase.name: phase for phase in begun.phases}
    expansions = resolve_study(study, state)
    for phase in study.phases:
        known, expansion = state.phases.get(phase.name), expansions.get(phase.name)
        if phase.name not in then:
            yield f"{phase.name} is new"
        elif known is not None and known.planned and expansion is not None:
            planned, wanted = set(known.planned), {trial.id for trial in expansion.trials}
            changes = [(len(wanted - planned), "more"), (len(planned - wanted), "fewer")]
            if told := " and ".join(f"{count} {word}" for count, word in changes if count):
                yield f"{phase.name} has {told} trials"
        elif any(_rule(phase, name) != _rule(then[phase.name], name) for name in RULES):
            yield f"{phase.name} has other settings"
    for name in then.keys() - {phase.name for phase in study.phases}:
        yield f"{name} is gone"


def _rule(phase: Phase, name: str) -> object:
    return getattr(phase, name)
