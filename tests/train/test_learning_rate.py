"""The learning rate of every step."""

from __future__ import annotations

import dataclasses
import math

import pytest

from litegpt.study.evaluation import evaluation_steps
from litegpt.study.trial import Trial
from litegpt.train.optimizer import learning_rate


def test_a_constant_rate_is_constant(small: Trial) -> None:
    assert {learning_rate(small, step) for step in range(small.max_iters)} == {small.learning_rate}


def test_warm_up_is_linear_and_reaches_the_full_rate(small: Trial) -> None:
    trial = dataclasses.replace(small, warmup_iters=4)
    rates = [learning_rate(trial, step) / trial.learning_rate for step in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_cosine_equals_nanogpts(small: Trial) -> None:
    trial = dataclasses.replace(
        small, learning_rate=1e-3, lr_schedule="cosine", min_learning_rate=1e-4, warmup_iters=10, max_iters=110
    )
    for step in range(10, 110):
        coefficient = 0.5 * (1 + math.cos(math.pi * (step - 10) / 100))
        assert learning_rate(trial, step) == pytest.approx(1e-4 + coefficient * 9e-4)
    assert learning_rate(trial, 10) == pytest.approx(1e-3)
    assert learning_rate(trial, 60) == pytest.approx(5.5e-4)
    assert learning_rate(trial, 110) == pytest.approx(1e-4)


def test_a_warm_up_may_be_as_long_as_the_training(small: Trial) -> None:
    trial = dataclasses.replace(small, warmup_iters=50, max_iters=50, lr_schedule="cosine")
    rates = [learning_rate(trial, step) for step in range(51)]
    assert all(0 < rate <= trial.learning_rate for rate in rates)


@pytest.mark.parametrize(
    ("max_iters", "interval", "steps"), [(50, 20, [0, 20, 40, 50]), (40, 20, [0, 20, 40]), (5, 20, [0, 5])]
)
def test_a_trial_is_evaluated_at_0_at_every_interval_and_at_the_end(
    small: Trial, max_iters: int, interval: int, steps: list[int]
) -> None:
    assert evaluation_steps(dataclasses.replace(small, max_iters=max_iters, eval_interval=interval)) == steps
