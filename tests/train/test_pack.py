"""A pack of N trials equals N solo runs, and no trial affects another."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from litegpt.estimate.packs import Tuning
from litegpt.study.trial import Trial
from litegpt.train.checkpoint import read_checkpoint
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus

LOSSES = pytest.approx


def assert_same_losses(left: dict[int, tuple], right: dict[int, tuple]) -> None:
    assert left.keys() == right.keys()
    for step, losses in left.items():
        assert losses == LOSSES(right[step], abs=1e-5), f"at step {step}"


@pytest.mark.parametrize("dropout", [(0.0,) * 5, (0.2, 0.5, 0.0, 0.3, 0.2)])
def test_a_pack_equals_its_solo_runs(train, mixed: list[Trial], dropout: tuple[float, ...]) -> None:
    """The trials differ in learning rate, decay, betas, clip, schedule, seed and dropout, for 50 steps in fp32."""
    trials = [dataclasses.replace(trial, dropout=rate) for trial, rate in zip(mixed, dropout, strict=True)]
    packed = train(*trials)
    for index, trial in enumerate(trials):
        alone = train(trial)
        assert_same_losses(packed.seen.losses(index), alone.seen.losses(0))
        assert packed.seen.endings[index].state == alone.seen.endings[0].state == "done"
        assert packed.seen.evaluations[index][-1].learning_rate == alone.seen.evaluations[0][-1].learning_rate
    finals = {packed.seen.losses(index)[50][1] for index in range(5)}
    assert len(finals) == 5, "the settings make a difference"


def test_minibatch_losses_agree_at_every_step(pack_of, mixed: list[Trial]) -> None:
    packed, alone = pack_of(*mixed), [pack_of(trial) for trial in mixed]
    assert packed.minibatch_losses.isnan().all(), "none before the first update"
    for _ in range(50):
        packed.advance()
        for pack in alone:
            pack.advance()
        solo = torch.cat([pack.minibatch_losses for pack in alone])
        torch.testing.assert_close(packed.minibatch_losses, solo, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("slot", "dropout"), [(0, 0.0), (2, 0.2)])
def test_a_trial_with_an_absurd_rate_diverges_alone(train, mixed: list[Trial], slot: int, dropout: float) -> None:
    trials = [dataclasses.replace(trial, dropout=dropout) for trial in mixed]
    wild = [*trials]
    wild[slot] = dataclasses.replace(trials[slot], learning_rate=1e6, grad_clip=0.0)
    assert_neighbours_untouched(train(*trials), train(*wild), slot)


def test_a_trial_poisoned_with_nan_diverges_alone(train, mixed: list[Trial]) -> None:
    assert_neighbours_untouched(train(*mixed), train(*mixed, poison={1: 13}), 1)


def assert_neighbours_untouched(control, diverging, slot: int) -> None:
    assert diverging.seen.endings[slot].state == "diverged"
    last = diverging.seen.evaluations[slot][-1]
    assert (last.train_loss, last.val_loss) == (None, None), "NaN is nothing, never a number"
    for index in {0, 1, 2, 3, 4} - {slot}:
        assert diverging.seen.endings[index].state == "done"
        assert diverging.seen.losses(index) == control.seen.losses(index), "to the last bit"
        assert torch.equal(diverging.pack.model.weights[index], control.pack.model.weights[index])
        assert torch.equal(diverging.pack.optimizer.second[index], control.pack.optimizer.second[index])


def test_a_diverged_trial_is_frozen(pack_of, mixed: list[Trial]) -> None:
    pack = pack_of(*mixed)
    for _ in range(5):
        pack.advance()
    with torch.no_grad():
        pack.model.weights[1, 3] = float("nan")
    pack.advance()
    assert pack.alive.tolist() == [True, False, True, True, True]
    row, moments = pack.model.weights[1].clone(), pack.optimizer.first[1].clone()
    for _ in range(5):
        pack.advance()
    torch.testing.assert_close(pack.model.weights[1], row, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(pack.optimizer.first[1], moments)
    assert pack.optimizer.updates.tolist() == [11, 5, 11, 11, 11]


def test_a_pack_of_diverged_trials_ends_at_its_next_evaluation(train, small: Trial) -> None:
    over = train(dataclasses.replace(small, learning_rate=1e6), dataclasses.replace(small, learning_rate=1e7))
    assert [over.seen.endings[index].state for index in range(2)] == ["diverged", "diverged"]
    assert over.pack.step == small.eval_interval


def test_a_trial_that_diverges_in_its_last_update_has_diverged(train, small: Trial) -> None:
    """Its last minibatch loss was finite, but the update made its weights infinite or NaN."""
    over = train(dataclasses.replace(small, learning_rate=1e38, max_iters=1))
    assert over.seen.losses(0)[1][1] is None
    assert over.seen.endings[0].state == "diverged"


def test_an_overflow_in_fp16_skips_one_trials_step_and_halves_its_scale(pack_of, mixed: list[Trial]) -> None:
    trials = [dataclasses.replace(trial, precision="fp16") for trial in mixed]
    control, overflowed = pack_of(*trials), pack_of(*trials)
    for pack in (control, overflowed):
        for _ in range(5):
            pack.advance()
    before = overflowed.model.weights[2].clone(), overflowed.optimizer.second[2].clone()
    updates, skipped = overflowed.optimizer.updates[2].item(), overflowed.loss_scale.skipped[2].item()
    overflowed.loss_scale.scale[2] = 2.0**80  # every gradient overflows fp16 then
    for pack in (control, overflowed):
        pack.advance()
    assert overflowed.loss_scale.scale[2] == 2.0**79
    assert overflowed.loss_scale.skipped[2] == skipped + 1
    assert overflowed.loss_scale.clean_updates[2] == 0
    assert overflowed.optimizer.updates[2] == updates
    assert torch.equal(overflowed.model.weights[2], before[0])
    assert torch.equal(overflowed.optimizer.second[2], before[1])
    assert overflowed.alive.all(), "an overflow is not a divergence"
    for index in (0, 1, 3, 4):
        assert torch.equal(overflowed.model.weights[index], control.model.weights[index])
        for name in overflowed.loss_scale.STATE:
            assert getattr(overflowed.loss_scale, name)[index] == getattr(control.loss_scale, name)[index]
    overflowed.loss_scale.scale[2] = 1024.0
    overflowed.advance()
    assert overflowed.optimizer.updates[2] == updates + 1
    assert not torch.equal(overflowed.model.weights[2], before[0])


def test_a_trial_that_overflows_at_every_scale_diverges_alone(pack_of, mixed: list[Trial]) -> None:  # type: ignore[no-untyped-def]
    trials = [dataclasses.replace(trial, precision="fp16") for trial in mixed[:3]]
    control, overflowing = pack_of(*trials), pack_of(*trials)
    overflowing.loss_scale.scale[1] = 2.0**-21
    for pack in (control, overflowing):
        pack.advance()
    assert overflowing.alive.tolist() == [True, False, True]
    for index in (0, 2):
        assert torch.equal(overflowing.model.weights[index], control.model.weights[index])


@pytest.mark.parametrize(("width", "dropout"), [(2, 0.0), (3, 0.2)])
def test_a_narrowed_pack_does_not_change_the_remaining_trials(train, small: Trial, width: int, dropout: float) -> None:
    """Most trials diverge and leave the pack. The last one trains and reports as if it had been alone."""
    trials = [dataclasses.replace(small, seed=seed, dropout=dropout) for seed in range(width)]
    control, diverging = train(*trials), train(*trials, poison=dict.fromkeys(range(width - 1), 25))
    last = width - 1
    assert [diverging.seen.endings[index].state for index in range(width)] == ["diverged"] * last + ["done"]
    assert len(diverging.training.pack.trials) == 1
    assert diverging.seen.losses(last) == control.seen.losses(last)
    for index in range(last):
        assert [evaluation.step for evaluation in diverging.seen.evaluations[index]] == [0, 20, 40]
    for kind in ("checkpoint", "best"):
        tensors = [read_checkpoint(getattr(over.files[last], kind)).tensors for over in (control, diverging)]
        assert all(torch.equal(tensor, tensors[1][name]) for name, tensor in tensors[0].items())


@pytest.mark.parametrize("micro_batches", [3, 4])
def test_a_batch_in_parts_equals_the_whole_batch(
    corpus: TokenizedCorpus, mixed: list[Trial], micro_batches: int
) -> None:
    """With one sequence per part, and with a number of parts that does not divide the batch."""
    whole = Pack(mixed, corpus, "fp32")
    parts = Pack(mixed, corpus, "fp32", tuning=Tuning(micro_batches=micro_batches))
    for _ in range(10):
        whole.advance()
        parts.advance()
        torch.testing.assert_close(parts.minibatch_losses, whole.minibatch_losses, atol=1e-5, rtol=0)
    for left, right in zip(parts.evaluate(), whole.evaluate(), strict=True):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=0)
