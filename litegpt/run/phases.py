"""The trials of each phase according to the study file, and which of them are left according to the journal."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping

from litegpt.results.events import Event, PhaseEnded, PhasePlanned, TrialEnded, TrialQueued, TrialRequeued
from litegpt.results.ranking import rank
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.run.context import RunContext
from litegpt.run.requests import Request
from litegpt.study.expand import Expansion, expand_phases
from litegpt.study.phase import Phase, Promotion
from litegpt.study.study import Study
from litegpt.study.trial import Trial


def resolve_study(study: Study, state: StudyState) -> dict[str, Expansion]:
    """Return the trials of each phase, by phase name, as far as they are known.

    A promotion waits until every trial that the study file asks for in its source phase has ended. This is the only
    place that decides what a promotion yields: runner, plan, status and console all ask it.
    """

    def ranked(promotion: Promotion, source: Expansion) -> list[Trial] | None:
        phase = state.phases.get(promotion.source)
        trials = [phase.trials.get(trial.id) for trial in source.trials] if phase else []
        ended = [trial for trial in trials if trial is not None and trial.is_ended]
        if len(ended) < len(source.trials) or not ended:
            return None
        return [trial.settings for trial in rank(ended, promotion.by)]

    return expand_phases(study.phases, ranked)


def next_phase(study: Study, state: StudyState, names: Collection[str] | None = None) -> Phase | None:
    """Return the first phase that has work left, None when the study is over; `names` limits which phases count.

    The order is that of the study file, so a retried trial of an early phase runs before the phases after it.
    """
    expansions = resolve_study(study, state)
    for phase in study.phases:
        if names is not None and phase.name not in names:
            continue
        expansion, planned = expansions.get(phase.name), state.phases.get(phase.name)
        if expansion is None or planned is None or planned.ended is None or not is_complete(planned):
            return phase
        if planned.planned != tuple(trial.id for trial in expansion.trials):
            return phase
    return None


def is_complete(phase: PhaseState) -> bool:
    """Return whether every planned trial of a phase has ended."""
    counts = phase.counts()
    return bool(phase.planned) and not counts.unfinished


def phase_ended(phase: PhaseState, excluded: int, seconds: float) -> PhaseEnded:
    """Return the event that ends a phase, with the number of trials in each state."""
    counts = phase.counts()
    return PhaseEnded(
        phase=phase.name,
        done=counts["done"],
        diverged=counts["diverged"],
        failed=counts["failed"],
        stopped=counts["stopped"],
        excluded=excluded,
        seconds=seconds,
    )


def planning_events(state: StudyState, phase: Phase, expansion: Expansion) -> list[Event]:
    """Return the events that must be recorded before the phase's trials can run; none if the plan is unchanged."""
    recorded = state.phases.get(phase.name, PhaseState(phase.name))
    trial_ids = tuple(trial.id for trial in expansion.trials)
    events: list[Event] = [
        TrialQueued(phase=phase.name, settings=trial)
        for trial, trial_id in zip(expansion.trials, trial_ids, strict=True)
        if trial_id not in recorded.trials
    ]
    if trial_ids != recorded.planned:
        plan = PhasePlanned(
            phase=phase.name,
            trials=trial_ids,
            excluded=expansion.excluded,
            promotion=phase.promotion,
            promoted=promoted_ids(state, phase),
        )
        events.insert(0, plan)
    return events


def promoted_ids(state: StudyState, phase: Phase) -> list[str]:
    """Return the ids of the trials that a phase was promoted from, best first."""
    if phase.promotion is None:
        return []
    source = state.phases[phase.promotion.source]
    return [trial.id for trial in rank(source.current(), phase.promotion.by)[: phase.promotion.top]]


def requeued(state: StudyState, request: Request, phase: str | None = None) -> list[TrialRequeued]:
    """Return the events that retry the diverged, failed and stopped trials of a request; `phase` limits them."""
    return [
        TrialRequeued(phase=trial.phase, trial=trial.id, attempt=trial.attempt, reason="retry was requested")
        for candidate in state.phases.values()
        for trial in candidate.current()
        if phase in (None, candidate.name) and trial.failed and request.names(candidate.name, trial.id)
    ]


def reuse_results(context: RunContext, phase: str, needs_weights: bool) -> Iterator[TrialEnded]:
    """Copy the results of trials that another phase has already trained with equal settings; yield their endings.

    With `needs_weights`, a result counts only if its best weights were kept.
    """
    state, folder = context.state, context.folder
    done: Mapping[str, TrialState] = {
        trial.id: trial
        for other in state.phases.values()
        if other.name != phase
        for trial in other.trials.values()
        if trial.state == "done"
    }
    for trial in state.phases[phase].current():
        equal = done.get(trial.id)
        if equal is None or not trial.is_waiting:
            continue
        source, target = folder.trial(equal.phase, equal.id), folder.trial(phase, trial.id)
        if not source.path.is_dir() or (needs_weights and not source.best.exists()):
            continue
        shutil.copytree(source.path, target.path, symlinks=True, dirs_exist_ok=True)
        yield TrialEnded(
            phase=phase,
            trial=trial.id,
            attempt=0,
            state="done",
            reason=f"the same setting was trained in {equal.phase}",
            metrics=equal.metrics,
        )
