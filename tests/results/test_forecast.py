"""The time left of a study, predicted from its packs so far."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from litegpt.results.events import Event, PackEnded
from litegpt.results.fold import fold
from litegpt.results.forecast import Forecast
from litegpt.results.state import StudyState
from litegpt.study.trial import Trial
from tests.builders import make_trials, phase_planned, study_started, trial_ended, trial_started

PHASE = "phase1"


def finished(trial: Trial) -> list[Event]:
    """Return the events of a trial that took ten seconds, alone in its pack."""
    return [
        trial_started(PHASE, trial),
        trial_ended(PHASE, trial, step=trial.max_iters),
        PackEnded(pack="p1", phase=PHASE, trials=[trial.id], wall_seconds=10.0),
    ]


def state_after(*events: Event) -> StudyState:
    state = StudyState()
    for event in events:
        fold(state, event.record())
    return state


def now_after(state: StudyState, seconds: float) -> datetime:
    """Return the time that many seconds after the running trial has started."""
    (start,) = {trial.started for trial in state.trials() if trial.state == "running"}
    assert start is not None
    return start + timedelta(seconds=seconds)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_waiting_trials_take_as_long_as_equal_ended_ones() -> None:
    trials = make_trials(4)
    first = trials[0]
    state = state_after(study_started(), *phase_planned(PHASE, trials), *finished(first))
    forecast = Forecast.of(state)
    assert forecast.seconds_left(state, {}, NOW) == {PHASE: pytest.approx(30.0)}
    assert forecast.seconds(trials[:2], state) == pytest.approx(20.0)
    assert forecast.seconds(trials, state, most=1) == pytest.approx(10.0)


def test_without_a_measured_speed_the_time_is_unknown() -> None:
    trials = make_trials(2)
    state = state_after(study_started(), *phase_planned(PHASE, trials))
    assert Forecast.of(state).seconds_left(state, {}, NOW) == {}
    taken_over = state_after(
        study_started(), *phase_planned(PHASE, trials), trial_ended(PHASE, trials[0], attempt=0, step=500)
    )
    assert Forecast.of(taken_over).speed(taken_over) is None


def test_a_running_trial_counts_until_its_last_step() -> None:
    (trial,) = trials = make_trials(1, eval_interval=500)
    state = state_after(study_started(), *phase_planned(PHASE, trials), trial_started(PHASE, trial))
    forecast = Forecast(77, validation_characters=0)
    left = forecast.seconds_left(state, {(PHASE, trial.id): 125}, now_after(state, 10.0))
    assert left == {PHASE: pytest.approx(30.0)}


def test_evaluations_count_as_work() -> None:
    """Without them, a run of seconds predicted an hour after its first step."""
    (trial,) = trials = make_trials(1, max_iters=10, eval_interval=5)
    state = state_after(study_started(), *phase_planned(PHASE, trials), trial_started(PHASE, trial))
    forecast = Forecast(77, validation_characters=1_000_000)
    left = forecast.seconds_left(state, {(PHASE, trial.id): 1}, now_after(state, 7.0))
    # Two of three evaluations are left, and each takes nearly all of the seven seconds of the first.
    assert left[PHASE] == pytest.approx(14.0, rel=0.05)


def test_workers_share_the_work_but_not_a_single_pack() -> None:
    trials = make_trials(5)
    record = study_started().record() | {"devices": ["cpu"] * 4}
    state = StudyState()
    fold(state, record)
    first = trials[0]
    for event in (*phase_planned(PHASE, trials), *finished(first)):
        fold(state, event.record())
    forecast = Forecast.of(state)
    assert forecast.seconds_left(state, {}, NOW) == {PHASE: pytest.approx(10.0)}
    for event in itertools.chain.from_iterable(map(finished, trials[1:4])):
        fold(state, event.record())
    assert forecast.seconds_left(state, {}, NOW) == {PHASE: pytest.approx(10.0)}


def test_a_later_phase_ends_after_the_earlier_ones() -> None:
    trials = make_trials(2)
    first = trials[0]
    state = state_after(study_started(), *phase_planned(PHASE, trials), *finished(first))
    for event in phase_planned("phase2", [first]):
        fold(state, event.record())
    left = Forecast.of(state).seconds_left(state, {}, NOW)
    assert left == {PHASE: pytest.approx(10.0), "phase2": pytest.approx(20.0)}
