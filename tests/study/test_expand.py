from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from litegpt.errors import InputError
from litegpt.study.expand import Expansion, expand, expand_phases
from litegpt.study.hyperparameter import Value
from litegpt.study.phase import Exclusion, Phase, Promotion
from litegpt.study.study import Study
from litegpt.study.trial import Trial

StudyOf = Callable[[str], Study]

ONE = """
[[phase]]
name = "one"
[phase.grid]
learning_rate = [3e-3, 1e-3, 2e-3]
n_embd = [64, 128]
n_layer = [2, 4]
[[phase.exclude]]
n_layer = 4
n_head = 4
"""


def expanded(phase: Phase, promoted: Sequence[Trial] | None = None) -> Expansion:
    expansion = expand(phase, promoted)
    assert expansion is not None
    return expansion


def promoted_into(study: Study, *wanted: int) -> Expansion:
    """Return the last phase's expansion on those of the first phase's trials."""
    trials = expanded(study.phases[0]).trials
    return expanded(study.phases[-1], [trials[index] for index in wanted])


def told(expansion: Expansion, *names: str) -> list[tuple[object, ...]]:
    return [tuple(getattr(trial, name) for name in names) for trial in expansion.trials]


def test_a_grid_follows_the_order_of_its_axes(study_of: StudyOf) -> None:
    expansion = expanded(study_of(ONE).phase("one"))
    assert told(expansion, "learning_rate", "n_embd", "n_layer")[:4] == [
        (3e-3, 64, 2),
        (3e-3, 64, 4),
        (3e-3, 128, 2),
        (1e-3, 64, 2),
    ]
    assert len(expansion.trials) == 9
    assert expansion.axes == {"learning_rate": (3e-3, 1e-3, 2e-3), "n_embd": (64, 128), "n_layer": (2, 4)}


def test_exclusions_match_derived_values_and_give_their_reason(study_of: StudyOf) -> None:
    excluded = expanded(study_of(ONE).phase("one")).excluded
    settings: dict[str, Value] = {"learning_rate": 3e-3, "n_embd": 128, "n_layer": 4}
    assert excluded[0] == Exclusion(settings, "excluded: n_layer = 4, n_head = 4")
    assert len(excluded) == 3


def test_an_exclusion_covers_an_illegal_combination(study_of: StudyOf) -> None:
    study = study_of(
        '[[phase]]\nname = "one"\nn_head = 5\ngrid = {n_embd = [50, 64]}\n[[phase.exclude]]\nn_embd = 64\n'
    )
    assert told(expanded(study.phase("one")), "n_embd") == [(50,)]


def test_derived_hyperparameters_may_depend_on_derived_ones(study_of: StudyOf) -> None:
    study = study_of(
        '[[phase]]\nname = "one"\ngrid = {n_layer = [2, 3]}\n'
        'n_head = "n_embd / 16"\nn_embd = "warmup_iters + 4"\nwarmup_iters = "n_layer * 30 // 1 * 0 + 60"\n'
    )
    assert told(expanded(study.phase("one")), "n_layer", "n_embd", "n_head") == [(2, 64, 4), (3, 64, 4)]


def test_equal_settings_make_one_trial(study_of: StudyOf) -> None:
    study = study_of(
        '[[phase]]\nname = "one"\ngrid = {n_embd = [64, 128, 64.0]}\ntrial = [{n_embd = 64}, {n_embd = 96, seed = 1}]\n'
    )
    assert told(expanded(study.phase("one")), "n_embd", "n_head") == [(64, 2), (128, 4), (96, 3)]


def test_a_promotion_waits_for_its_source(study_of: StudyOf) -> None:
    study = study_of(ONE + '[[phase]]\nname = "two"\npromote = {from = "one", top = 2}\n')
    assert expand(study.phase("two")) is None
    assert expanded(study.phase("two"), []).trials == ()


def test_narrow_spans_a_grid_in_the_order_of_the_source(study_of: StudyOf) -> None:
    study = study_of(ONE + '[[phase]]\nname = "two"\nmax_iters = 300\npromote = {from = "one", top = 2}\n')
    expansion = promoted_into(study, 8, 0, 4)  # the third is beyond the top 2
    assert expansion.axes == {"learning_rate": (3e-3, 2e-3), "n_embd": (64, 128), "n_layer": (2,)}
    assert told(expansion, "learning_rate", "n_embd", "n_head") == [
        (3e-3, 64, 2),
        (3e-3, 128, 4),
        (2e-3, 64, 2),
        (2e-3, 128, 4),
    ]
    assert {(trial.max_iters, trial.n_layer) for trial in expansion.trials} == {(300, 2)}


