"""Gradient accumulation and activation checkpointing: less memory, the same training."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from litegpt.study.trial import Trial
from litegpt.train.pack import Pack


def trained(pack: Pack, steps: int = 12) -> torch.Tensor:
    """Return the minibatch losses [steps, P]."""
    rows = []
    for _ in range(steps):
        pack.advance()
        rows.append(pack.minibatch_losses.clone())
    return torch.stack(rows)


@pytest.mark.parametrize(("precision", "dropout", "parts"), [("fp32", 0.0, 1), ("fp32", 0.3, 3), ("bf16", 0.3, 1)])
def test_checkpointing_changes_no_bit(
    pack_of,
    mixed: list[Trial],
    precision: str,
    dropout: float,
    parts: int,
) -> None:
    """With dropout, too: a block's second computation uses the masks of the first."""
    trials = [
        dataclasses.replace(trial, n_layer=2, precision=precision, dropout=dropout, gradient_accumulation=parts)
        for trial in mixed[:2]
    ]
    plain = pack_of(*trials)
    checkpointed = pack_of(*(dataclasses.replace(trial, activation_checkpointing=True) for trial in trials))
    assert torch.equal(trained(plain), trained(checkpointed))
    assert torch.equal(plain.model.weights, checkpointed.model.weights)


def test_accumulated_gradients_equal_those_of_the_whole_batch(pack_of, mixed: list[Trial]) -> None:
    whole = pack_of(*mixed)
    parts = pack_of(*(dataclasses.replace(trial, gradient_accumulation=4) for trial in mixed))
    assert (whole.micro_batches, parts.micro_batches) == (1, 4)
    torch.testing.assert_close(trained(parts), trained(whole), atol=1e-5, rtol=0)


def test_accumulation_with_dropout_draws_other_masks_for_each_part(pack_of, small: Trial) -> None:
    """Two parts must not share masks, or accumulation would drop the same elements in each part."""
    trial = dataclasses.replace(small, dropout=0.5, gradient_accumulation=4)
    pack = pack_of(trial)
    pack.dropout.draw(0)
    first = pack.dropout.masks.clone()
    pack.dropout.draw_more()
    assert not torch.equal(first, pack.dropout.masks)
    pack.dropout.draw(0)
    assert torch.equal(first, pack.dropout.masks)
    whole = pack_of(dataclasses.replace(trial, gradient_accumulation=1))
    assert first.numel() <= whole.dropout.masks.numel() / 3, "and they take a part of the memory"


def test_the_mean_loss_with_dropout_does_not_depend_on_the_parts(pack_of, small: Trial) -> None:
    """Compares means over seeds, within their error."""
    trials = [dataclasses.replace(small, seed=seed, dropout=0.3) for seed in range(16)]
    whole = trained(pack_of(*trials), 30)[15:].mean(dim=0)
    parts = trained(pack_of(*(dataclasses.replace(t, gradient_accumulation=2) for t in trials)), 30)[15:].mean(dim=0)
    difference = parts - whole  # paired: the batches are the same
    error = difference.std() / len(trials) ** 0.5
    assert error < 0.02
    assert difference.mean().abs() < 4 * error
