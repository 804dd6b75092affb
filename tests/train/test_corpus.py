"""The tokenizer, the splits and the windows of evaluation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from litegpt.plan.trial import Trial
from litegpt.train.corpus import IGNORED, CharacterTokenizer, Corpus


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_text_survives_the_tokenizer(text: str) -> None:
    tokenizer = CharacterTokenizer(tuple(sorted(set(text))))
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.int64
    assert tokens.max() < tokenizer.vocab_size == len(set(text))
    assert tokenizer.decode(tokens.tolist()) == text


def test_tokens_are_in_code_point_order() -> None:
    tokenizer = CharacterTokenizer("\nab€😀")
    assert tokenizer.encode("😀b\n€a").tolist() == [4, 2, 0, 3, 1]


@pytest.mark.parametrize("unknown", ["!", "~", "é", "😀"])
def test_an_unknown_character_is_named(unknown: str) -> None:
    with pytest.raises(ValueError, match=f"{unknown!r} is not in the vocabulary"):
        CharacterTokenizer("abc").encode(f"ab{unknown}c")


def test_the_empty_text_has_no_tokens() -> None:
    assert CharacterTokenizer("abc").encode("").tolist() == []


def test_the_splits_meet_at_the_cut() -> None:
    corpus = Corpus(np.arange(100), 90)
    assert corpus.train.tolist() == list(range(90))
    assert corpus.validation.tolist() == list(range(90, 100))


def test_batches_are_sequences_of_the_training_split() -> None:
    corpus = Corpus(np.arange(100), 90)
    assert corpus.positions(8) == 82
    last = corpus.positions(8) - 1
    tokens, targets = corpus.batch(torch.tensor([[0, last], [5, 7]]), 8)
    assert tokens.shape == targets.shape == (2, 2, 8)
    assert tokens[0, 1].tolist() == list(range(last, last + 8))
    assert targets[0, 1].tolist() == list(range(last + 1, 90)), "the last target is the split's last token"


@pytest.mark.parametrize("length", [*range(9, 28), 100])
def test_validation_windows_count_each_token_once(length: int) -> None:
    corpus = Corpus(np.arange(200 + length), 200)
    windows = corpus.validation_windows(8)
    counted = windows.targets[windows.targets != IGNORED]
    assert sorted(counted.tolist()) == list(range(201, 200 + length)), "every token but the first, once"
    assert windows.count == length - 1
    pairs = windows.targets != IGNORED
    assert torch.equal(windows.inputs[pairs] + 1, windows.targets[pairs])


@pytest.mark.parametrize("length", [9, 20, 100])
def test_training_windows_are_as_many_and_spread_over_the_split(length: int) -> None:
    corpus = Corpus(np.arange(1000 + length), 1000)
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


def test_training_windows_of_a_split_shorter_than_validation_are_all_of_it() -> None:
    windows = Corpus(np.arange(100), 20).training_windows(8)
    assert windows.inputs[:, 0].tolist() == [0, 8]


@pytest.mark.parametrize("block_size", [8, 13])
def test_an_evaluation_is_the_exact_mean_over_the_split(
    small: Trial,
    pack_of,  # type: ignore[no-untyped-def]
    corpus: Corpus,
    block_size: int,
) -> None:
    """Token by token, each with the context that its window gives it."""
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