def test_a_promotion_inherits_the_exclusions_of_its_source(study_of: StudyOf) -> None:
    study = study_of(
        ONE
        + '[[phase]]\nname = "two"\npromote = {from = "one", top = 9}\n'
        + "[[phase.exclude]]\nlearning_rate = 3e-3\nn_embd = 64\n"
    )
    expansion = promoted_into(study, 1, 5)  # 3e-3 x 64 x 4 and 1e-3 x 128 x 2
    assert told(expansion, "learning_rate", "n_embd", "n_layer") == [
        (3e-3, 128, 2),
        (1e-3, 64, 2),
        (1e-3, 64, 4),
        (1e-3, 128, 2),
    ]
    assert [exclusion.reason for exclusion in expansion.excluded] == [
        "excluded: learning_rate = 0.003, n_embd = 64",
        "excluded: learning_rate = 0.003, n_embd = 64",
        "excluded: n_layer = 4, n_head = 4",
        "excluded: n_layer = 4, n_head = 4",
    ]


def test_a_promoted_phase_can_set_values_and_add_axes(study_of: StudyOf) -> None:
    study = study_of(
        ONE.replace('name = "one"', 'name = "one"\ndropout = 0.5\neval_interval = 7\nseed = 3')
        + '[[phase]]\nname = "two"\nn_layer = 3\npromote = {from = "one", top = 9}\n'
        + "[phase.grid]\nseed = [1, 2]\n[[phase.trial]]\nn_embd = 32\n"
    )
    expansion = promoted_into(study, 0, 1)
    assert told(expansion, "n_layer", "seed", "n_embd", "dropout", "eval_interval") == [
        (3, 1, 64, 0.5, 100),
        (3, 2, 64, 0.5, 100),
        (3, 1337, 32, 0.2, 100),
    ]


def test_narrowing_a_narrowed_phase(study_of: StudyOf) -> None:
    study = study_of(
        ONE
        + '[[phase]]\nname = "two"\npromote = {from = "one", top = 9}\n'
        + '[[phase]]\nname = "three"\nmax_iters = 900\npromote = {from = "two", top = 9}\n'
    )
    second = promoted_into(dataclasses.replace(study, phases=study.phases[:2]), 8, 0, 2)
    third = expanded(study.phase("three"), second.trials[::-1])
    assert third.axes["learning_rate"] == (3e-3, 2e-3)
    assert told(third, "n_embd", "n_layer", "max_iters") == [(64, 2, 900), (128, 2, 900)] * 2


def test_narrowing_listed_trials_excludes_illegal_combinations(study_of: StudyOf) -> None:
    study = study_of(
        '[[phase]]\nname = "one"\ntrial = [{n_embd = 60, n_head = 5}, {n_embd = 64, n_head = 4}]\n'
        '[[phase]]\nname = "two"\npromote = {from = "one", top = 9}\n'
    )
    expansion = promoted_into(study, 0, 1)
    assert told(expansion, "n_embd", "n_head") == [(60, 4), (64, 4), (60, 5)]
    assert expansion.excluded == (
        Exclusion({"n_head": 5, "n_embd": 64}, "n_embd 64 is not a multiple of n_head 5", illegal=True),
    )


def test_tokenizers_and_vocabularies_are_paired(study_of: StudyOf) -> None:
    grid = '{tokenizer = ["char", "bpe", "byte"], vocab_size = [0, 300, 400]}'
    study = study_of(f'[[phase]]\nname = "one"\nmax_iters = 10\ngrid = {grid}\n')
    expansion = expanded(study.phase("one"))
    assert told(expansion, "tokenizer", "vocab_size") == [("char", 0), ("bpe", 300), ("bpe", 400), ("byte", 0)]
    reasons = {(e.settings["tokenizer"], e.settings["vocab_size"]): (e.reason, e.illegal) for e in expansion.excluded}
    assert len(reasons) == 5
    assert reasons["byte", 300] == ("tokenizer = 'byte' has the 256 bytes and no vocab_size, not 300", False)
    assert reasons["bpe", 0] == ("tokenizer = 'bpe' needs a vocab_size above 256, its single bytes, not 0", False)


def test_exact_takes_the_trials_best_first(study_of: StudyOf) -> None:
    study = study_of(
        ONE + '[[phase]]\nname = "two"\nmax_iters = 300\npromote = {from = "one", top = 2, how = "exact"}\n'
    )
    assert told(promoted_into(study, 8, 3, 0), "learning_rate", "n_embd", "n_head", "max_iters") == [
        (2e-3, 128, 4, 300),
        (1e-3, 64, 2, 300),
    ]


