"""The variants of the model, each against a plain implementation of one trial, and in packs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from litegpt.estimate.cost import orthogonal_flops, parameter_count
from litegpt.study.trial import Trial
from litegpt.train.generate import generate
from litegpt.train.model import GPT, ModelShape, parameter_shapes
from litegpt.train.optimizer import orthogonal
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus
from litegpt.train.tokenizer import CharacterTokenizer
from tests.train.plain import plain_logits

VOCAB = 21
VARIANTS: list[dict[str, object]] = [
    *({"activation": activation} for activation in ("gelu", "relu2", "swiglu")),
    {"norm": "rms"},
    {"positions": "rope"},
    {"tied_weights": True},
    {"qk_norm": True},
    {"attention_scale": "width"},
    {"activation": "swiglu", "norm": "rms", "positions": "rope", "tied_weights": True, "qk_norm": True},
]


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(map(str, variant)))
def variant(request: pytest.FixtureRequest, small: Trial) -> Trial:
    return dataclasses.replace(small, n_layer=2, n_embd=32, n_head=2, **request.param)


def test_training_without_variants_has_not_changed() -> None:
    """The figures are exact on the machine that measured them; others round differently."""
    text = (Path(__file__).parents[2] / "data" / "novella.txt").read_text(encoding="utf-8")[:20_000]
    tokenizer = CharacterTokenizer(sorted(set(text)))
    corpus = TokenizedCorpus(*np.split(tokenizer.encode(text), [18_000]), tokenizer.vocab_size)
    trials = [Trial(2, 2, 32, 16, 8, 3e-3, 20, seed=seed) for seed in (1337, 7)]
    pack = Pack(trials, corpus, "fp32")
    for _ in range(20):
        pack.advance()
    train_losses, val_losses = pack.evaluate()
    assert train_losses.tolist() == pytest.approx([2.884263916, 2.921365723], abs=1e-3)
    assert val_losses.tolist() == pytest.approx([2.870182894, 2.914542965], abs=1e-3)


@pytest.mark.parametrize("n_trials", [1, 3])
def test_logits_and_gradients_equal_a_plain_models(variant: Trial, n_trials: int) -> None:
    model = GPT(ModelShape.of(variant, VOCAB), n_trials)
    with torch.no_grad():
        model.weights.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(1))
    tokens = torch.randint(VOCAB, (n_trials, 2, variant.block_size), generator=torch.Generator().manual_seed(2))
    logits = model.logits(tokens).view(n_trials, 2, variant.block_size, VOCAB)
    model.losses(tokens, tokens.roll(1, dims=2)).sum().backward()
    for index in range(n_trials):
        weights = {name: view[index].clone().requires_grad_() for name, view in model.views(model.weights).items()}
        expected = torch.stack([plain_logits(variant, weights, sequence) for sequence in tokens[index]])
        torch.testing.assert_close(logits[index], expected, atol=2e-4, rtol=1e-4)
        F.cross_entropy(expected.flatten(0, 1), tokens[index].roll(1, dims=1).flatten()).backward()
        for name, view in model.views(model.gradients).items():
            torch.testing.assert_close(view[index], weights[name].grad, atol=2e-4, rtol=1e-3, msg=name)


def test_parameter_count_equals_the_variants_parameters(variant: Trial) -> None:
    elements = sum(math.prod(shape) for _, shape in parameter_shapes(ModelShape.of(variant, VOCAB)))
    assert elements == parameter_count(variant, VOCAB)


def test_a_new_model_predicts_at_chance(variant: Trial) -> None:
    wide = dataclasses.replace(variant, n_embd=256, batch_size=32)
    model = GPT(ModelShape.of(wide, VOCAB), 1)
    model.initialise([wide])
    tokens = torch.randint(VOCAB, (1, 32, wide.block_size + 1), generator=torch.Generator().manual_seed(2))
    loss = model.losses(tokens[..., :-1], tokens[..., 1:]).item()
    if variant.tied_weights:  # its logits favour the current token
        assert math.log(VOCAB) < loss < math.log(VOCAB) + 0.5 * wide.n_embd**0.5
    else:
        assert loss == pytest.approx(math.log(VOCAB), abs=0.4)


@pytest.mark.parametrize(("optimizer", "dropout"), [("adamw", 0.0), ("muon", 0.2)])
def test_a_pack_of_three_equals_three_solo_runs(pack_of, variant: Trial, optimizer: str, dropout: float) -> None:
    trials = [
        dataclasses.replace(variant, optimizer=optimizer, dropout=dropout, seed=seed, learning_rate=rate)
        for seed, rate in enumerate((1e-3, 3e-3, 1e-2))
    ]
    together, alone = pack_of(*trials), [pack_of(trial) for trial in trials]
    for _ in range(8):
        for pack in (together, *alone):
            pack.advance()
    losses = [pack.minibatch_losses.item() for pack in alone]
    assert together.minibatch_losses.tolist() == pytest.approx(losses, abs=1e-4)


@pytest.mark.parametrize("shape", [(16, 16), (16, 48), (48, 16)])
def test_orthogonal_keeps_singular_vectors_and_equalises_singular_values(shape: Sequence[int]) -> None:
    matrices = torch.randn(2, *shape, generator=torch.Generator().manual_seed(3))
    for matrix, made in zip(matrices, orthogonal(matrices), strict=True):
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        levelled = left.T @ made @ right.T
        assert (levelled - levelled.diag().diag()).abs().max() < 1e-3
        assert levelled.diag().min() > 0.4
        assert levelled.diag().max() < 1.3


@pytest.mark.parametrize(("activation", "side_by_side"), [("relu", {"qkv": 3}), ("swiglu", {"qkv": 3, "up": 2})])
def test_muon_moves_matrices_along_orthogonal_momentum_and_others_as_adamw(
    pack_of,
    small: Trial,
    activation: str,
    side_by_side: dict[str, int],
) -> None:
    base = dataclasses.replace(small, weight_decay=0.1, dropout=0.0, learning_rate=1e-2, activation=activation)
    trials = [dataclasses.replace(base, beta1=beta1) for beta1 in (0.9, 0.5)]
    adam, muon = pack_of(*trials), pack_of(*(dataclasses.replace(trial, optimizer="muon") for trial in trials))
    adam.advance()
    others = adam.model.views(adam.model.weights)
    for step in range(3):
        before = {name: view.clone() for name, view in muon.model.views(muon.model.weights).items()}
        muon.advance()
        momenta = muon.model.views(muon.optimizer.first)
        for name, after in muon.model.views(muon.model.weights).items():
            if not name.startswith("blocks.") or after.dim() < 3:
                assert step > 0 or torch.equal(after, others[name]), name
                continue
            parts = momenta[name].chunk(side_by_side.get(name.split(".")[-2], 1), dim=2)
            steps = [orthogonal(part) * 0.2 * max(part.shape[1:]) ** 0.5 for part in parts]
            expected = before[name] * (1 - 1e-2 * 0.1) - 1e-2 * torch.cat(steps, dim=2)
            torch.testing.assert_close(after, expected, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_diverging_trial_does_not_affect_its_neighbours(pack_of, variant: Trial, optimizer: str) -> None:
    trials = [dataclasses.replace(variant, optimizer=optimizer, seed=seed) for seed in (1, 2, 3)]
    control, diverging = pack_of(*trials), pack_of(*trials)
    with torch.no_grad():
        diverging.model.weights[1] = float("nan")
    for _ in range(3):
        control.advance()
        diverging.advance()
    assert diverging.alive.tolist() == [True, False, True]
    for index in (0, 2):
        assert torch.equal(control.model.weights[index], diverging.model.weights[index])


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 48), (1, 48, 16)])
def test_orthogonal_flops_equals_the_counted_operations(shape: tuple[int, ...]) -> None:
    with FlopCounterMode(display=False) as counter:
        orthogonal(torch.ones(shape))
    m, n = sorted(shape[1:])
    assert counter.get_total_flops() == shape[0] * orthogonal_flops(m, n)


def test_generation_with_rotary_positions_continues_past_a_block() -> None:
    trial = Trial(1, 2, 16, 8, 4, 1e-3, 10, positions="rope")
    model = GPT(ModelShape.of(trial, VOCAB), 1)
    with torch.no_grad():
        model.weights.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(1))
        weights = {name: view[0] for name, view in model.views(model.weights).items()}
        tokens = [1, 2, 3]
        for (chosen,) in generate(model, tokens[:3], 12, temperature=0):
            assert chosen == int(plain_logits(trial, weights, torch.tensor(tokens[-8:]))[-1].argmax())
            tokens.append(chosen)
