from __future__ import annotations

from dataclasses import replace

import pytest

from litegpt.estimate.cost import cost_bound, parameter_count, total_cost, training_flops
from litegpt.study.expand import Bound, Expansion
from litegpt.study.trial import Trial


@pytest.mark.parametrize(
    ("width", "layers", "block", "vocab_size", "parameters"),
    [(64, 2, 32, 86, 112_854), (64, 2, 32, 61, 109_629), (768, 6, 128, 86, 42_745_430)],
)
def test_parameters(trial: Trial, width: int, layers: int, block: int, vocab_size: int, parameters: int) -> None:
    assert parameter_count(replace(trial, n_embd=width, n_layer=layers, block_size=block), vocab_size) == parameters


def test_flops(trial: Trial) -> None:
    weights = 2 * 12 * 64**2 + 64 * 86
    per_token = 6 * weights + 12 * 2 * 64 * 32
    assert training_flops(trial, 86) == per_token * 32 * 32 * 500


def test_the_cost_of_trials(trial: Trial) -> None:
    wide = replace(trial, n_embd=128)
    cost = total_cost([trial, wide], 86)
    assert cost is not None
    assert (cost.parameters_min, cost.parameters_max) == (112_854, parameter_count(wide, 86))
    assert cost.flops == training_flops(trial, 86) + training_flops(wide, 86)
    assert total_cost([], 86) is None


def test_the_highest_cost_of_a_promotion(trial: Trial) -> None:
    wide = replace(trial, n_embd=128)
    cost = cost_bound(Bound(1, Expansion((trial, wide), (), {})), 86)
    assert cost is not None
    assert cost.flops == training_flops(wide, 86)
    assert cost.parameters_min == 112_854
    assert cost_bound(Bound(1, None), 86) is None