def test_exact_with_a_grid_derives_values_again(study_of: StudyOf) -> None:
    study = study_of(
        ONE + '[[phase]]\nname = "two"\npromote = {from = "one", top = 2, how = "exact"}\ngrid = {n_embd = [96, 32]}\n'
    )
    assert told(promoted_into(study, 1, 0), "n_layer", "n_embd", "n_head") == [
        (4, 96, 3),
        (4, 32, 1),
        (2, 96, 3),
        (2, 32, 1),
    ]


def test_exact_keeps_a_listed_value_that_contradicts_the_rule(study_of: StudyOf) -> None:
    study = study_of(
        '[[phase]]\nname = "one"\ntrial = [{n_head = 1}]\n'
        '[[phase]]\nname = "two"\npromote = {from = "one", top = 1, how = "exact"}\n'
    )
    assert told(promoted_into(study, 0), "n_embd", "n_head") == [(64, 1)]


def test_a_start_from_a_checkpoint_names_the_promoted_trial(study_of: StudyOf) -> None:
    promote = 'promote = {from = "one", top = 1, how = "exact", start = "checkpoint"}'
    study = study_of(ONE + f'[[phase]]\nname = "two"\nmax_iters = 300\n{promote}\n')
    source = expanded(study.phase("one")).trials[0]
    assert told(promoted_into(study, 0), "start_from") == [(f"one/{source.id}",)]


def test_phases_expand_until_one_has_to_wait(study_of: StudyOf) -> None:
    study = study_of(
        ONE
        + '[[phase]]\nname = "two"\npromote = {from = "one", top = 2}\n'
        + '[[phase]]\nname = "three"\npromote = {from = "two", top = 1}\n'
        + '[[phase]]\nname = "four"\npromote = {from = "three", top = 1}\n'
    )
    first = expanded(study.phase("one")).trials
    asked: list[tuple[str, int]] = []

    def ranked(promotion: Promotion, source: Expansion) -> Sequence[Trial] | None:
        asked.append((promotion.source, promotion.top))
        return first if promotion.source == "one" else None

    assert list(expand_phases(study.phases, ranked)) == ["one", "two"]
    assert asked == [("one", 2), ("two", 1)]


@pytest.mark.parametrize(
    ("promote", "trials_max"),
    [
        ('{from = "one", top = 50}', 9),
        ('{from = "one", top = 1}', 1),
        ('{from = "one", top = 2}', 8),
        ('{from = "one", top = 50}\ngrid = {seed = [1, 2]}', 18),
        ('{from = "one", top = 50}\ngrid = {seed = [1, 2]}\ntrial = [{dropout = 0}]', 19),
        ('{from = "one", top = 4, how = "exact"}', 4),
        ('{from = "one", top = 50, how = "exact"}', 9),
        ('{from = "one", top = 4, how = "exact"}\ngrid = {seed = [1, 2]}', 8),
    ],
)
def test_the_bound_of_a_promotion(study_of: StudyOf, promote: str, trials_max: int) -> None:
    study = study_of(f'{ONE}[[phase]]\nname = "two"\npromote = {promote}\n')
    assert study.bounds["two"].trials_max == trials_max


def test_a_promotion_from_a_large_source_can_be_small(study_of: StudyOf) -> None:
    trials = ", ".join(f"{{seed = {n}, batch_size = {n}, block_size = {n}, n_layer = {n}}}" for n in range(1, 41))
    study = study_of(
        f'[[phase]]\nname = "one"\ntrial = [{trials}]\n'
        '[[phase]]\nname = "two"\npromote = {from = "one", top = 3}\n'
        '[[phase]]\nname = "three"\npromote = {from = "two", top = 2, how = "exact"}\n'
        '[[phase]]\nname = "four"\npromote = {from = "two", top = 2}\n'
    )
    assert [bound.trials_max for bound in study.bounds.values()] == [40, 81, 2, 100_000]
    assert study.bounds["two"].candidates is None
    assert len(promoted_into(dataclasses.replace(study, phases=study.phases[:2]), 7, 2, 5).trials) == 81
    every = expanded(study.phase("one")).trials
    with pytest.raises(InputError, match="phase 'two' has 2,560,000 permutations, more than 100,000"):
        expand(dataclasses.replace(study.phase("two"), promotion=Promotion("one", 40)), every)
