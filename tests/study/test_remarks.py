from __future__ import annotations

from collections.abc import Callable

from litegpt.study.expand import expand_phases
from litegpt.study.remarks import remarks
from litegpt.study.study import Study

StudyOf = Callable[[str], Study]


def remarks_of(study: Study) -> list[str]:
    return remarks(expand_phases(study.phases, lambda promotion, source: source.trials))


def test_repeated_values_and_trials_are_counted(study_of: StudyOf) -> None:
    study = study_of(
        '[[phase]]\nname = "one"\n[phase.grid]\nlearning_rate = [1e-4, 0.0001, 1, 1.0]\ndropout = [0, 0.0]\n'
        '[[phase]]\nname = "two"\n[[phase.trial]]\nseed = 1\n[[phase.trial]]\nseed = 1\n'
        '[[phase]]\nname = "three"\n[phase.promote]\nfrom = "two"\ntop = 1\n[phase.grid]\nseed = [3, 4, 3]\n'
    )
    assert remarks_of(study) == [
        "one: 6 combinations are double; each setting is trained once",
        "two: 1 combination is double; each setting is trained once",
        "three: 1 combination is double; each setting is trained once",
    ]


def test_excluded_combinations_are_not_double(study_of: StudyOf) -> None:
    grid = "[phase.grid]\nseed = [1, 2]\nn_layer = [1, 2]\n[[phase.exclude]]\nseed = 2\nn_layer = 2\n"
    assert remarks_of(study_of('[[phase]]\nname = "one"\n' + grid)) == []


def test_settings_of_an_earlier_phase_are_named(study_of: StudyOf) -> None:
    phases = (f'[[phase]]\nname = "{name}"\n[phase.grid]\nseed = {seeds}\n' for name, seeds in
              (("one", [1, 2]), ("two", [3]), ("three", [2, 3, 1])))  # fmt: skip
    assert remarks_of(study_of("".join(phases))) == [
        "three: 2 settings are also in one; the results are reused",
        "three: 1 setting is also in two; the results are reused",
    ]


def test_a_warm_up_that_is_longer_than_the_training(study_of: StudyOf) -> None:
    phase = '[[phase]]\nname = "one"\nmax_iters = 2000\n[phase.grid]\nwarmup_iters = [0, 1999, 2000, 3000]\n'
    assert remarks_of(study_of(phase)) == [
        "one: 2 trials are too short to warm up: warmup_iters is 2,000 and max_iters 2,000, so the learning rate never "
        "reaches its value"
    ]
