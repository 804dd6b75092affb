"""Which phase runs next, and what a promotion yields."""

from __future__ import annotations

from pathlib import Path

import pytest

from litegpt.results.fold import fold
from litegpt.results.state import StudyState
from litegpt.run.phases import next_phase, phase_ended, planning_events, requeued, resolve_study
from litegpt.run.requests import Request
from litegpt.study.study import Study, parse_study
from litegpt.study.trial import Trial
from tests.builders import study_text

STUDY = study_text("""\
[[phase]]
name = "first"
max_iters = 100
[phase.grid]
seed = [1, 2]

[[phase]]
name = "second"
max_iters = 200
promote = {from = "first", top = 1, how = "exact"}
""")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return parse_study(STUDY, tmp_path / "s.toml")


def plan(study: Study, state: StudyState, phase: str) -> tuple[Trial, ...]:
    """Record a phase's plan in the state and return its trials."""
    expansion = resolve_study(study, state)[phase]
    for event in planning_events(state, study.phase(phase), expansion):
        fold(state, event.record())
    return expansion.trials


def finish(state: StudyState, phase: str, trial: Trial, loss: float = 1.0) -> None:
    record = {"event": "trial_ended", "phase": phase, "trial": trial.id, "state": "done", "best_val_loss": loss}
    fold(state, record)


def end(state: StudyState, phase: str) -> None:
    fold(state, phase_ended(state.phases[phase], excluded=0, seconds=1.0).record())


def run_phase(study: Study, state: StudyState, phase: str) -> None:
    for loss, trial in enumerate(plan(study, state, phase)):
        finish(state, phase, trial, float(loss))
    end(state, phase)


def name_of_next(study: Study, state: StudyState, *names: str) -> str | None:
    phase = next_phase(study, state, names or None)
    return phase and phase.name


def test_phases_run_in_the_order_of_the_study_file(study: Study) -> None:
    state = StudyState()
    assert name_of_next(study, state) == "first"
    run_phase(study, state, "first")
    assert name_of_next(study, state) == "second"
    run_phase(study, state, "second")
    assert name_of_next(study, state) is None


def test_a_phase_runs_until_its_end_is_recorded(study: Study) -> None:
    state = StudyState()
    first, second = plan(study, state, "first")
    finish(state, "first", first)
    assert name_of_next(study, state) == "first"
    finish(state, "first", second)
    assert name_of_next(study, state) == "first"
    end(state, "first")
    assert name_of_next(study, state) == "second"


def test_a_retried_trial_brings_its_phase_back(study: Study) -> None:
    state = StudyState()
    first, second = plan(study, state, "first")
    finish(state, "first", first)
    fold(state, {"event": "trial_ended", "phase": "first", "trial": second.id, "state": "failed"})
    end(state, "first")
    assert name_of_next(study, state) == "second"
    for event in requeued(state, Request("retry")):
        fold(state, event.record())
    assert name_of_next(study, state) == "first"
    assert "second" not in resolve_study(study, state)


def test_only_the_chosen_phases_count(study: Study) -> None:
    state = StudyState()
    run_phase(study, state, "first")
    assert name_of_next(study, state, "first") is None
    assert name_of_next(study, state, "second") == "second"


def test_a_promotion_waits_for_trials_that_an_edit_adds_to_its_source(study: Study, tmp_path: Path) -> None:
    state = StudyState()
    run_phase(study, state, "first")
    assert "second" in resolve_study(study, state)
    edited = parse_study(STUDY.replace("[1, 2]", "[1, 2, 3]"), tmp_path / "s.toml")
    assert "second" not in resolve_study(edited, state)
    assert name_of_next(edited, state) == "first"


def test_a_promotion_ranks_only_the_trials_that_the_study_file_still_asks_for(study: Study, tmp_path: Path) -> None:
    state = StudyState()
    run_phase(study, state, "first")
    (best,) = resolve_study(study, state)["second"].trials
    edited = parse_study(STUDY.replace("[1, 2]", "[2]"), tmp_path / "s.toml")
    (remaining,) = resolve_study(edited, state)["second"].trials
    assert (best.seed, remaining.seed) == (1, 2)
