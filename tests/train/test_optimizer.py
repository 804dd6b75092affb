"""AdamW against torch's AdamW, and loss scaling against torch's GradScaler."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from litegpt.study.trial import Trial
from litegpt.train import optimizer
from litegpt.train.optimizer import AdamW, LossScale

STEPS = 6


def gradients_of(step: int, rows: int = 3, columns: int = 40) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(step))


@pytest.fixture
def trials(small: Trial) -> list[Trial]:
    return [
        small,
        dataclasses.replace(small, weight_decay=0.5, beta1=0.8, beta2=0.95, grad_clip=2.0),
        dataclasses.replace(small, weight_decay=0.0, beta1=0.0, grad_clip=100.0),
    ]


def rates_at(step: int) -> Tensor:
    return torch.tensor([1e-2, 3e-3 * (step + 1), 1e-1], dtype=torch.float64)


def test_adamw_equals_torchs(trials: list[Trial]) -> None:
    weights = gradients_of(100)
    rows = [nn.Parameter(row.clone()) for row in weights]
    theirs = [
        torch.optim.AdamW([row], betas=(trial.beta1, trial.beta2), weight_decay=trial.weight_decay)
        for row, trial in zip(rows, trials, strict=True)
    ]
    ours = AdamW(trials, weights)
    for step in range(STEPS):
        gradients, rates = gradients_of(step), rates_at(step)
        for row, gradient, adamw, rate, trial in zip(rows, gradients, theirs, rates, trials, strict=True):
            row.grad = gradient.clone()
            if trial.grad_clip:
                nn.utils.clip_grad_norm_([row], trial.grad_clip)
            adamw.param_groups[0]["lr"] = rate.item()
            adamw.step()
        ours.update(weights, gradients, gradients.norm(dim=1).double(), rates, torch.ones(3, dtype=torch.bool))
        torch.testing.assert_close(weights, torch.stack([row.detach() for row in rows]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("poison", [1.0, float("nan"), float("inf")])
def test_a_frozen_trial_and_its_neighbours_keep_their_bits(trials: list[Trial], poison: float) -> None:
    weights, others = gradients_of(100), gradients_of(100)
    still, free = AdamW(trials, weights), AdamW(trials, others)
    everybody = torch.ones(3, dtype=torch.bool)
    for step in range(STEPS):
        held = step == 3
        gradients = gradients_of(step)
        norms = gradients.norm(dim=1).double()
        free.update(others, gradients.clone(), norms, rates_at(step), everybody)
        before = [weights[1].clone(), still.first[1].clone(), still.second[1].clone(), still.updates[1].clone()]
        if held:
            gradients[1] *= poison
            norms[1] *= poison
        still.update(weights, gradients, norms, rates_at(step), torch.tensor([True, not held, True]))
        if held:
            after = [weights[1], still.first[1], still.second[1], still.updates[1]]
            assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert still.updates.tolist() == [STEPS, STEPS - 1, STEPS]
    for index in (0, 2):
        assert torch.equal(weights[index], others[index])
    assert not torch.equal(weights[1], others[1])


def test_a_skipped_step_leaves_no_trace(small: Trial) -> None:
    weights, others = gradients_of(100, rows=1), gradients_of(100, rows=1)
    held, whole = AdamW([small], weights), AdamW([small], others)
    rate, yes = torch.tensor([1e-2], dtype=torch.float64), torch.tensor([True])
    for step in range(STEPS):
        gradients = gradients_of(step, rows=1)
        if step == 2:
            nothing = torch.full_like(gradients, float("inf"))
            held.update(weights, nothing, nothing.norm(dim=1).double(), rate, ~yes)
        for adamw, row in ((held, weights), (whole, others)):
            adamw.update(row, gradients.clone(), gradients.norm(dim=1).double(), rate, yes)
    assert torch.equal(weights, others)


OVERFLOWS = {0: set(), 1: {5, 6, 7, 125}, 2: {0, 39, 79, 80}}
"""The steps at which each of three trials overflows."""


def test_the_loss_scale_follows_torchs_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares every step, with a short growth interval so that growth happens."""
    monkeypatch.setattr(optimizer, "GROWTH_INTERVAL", 40)
    ours = LossScale(3, torch.device("cpu"))
    everybody, scales = torch.ones(3, dtype=torch.bool), []
    for step in range(210):
        ours.adjust(torch.tensor([step in OVERFLOWS[index] for index in range(3)]), everybody)
        scales.append(ours.scale.tolist())
    assert ours.skipped.tolist() == [len(steps) for steps in OVERFLOWS.values()]
    parameter = nn.Parameter(torch.ones(1))
    sgd = torch.optim.SGD([parameter], lr=0.0)
    for index, overflows in OVERFLOWS.items():
        scaler = torch.amp.GradScaler("cpu", growth_interval=40)
        scaler.scale(torch.ones(1))  # creates the scale
        parameter.grad = torch.ones(1)
        for step in range(210):
            parameter.grad.fill_(float("inf") if step in overflows else 1.0)
            scaler.step(sgd)
            scaler.update()
            assert scales[step][index] == scaler.get_scale(), f"trial {index} at step {step}"


def test_the_loss_scales_constants_are_those_of_torchs_scaler() -> None:
    scaler = torch.amp.GradScaler("cpu")
    theirs = (scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval())
    assert theirs == (optimizer.GROWTH, optimizer.BACKOFF, optimizer.GROWTH_INTERVAL)
    assert scaler.state_dict()["scale"] == optimizer.INITIAL_SCALE


def test_the_loss_scale_of_a_diverged_trial_does_not_change() -> None:
    scale = LossScale(2, torch.device("cpu"))
    for overflowed in (True, False):
        scale.adjust(torch.tensor([overflowed, overflowed]), torch.tensor([True, False]))
    assert scale.scale.tolist() == [32768.0, 65536.0]
    assert scale.skipped.tolist() == [1.0, 0.0]
    assert scale.clean_updates.tolist() == [1.0, 0.0]
