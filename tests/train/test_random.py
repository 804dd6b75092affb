"""Batches and dropout masks, which depend on seed and step but not on the pack."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from litegpt.study.trial import Trial
from litegpt.train.model import GPT, ModelShape
from litegpt.train.random import DeviceDropout, DropoutMasks, batch_starts

CPU = torch.device("cpu")


def test_batches_do_not_depend_on_pack_slot_or_range() -> None:
    alone = batch_starts([7], range(100), 16, 1000)[:, 0]
    packed = batch_starts([1, 7, 2, 7], range(100), 16, 1000)
    assert np.array_equal(alone, packed[:, 1])
    assert np.array_equal(alone, packed[:, 3])
    assert np.array_equal(alone[37:64], batch_starts([7], range(37, 64), 16, 1000)[:, 0])
    assert np.array_equal(alone[:, :4], batch_starts([7], range(100), 4, 1000)[:, 0])


def test_batches_differ_between_seeds_steps_and_indices() -> None:
    starts = batch_starts([0, 1, 2, 2**63 - 1], range(64), 16, 2**40)
    assert len(np.unique(starts)) == starts.size


def test_batches_start_everywhere_and_equally_often() -> None:
    counts = np.bincount(batch_starts([3], range(2000), 50, 10).ravel(), minlength=10)
    assert len(counts) == 10
    assert counts == pytest.approx(np.full(10, 10_000), abs=500)  # five standard deviations
    assert (batch_starts([3], range(10), 4, 1) == 0).all()


def masks_of(seeds: list[int], rates: list[float], step: int, *sizes: int) -> list[torch.Tensor]:
    dropout = DropoutMasks(seeds, rates, sum(sizes), CPU)
    dropout.draw(step)
    return [dropout.mask(torch.empty(len(seeds), size)) for size in sizes]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_masks_drop_at_the_rate_and_keep_the_mean(rate: float) -> None:
    (mask,) = masks_of([1], [rate], 0, 100_000)
    assert (mask == 0).float().mean().item() == pytest.approx(rate, abs=0.01)
    assert mask.mean().item() == pytest.approx(1.0, abs=0.05)
    assert mask.max().item() == pytest.approx(1 / (1 - rate))


def test_masks_do_not_depend_on_the_pack() -> None:
    alone = masks_of([7], [0.2], 5, 100, 33)
    packed = masks_of([1, 7, 7], [0.5, 0.2, 0.0], 5, 100, 33)
    for single, several in zip(alone, packed, strict=True):
        assert torch.equal(single[0], several[1])
        assert (several[2] == 1).all()


def test_masks_differ_between_seeds_steps_and_layers() -> None:
    first, second = masks_of([1, 2], [0.5, 0.5], 5, 200, 200)
    (later,) = masks_of([1, 2], [0.5, 0.5], 6, 200)
    assert len({tuple(mask.tolist()) for mask in (*first, *second, *later)}) == 6


def test_a_devices_dropout_has_a_rate_for_each_trial() -> None:
    dropout = DeviceDropout([1, 2, 3, 4], [0.0, 0.5, 0.5, 0.9])
    assert dropout.fused_attention_rates == ((1, 0.0), (2, 0.5), (1, 0.9))
    torch.manual_seed(0)
    dropped = dropout.drop(torch.ones(4, 40_000))
    assert (dropped == 0).float().mean(dim=1).tolist() == pytest.approx([0.0, 0.5, 0.5, 0.9], abs=0.02)
    assert dropped.mean(dim=1).tolist() == pytest.approx([1.0] * 4, abs=0.05)
    assert not torch.equal(dropped[1], dropped[2])


def test_a_devices_dropout_has_the_same_effect_on_losses(small: Trial) -> None:
    """Its masks differ from a CPU's, so the mean losses over draws agree within their error."""
    trial, draws = dataclasses.replace(small, n_layer=2), 100
    model = GPT(ModelShape.of(trial, 21), 2)
    with torch.no_grad():
        model.weights.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(1))
    tokens = torch.randint(21, (2, 4, 8), generator=torch.Generator().manual_seed(2))
    elements = 2 * 4 * 8 * (2 * trial.n_embd + trial.n_head * 8)
    ours, theirs = DropoutMasks([1, 2], [0.2, 0.6], elements, CPU), DeviceDropout([1, 2], [0.2, 0.6])
    losses = torch.zeros(2, draws, 2)
    torch.manual_seed(0)
    with torch.no_grad():
        for draw in range(draws):
            ours.draw(draw)
            for kind, dropout in enumerate((ours, theirs)):
                losses[kind, draw] = model.losses(tokens, tokens.roll(1, -1), dropout)
    means, errors = losses.mean(dim=1), losses.std(dim=1) / draws**0.5
    assert ((means[0] - means[1]).abs() < 4 * errors.norm(dim=0)).all()
    assert (means[:, 1] - means[:, 0]).abs().min() > 4 * errors.max(), "the rates make a difference"
