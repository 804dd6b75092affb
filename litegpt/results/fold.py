"""Folding of a journal's events into the state of the study."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import get_args

from litegpt.results import fields
from litegpt.results.folder import is_name
from litegpt.results.lines import Record
from litegpt.results.metric import TrialMetrics
from litegpt.results.state import CorpusIdentity, EndState, PhaseState, StudyState, TrialState, WorkerState
from litegpt.study.phase import Exclusion, Promotion

_END_STATES: dict[str | None, EndState] = {state: state for state in get_args(EndState)}


def fold(state: StudyState, record: Record) -> None:
    """Apply one event to the state.

    Unknown events, keys and trial states are ignored, and so are names that cannot be folders. No record raises.
    """
    name = fields.text(record.get("event")) or ""
    if take_study_event := _STUDY_EVENTS.get(name):
        take_study_event(state, record)
    elif take_phase_event := _PHASE_EVENTS.get(name):
        if phase := _phase(state, record):
            take_phase_event(phase, record)
    elif take_trial_event := _TRIAL_EVENTS.get(name):
        phase, trial_id = _phase(state, record), fields.text(record.get("trial"))
        if phase and trial_id and (trial := phase.trials.get(trial_id)):
            phase.trials[trial_id] = taken = take_trial_event(trial, record)
            if not taken.is_ended and phase.is_planned(trial_id):
                # The trial waits for another attempt, so the phase has not ended.
                phase.ended = phase.seconds = None


def _phase(state: StudyState, record: Record) -> PhaseState | None:
    name = fields.text(record.get("phase")) or ""
    if name not in state.phases and is_name(name):
        state.phases[name] = PhaseState(name)
    return state.phases.get(name)


def _study_opened(state: StudyState, record: Record) -> None:
    state.study = fields.text(record.get("study"))
    state.format = fields.whole(record.get("format"))
    state.opened = fields.moment(record.get("time"))


def _study_started(state: StudyState, record: Record) -> None:
    _runner_left(state)
    state.study = fields.text(record.get("study")) or state.study
    state.corpus = _corpus(fields.mapping(record.get("corpus")))
    versions = fields.mapping(record.get("versions"))
    state.versions = {name: version for name, version in versions.items() if isinstance(version, str)}
    state.host = fields.text(record.get("host"))
    state.pid = fields.whole(record.get("pid"))
    state.devices = fields.texts(record.get("devices"))
    state.precision = fields.text(record.get("precision"))
    state.started = fields.moment(record.get("time"))
    state.ended = state.interrupted = state.seconds = None


def _study_paused(state: StudyState, record: Record) -> None:
    state.paused = fields.text(record.get("reason")) or "paused"


def _study_resumed(state: StudyState, record: Record) -> None:
    state.paused = None


def _study_ended(state: StudyState, record: Record) -> None:
    _runner_left(state)
    state.ended = fields.moment(record.get("time"))
    state.seconds = fields.number(record.get("seconds"))


def _study_interrupted(state: StudyState, record: Record) -> None:
    _runner_left(state)
    state.ended = fields.moment(record.get("time"))
    state.interrupted = fields.text(record.get("reason")) or "interrupted"


def _runner_left(state: StudyState) -> None:
    """Queue the trials that the last run left running; a killed runner records no end."""
    state.workers.clear()
    state.paused = None
    for phase in state.phases.values():
        for trial in phase.trials.values():
            if trial.state == "running":
                phase.trials[trial.id] = trial.requeued("the run was interrupted")


def _worker_started(state: StudyState, record: Record) -> None:
    if worker := fields.text(record.get("worker")):
        state.workers[worker] = WorkerState(
            worker=worker, pid=fields.whole(record.get("pid")), device=fields.text(record.get("device"))
        )


def _worker_lost(state: StudyState, record: Record) -> None:
    state.workers.pop(fields.text(record.get("worker")) or "", None)


def _phase_planned(phase: PhaseState, record: Record) -> None:
    phase.planned = tuple(dict.fromkeys(filter(is_name, fields.texts(record.get("trials")))))
    phase.excluded = tuple(map(_exclusion, fields.mappings(record.get("excluded"))))
    promotion = fields.mapping(record.get("promotion"))
    phase.promotion = _promotion(promotion)
    phase.promoted = fields.texts(promotion.get("promoted"))
    phase.started = fields.moment(record.get("time"))
    phase.ended = phase.seconds = None


def _trial_queued(phase: PhaseState, record: Record) -> None:
    trial_id, settings = fields.text(record.get("trial")) or "", fields.trial(record.get("settings"))
    if settings and is_name(trial_id):
        phase.trials[trial_id] = TrialState(phase.name, trial_id, settings)


def _phase_ended(phase: PhaseState, record: Record) -> None:
    phase.ended = fields.moment(record.get("time"))
    phase.seconds = fields.number(record.get("seconds"))
    counts = {state: fields.whole(record.get(state)) for state in _END_STATES.values()}
    phase.ended_counts = {state: count for state, count in counts.items() if count is not None}


def _pack_ended(phase: PhaseState, record: Record) -> None:
    phase.pack_wall_seconds += fields.number(record.get("wall_seconds")) or 0.0


def _corpus(record: Record) -> CorpusIdentity | None:
    path, sha256 = fields.text(record.get("path")), fields.text(record.get("sha256"))
    characters, vocab_size = fields.whole(record.get("characters")), fields.whole(record.get("vocab_size"))
    if path is None or sha256 is None or characters is None or vocab_size is None:
        return None
    return CorpusIdentity(path, sha256, characters, vocab_size)


def _exclusion(record: Record) -> Exclusion:
    return Exclusion(
        settings=fields.mapping(record.get("settings")),
        reason=fields.text(record.get("reason")) or "",
        illegal=record.get("illegal") is True,
    )


def _promotion(record: Record) -> Promotion | None:
    source, top, by = fields.text(record.get("from")), fields.whole(record.get("top")), fields.text(record.get("by"))
    how, start = fields.text(record.get("how")), fields.text(record.get("start"))
    if source is None or top is None or by is None or how is None or start is None:
        return None
    return Promotion(source=source, top=top, by=by, how=how, start=start)


def _trial_started(trial: TrialState, record: Record) -> TrialState:
    return TrialState(
        phase=trial.phase,
        id=trial.id,
        settings=trial.settings,
        state="running",
        attempt=fields.whole(record.get("attempt")) or trial.attempt + 1,
        started=fields.moment(record.get("time")),
        worker=fields.text(record.get("worker")),
        device=fields.text(record.get("device")),
        precision=fields.text(record.get("precision")),
        pack=fields.text(record.get("pack")),
        pack_width=fields.whole(record.get("pack_width")),
    )


def _trial_ended(trial: TrialState, record: Record) -> TrialState:
    state = _END_STATES.get(fields.text(record.get("state")))
    if state is None:
        return trial
    return dataclasses.replace(
        trial,
        state=state,
        attempt=fields.whole(record.get("attempt")) or trial.attempt,
        reason=fields.text(record.get("reason")),
        failure=fields.text(record.get("failure")),
        ended=fields.moment(record.get("time")),
        metrics=TrialMetrics.from_record(record, trial.settings.tokenizer),
    )


def _trial_requeued(trial: TrialState, record: Record) -> TrialState:
    return trial.requeued(fields.text(record.get("reason")))


_STUDY_EVENTS: dict[str, Callable[[StudyState, Record], None]] = {
    "study_opened": _study_opened,
    "study_started": _study_started,
    "study_ended": _study_ended,
    "study_interrupted": _study_interrupted,
    "study_paused": _study_paused,
    "study_resumed": _study_resumed,
    "worker_started": _worker_started,
    "worker_lost": _worker_lost,
}
_PHASE_EVENTS: dict[str, Callable[[PhaseState, Record], None]] = {
    "phase_planned": _phase_planned,
    "phase_ended": _phase_ended,
    "pack_ended": _pack_ended,
    "trial_queued": _trial_queued,
}
_TRIAL_EVENTS: dict[str, Callable[[TrialState, Record], TrialState]] = {
    "trial_started": _trial_started,
    "trial_ended": _trial_ended,
    "trial_requeued": _trial_requeued,
}
