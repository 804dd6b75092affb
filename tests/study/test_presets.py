from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from litegpt.errors import InputError
from litegpt.estimate.cost import parameter_count
from litegpt.study.expand import expand
from litegpt.study.presets import PRESETS
from litegpt.study.study import Study
from litegpt.study.trial import Trial
from tests.builders import make_trial

StudyOf = Callable[[str], Study]
GRID = "[phase.grid]\nseed = [1]\n"


def only_trial(study: Study, phase: str = "one") -> Trial:
    expansion = expand(study.phase(phase))
    assert expansion is not None
    (trial,) = expansion.trials
    return trial


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        *(("gpt2", 0.124), ("gpt2-medium", 0.355), ("gpt2-large", 0.774), ("gpt2-xl", 1.558)),
        *(("gpt3-small", 0.125), ("gpt3-medium", 0.350), ("gpt3-large", 0.760), ("gpt3-xl", 1.3)),
        *(("gpt3-2.7b", 2.7), ("gpt3-6.7b", 6.7), ("gpt3-13b", 13.0), ("gpt3-175b", 175.0)),
    ],
)
def test_presets_have_the_published_sizes(name: str, billions: float) -> None:
    """With the published vocabulary of 50,257 symbols, counted once: those models tie their output layer."""
    trial = make_trial(**PRESETS[name])
    untied = parameter_count(trial, 50_257)
    assert untied - 50_258 * trial.n_embd == pytest.approx(billions * 1e9, rel=0.04)
    assert trial.n_embd % trial.n_head == 0


def test_a_preset_is_a_setting_like_others(study_of: StudyOf) -> None:
    phases = f'[[phase]]\nname = "one"\npreset = "nano"\nn_layer = 3\n{GRID}'
    trial = only_trial(study_of(phases))
    assert (trial.n_layer, trial.n_head, trial.n_embd, trial.block_size) == (3, 6, 384, 256)
    assert trial.batch_size == 8, "the study sets it"
    written = only_trial(
        study_of('[[phase]]\nname = "one"\nn_layer = 3\nn_head = 6\nn_embd = 384\nblock_size = 256\n' + GRID)
    )
    assert trial.id == written.id, "an id depends on the hyperparameters alone"


def test_grids_and_listed_trials_replace_values_of_a_preset(study_of: StudyOf) -> None:
    expansion = expand(
        study_of('[[phase]]\nname = "one"\npreset = "nano"\n[phase.grid]\nn_layer = [1, 2]\n').phase("one")
    )
    assert expansion is not None
    assert [(trial.n_layer, trial.n_embd) for trial in expansion.trials] == [(1, 384), (2, 384)]
    listed = only_trial(study_of('[[phase]]\nname = "one"\n[[phase.trial]]\npreset = "gpt2"\nblock_size = 64\n'))
    assert (listed.n_layer, listed.block_size) == (12, 64)


@pytest.mark.parametrize(
    ("preset", "words"),
    [('"gpt3-smal"', "did you mean 'gpt3-small'?"), ("3", "preset must be one of nano, gpt2"), ('"x"', "not 'x'")],
)
def test_an_unknown_preset_is_refused(study_of: StudyOf, preset: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        study_of(f'[[phase]]\nname = "one"\npreset = {preset}\n{GRID}')
    assert words in str(caught.value)
    assert ":14: " in str(caught.value), "the line of the preset"


def test_default_values_do_not_change_an_id() -> None:
    trial = make_trial()
    assert trial.id == replace(trial, gradient_accumulation=1, activation_checkpointing=False).id
    assert trial.id == "2x64-t32-b32-lr0.0006-i500-9c5d998c"
    assert len({trial.id, replace(trial, gradient_accumulation=2).id}) == 2


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("gradient_accumulation = 9", "gradient_accumulation 9 is above batch_size 8"),
        ("gradient_accumulation = 0", "must be between 1 and"),
        ("activation_checkpointing = 1", "activation_checkpointing must be true or false, not 1"),
        ('activation_checkpointing = "yes"', "must be true or false, not 'yes'"),
        ('n_layer = "activation_checkpointing + 1"', "which is true or false, not a number"),
    ],
)
def test_illegal_options_are_refused(study_of: StudyOf, setting: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        study_of(f'[[phase]]\nname = "one"\n{setting}\n{GRID}')
    assert words in str(caught.value)
