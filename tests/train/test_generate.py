"""Text generation."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from litegpt.study.trial import Trial
from litegpt.train.generate import generate
from litegpt.train.model import GPT, ModelShape

VOCAB = 21


@pytest.fixture
def model(small: Trial) -> GPT:
    """Three trials with large random weights, so that their tokens have different probabilities."""
    model = GPT(ModelShape.of(small, VOCAB), 3)
    with torch.no_grad():
        model.weights.normal_(0.0, 0.4, generator=torch.Generator().manual_seed(3))
    return model


def test_text_is_a_function_of_the_seed(model: GPT) -> None:
    texts = [list(generate(model, [1, 2], 30, seed=seed)) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 30
    assert all(len(tokens) == 3 and all(0 <= token < VOCAB for token in tokens) for tokens in texts[0])


def test_text_does_not_depend_on_the_pack_or_on_other_draws(small: Trial, model: GPT) -> None:
    alone = GPT(ModelShape.of(small, VOCAB), 1)
    with torch.no_grad():
        alone.weights.copy_(model.weights[1:2])
    packed = [tokens[1] for tokens in generate(model, [1, 2], 30, seed=4)]
    torch.manual_seed(99)
    torch.rand(5)
    assert [tokens[0] for tokens in generate(alone, [1, 2], 30, seed=4)] == packed


def test_temperature_0_takes_the_most_likely_token(model: GPT) -> None:
    tokens = [3]
    for following in generate(model, [3], 12, temperature=0.0, seed=5):
        context = torch.tensor(tokens[-model.shape.block_size :]).expand(3, 1, -1)
        logits = model.logits(context).view(3, -1, VOCAB)[0, -1]
        assert following[0] == logits.argmax().item()
        tokens.append(following[0])
    assert [t[0] for t in generate(model, [3], 12, temperature=0.0, seed=6)] == tokens[1:]


def test_top_k_draws_from_the_k_most_likely_tokens(model: GPT) -> None:
    logits = model.logits(torch.tensor([3]).expand(3, 1, -1)).view(3, VOCAB)
    allowed = [set(row.topk(4).indices.tolist()) for row in logits]
    drawn: list[set[int]] = [set(), set(), set()]
    for seed in range(200):
        for seen, token in zip(drawn, next(generate(model, [3], 1, temperature=2.0, top_k=4, seed=seed)), strict=True):
            seen.add(token)
    assert drawn == allowed
    one = list(generate(model, [3], 10, top_k=1, seed=1))
    assert one == list(generate(model, [3], 10, temperature=0.0))
    assert list(generate(model, [3], 10, top_k=1000, seed=1)) == list(generate(model, [3], 10, seed=1))


def test_tokens_are_drawn_from_the_softmax(model: GPT) -> None:
    expected = (model.logits(torch.tensor([3]).expand(3, 1, -1)).view(3, VOCAB) / 0.7).softmax(dim=-1)
    counts = torch.zeros(3, VOCAB)
    draws = 1500
    for seed in range(draws):
        for trial, token in enumerate(next(generate(model, [3], 1, temperature=0.7, seed=seed))):
            counts[trial, token] += 1
    deviation = (expected * (1 - expected) / draws).sqrt()
    assert ((counts / draws - expected).abs() <= 5 * deviation + 1e-3).all()


@pytest.mark.parametrize("length", [1, 7, 8, 9, 40])
def test_a_prompt_may_be_longer_than_the_block(model: GPT, length: int) -> None:
    prompt = list(itertools.islice(itertools.cycle([1, 5, 2, 9, 4]), length))
    texts = [list(generate(model, start, 12, seed=2)) for start in (prompt, prompt[-model.shape.block_size :])]
    assert texts[0] == texts[1], "what lies further back than a block is not seen"


def test_generation_uses_no_dropout_and_does_not_change_the_model(pack_of, small: Trial) -> None:
    pack = pack_of(dataclasses.replace(small, dropout=0.5))
    pack.advance()
    before = pack.model.weights.clone()
    texts = [list(generate(pack.model, [1], 20, seed=1)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert torch.equal(pack.model.weights, before)
