"""The splits, their batches and the windows of evaluation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import torch.nn.functional as F

from litegpt.study.trial import Trial
from litegpt.train.batches import Batches
from litegpt.train.tokenized_corpus import IGNORED, TokenizedCorpus

VOCAB = 5000  # above every token of these tests


def test_the_splits_meet_at_the_cut() -> None:
    corpus = TokenizedCorpus(*np.split(np.arange(100), [90]), VOCAB)
    assert corpus.train.tolist() == list(range(90))
    assert corpus.validation.tolist() == list(range(90, 100))


def test_batches_are_sequences_of_the_training_split() -> None:
    corpus = TokenizedCorpus(*np.split(np.arange(100), [90]), VOCAB)
    assert corpus.positions(8) == 82
    last = corpus.positions(8) - 1
    tokens, targets = corpus.batch(torch.tensor([[0, last], [5, 7]]), 8)
    assert tokens.shape == targets.shape == (2, 2, 8)
    assert tokens[0, 1].tolist() == list(range(last, last + 8))
    assert targets[0, 1].tolist() == list(range(last + 1, 90)), "the last target is the split's last token"


@pytest.mark.parametrize("length", [*range(9, 28), 100])
def test_validation_windows_count_each_token_once(length: int) -> None:
    corpus = TokenizedCorpus(*np.split(np.arange(200 + length), [200]), VOCAB)
    windows = corpus.validation_windows(8)
    counted = windows.targets[windows.targets != IGNORED]
    assert sorted(counted.tolist()) == list(range(201, 200 + length)), "every token but the first, once"
    assert windows.count == length - 1
    pairs = windows.targets != IGNORED
    assert torch.equal(windows.inputs[pairs] + 1, windows.targets[pairs])


@pytest.mark.parametrize("length", [9, 20, 100])
def test_training_windows_are_as_many_as_validation_windows_and_evenly_spread(length: int) -> None:
    corpus = TokenizedCorpus(*np.split(np.arange(1000 + length), [1000]), VOCAB)
    windows = corpus.training_windows(8)
    assert len(windows.inputs) == len(corpus.validation_windows(8).inputs)
    assert windows.count == windows.targets.numel()
    assert len(windows.targets.unique()) == windows.count, "no token twice"
    starts = windows.inputs[:, 0]
    gaps = starts.diff()
    assert torch.equal(windows.inputs + 1, windows.targets)
    assert windows.targets.max() < 1000
    if len(starts) > 1:
        assert gaps.max() - gaps.min() <= 8
        assert starts[-1] + gaps.max() + 8 >= 1000 - 16, "to the end of the split"


def test_training_windows_cover_a_split_shorter_than_validation() -> None:
    windows = TokenizedCorpus(*np.split(np.arange(100), [20]), VOCAB).training_windows(8)
    assert windows.inputs[:, 0].tolist() == [0, 8]


@pytest.mark.parametrize("block_size", [8, 13])
def test_an_evaluation_is_the_exact_mean_over_the_split(
    small: Trial,
    pack_of,
    corpus: TokenizedCorpus,
    block_size: int,
) -> None:
    """The test computes it token by token, each with the context in its window."""
    trials = [dataclasses.replace(small, block_size=block_size, seed=seed, dropout=0.5) for seed in (1, 2)]
    pack = pack_of(*trials)
    for _ in range(5):
        pack.advance()
    train_losses, val_losses = pack.evaluate()
    split = corpus.validation
    last = len(split) - 1
    for index in range(2):
        losses = []
        for target in range(1, last + 1):
            start = (target - 1) // block_size * block_size
            if start + block_size > last:  # the last window is shifted back to be full
                start = last - block_size
            context = split[start:target].expand(2, 1, -1)
            logits = pack.model.logits(context).view(2, -1, pack.model.shape.vocab_size)[index, -1]
            losses.append(F.cross_entropy(logits, split[target]).item())
        assert len(losses) == last
        assert val_losses[index].item() == pytest.approx(sum(losses) / last, abs=1e-5)
    assert torch.isfinite(train_losses).all()
    again = pack.evaluate()
    assert torch.equal(again[1], val_losses), "no dropout, nothing random"
    assert torch.equal(again[0], train_losses)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_streamed_batches_equal_held_ones(small: Trial, dtype: type, monkeypatch) -> None:
    """Over several tables of steps, and for a resumed pack that starts in the middle of one."""
    monkeypatch.setattr("litegpt.train.batches.STREAMED_TOKENS", 3 * 2 * small.batch_size * (small.block_size + 1))
    trials = [dataclasses.replace(small, seed=seed) for seed in range(2)]
    splits = np.split(np.random.default_rng(0).integers(0, 20, 2000).astype(dtype), [1800])
    held, streamed = TokenizedCorpus(*splits, VOCAB), TokenizedCorpus(*splits, VOCAB, streamed=True)
    for steps in (range(10), range(4, 9)):
        ways = [(corpus, Batches(trials, corpus)) for corpus in (held, streamed)]
        for step in steps:
            (inputs, targets), (same_inputs, same_targets) = (
                corpus.batch(batches.at(step), small.block_size) for corpus, batches in ways
            )
            assert torch.equal(inputs, same_inputs)
            assert torch.equal(targets, same_targets)
            assert torch.equal(inputs[..., 1:], targets[..., :-1])


def test_a_mapped_corpus_is_not_copied_into_memory(small: Trial, tmp_path: Path) -> None:
    memory = psutil.virtual_memory().total + psutil.swap_memory().total
    with (tmp_path / "train.bin").open("wb") as file:
        file.truncate(memory + 1000)  # a sparse file, so it takes no disk space
    train = np.memmap(tmp_path / "train.bin", np.uint8, mode="r")
    for streamed in (False, True):
        corpus = TokenizedCorpus(train, np.zeros(100, dtype=np.uint8), VOCAB, streamed=streamed)
        short = dataclasses.replace(small, max_iters=2)
        inputs, targets = corpus.batch(Batches([short], corpus).at(0), small.block_size)
        assert inputs.shape == targets.shape == (1, small.batch_size, small.block_size)
        assert corpus.training_windows(8).count == 13 * 8, "as many whole windows as the 99 validation targets take"


def test_a_long_split_is_evaluated_in_windows_spread_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litegpt.train.tokenized_corpus.EVALUATED_TOKENS", 80)
    corpus = TokenizedCorpus(np.arange(5000), np.arange(1000), VOCAB)
    for windows, length in ((corpus.validation_windows(8), 1000), (corpus.training_windows(8), 5000)):
        assert windows.count == windows.inputs.numel() == 80
        assert (windows.targets == windows.inputs + 1).all()
        assert windows.inputs[0, 0] == 0
        assert windows.inputs[-1, 0] > 0.8 * length
