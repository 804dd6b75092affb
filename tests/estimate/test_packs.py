from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litegpt.estimate.packs import pack_trials
from litegpt.study.trial import Trial
from tests.builders import make_trial

SMALL = make_trial()


def seeds(trial: Trial, count: int) -> list[Trial]:
    return [replace(trial, seed=seed, learning_rate=(seed + 1) * 1e-4, dropout=seed / 100) for seed in range(count)]


def test_equal_models_share_evenly_filled_packs() -> None:
    assert [len(pack) for pack in pack_trials(seeds(SMALL, 45), 21)] == [15, 15, 15]


@pytest.mark.parametrize(
    "changes",
    [
        {"n_layer": 4},
        {"n_head": 2},
        {"n_embd": 128},
        {"block_size": 64},
        {"batch_size": 48},
        {"max_iters": 501},
        {"eval_interval": 50},
        {"precision": "fp32"},
    ],
)
def test_different_models_are_in_different_packs(changes: dict[str, object]) -> None:
    other = replace(SMALL, **changes)  # one value of the right type each
    assert len(pack_trials([SMALL, other], 8)) == 2


def test_the_most_expensive_packs_come_first() -> None:
    wide = replace(SMALL, n_embd=768)
    packs = pack_trials([*seeds(SMALL, 4), wide], 8)
    assert packs == [(wide,), tuple(seeds(SMALL, 4))]


def test_the_width_may_depend_on_the_shape() -> None:
    trials = [*seeds(SMALL, 4), *seeds(replace(SMALL, n_embd=128), 2)]
    packs = pack_trials(trials, lambda trial: 1 if trial.n_embd == 128 else 4)
    assert sorted((pack[0].n_embd, len(pack)) for pack in packs) == [(64, 4), (128, 1), (128, 1)]


def test_a_pack_holds_at_least_one_trial() -> None:
    with pytest.raises(ValueError, match="at least one trial, not 0"):
        pack_trials([SMALL], 0)
    assert pack_trials([], 4) == []


@given(st.lists(st.tuples(st.sampled_from([64, 128]), st.integers(0, 9)), unique=True), st.integers(1, 9))
def test_every_trial_is_in_exactly_one_pack(settings: list[tuple[int, int]], width: int) -> None:
    trials = [replace(SMALL, n_embd=n_embd, seed=seed) for n_embd, seed in settings]
    packs = pack_trials(trials, width)
    assert sorted(trial.id for pack in packs for trial in pack) == sorted(trial.id for trial in trials)
    assert all(1 <= len(pack) <= width for pack in packs)
