"""The model against one made of torch's own layers, and its trials against one another."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litegpt.estimate.cost import parameter_count
from litegpt.study.trial import Trial
from litegpt.train import model as model_module
from litegpt.train.model import GPT, ModelShape, attend, parameter_shapes, sequences_per_call
from litegpt.train.optimizer import learning_rate
from litegpt.train.random import DropoutMasks, batch_starts
from litegpt.train.tokenized_corpus import TokenizedCorpus

VOCAB = 21


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.weight_dropout, self.output_dropout = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        length, outputs = x.shape[1], []
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        parts = (part(x).chunk(self.heads, dim=-1) for part in (self.query, self.key, self.value))
        for q, k, v in zip(*parts, strict=True):
            scores = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).masked_fill(hidden, float("-inf"))
            outputs.append(self.weight_dropout(scores.softmax(dim=-1)) @ v)
        return self.output_dropout(self.output(torch.cat(outputs, dim=-1)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.dropout(self.down(self.up(self.norm2(x)).relu()))


class PlainGPT(nn.Module):
    """One trial's model, written independently of litegpt.train."""

    def __init__(self, trial: Trial, vocab_size: int = VOCAB) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocab_size, trial.n_embd)
        self.position_embedding = nn.Embedding(trial.block_size, trial.n_embd)
        self.blocks = nn.ModuleList(Block(trial.n_embd, trial.n_head, trial.dropout) for _ in range(trial.n_layer))
        self.norm = nn.LayerNorm(trial.n_embd)
        self.output = nn.Linear(trial.n_embd, vocab_size)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token_embedding(tokens) + self.position_embedding(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.output(self.norm(x))

    @torch.no_grad()
    def copy_from(self, model: GPT, index: int) -> None:
        """Copy the weights of one trial of a pack."""
        source = {name: view[index] for name, view in model.views(model.weights).items()}
        for name, parameter in self.named_parameters():
            name = name.replace(".up.", ".mlp.up.").replace(".down.", ".mlp.down.")
            if any(part in name for part in (".query.", ".key.", ".value.")):
                place = ("query", "key", "value").index(name.split(".")[-2])
                layer = name.split(".")[1]
                value = source[f"blocks.{layer}.attention.qkv.weight"].chunk(3, dim=1)[place].T
            elif name.endswith("weight") and "norm" not in name and "embedding" not in name:
                value = source[name].T
            else:
                value = source[name.replace("embedding.weight", "embedding")]
            assert parameter.shape == value.shape, name
            parameter.copy_(value)


def trials_like(trial: Trial, seeds: Sequence[int], **changes: object) -> list[Trial]:
    return [dataclasses.replace(trial, seed=seed, **changes) for seed in seeds]


def tokens_for(trial: Trial, n_trials: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB, (n_trials, trial.batch_size, trial.block_size), generator=generator)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("width", "heads"), [(16, 1), (48, 3)])
@pytest.mark.parametrize("block_size", [8, 33])
def test_parameter_count_equals_the_models_parameters(
    small: Trial, layers: int, width: int, heads: int, block_size: int
) -> None:
    trial = dataclasses.replace(small, n_layer=layers, n_embd=width, n_head=heads, block_size=block_size)
    elements = sum(math.prod(shape) for _, shape in parameter_shapes(ModelShape.of(trial, VOCAB)))
    assert elements == parameter_count(trial, VOCAB)
    assert elements == sum(parameter.numel() for parameter in PlainGPT(trial).parameters())
    model = GPT(ModelShape.of(trial, VOCAB), 2)
    assert sum(parameter.numel() for parameter in model.parameters.values()) == 2 * elements


@pytest.mark.parametrize("n_trials", [1, 3])
@pytest.mark.parametrize(("layers", "width", "heads"), [(1, 16, 2), (2, 48, 3)])
def test_logits_losses_and_gradients_equal_a_plain_models(
    small: Trial, n_trials: int, layers: int, width: int, heads: int
) -> None:
    trial = dataclasses.replace(small, n_layer=layers, n_embd=width, n_head=heads)
    model = GPT(ModelShape.of(trial, VOCAB), n_trials)
    with torch.no_grad():  # also biases and norm weights
        model.weights.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(1))
    tokens, targets = tokens_for(trial, n_trials), tokens_for(trial, n_trials, seed=1)
    logits, losses = model.logits(tokens), model.losses(tokens, targets)
    losses.sum().backward()
    for index in range(n_trials):
        plain = PlainGPT(trial)
        plain.copy_from(model, index)
        expected = plain(tokens[index])
        torch.testing.assert_close(logits[index], expected.flatten(0, 1), atol=1e-5, rtol=1e-5)
        loss = F.cross_entropy(expected.flatten(0, 1), targets[index].flatten())
        torch.testing.assert_close(losses[index], loss, atol=1e-5, rtol=1e-5)
        loss.backward()
        length = torch.sqrt(sum(p.grad.square().sum() for p in plain.parameters()))
        torch.testing.assert_close(model.gradients[index].norm(), length, atol=1e-5, rtol=1e-4)


def test_attention_is_causal(small: Trial) -> None:
    model = GPT(ModelShape.of(small, VOCAB), 1)
    model.initialise([small])
    tokens = tokens_for(small, 1)
    changed = tokens.clone()
    changed[..., 5] = (changed[..., 5] + 1) % VOCAB
    before, after = (model.logits(t).view(small.batch_size, small.block_size, VOCAB) for t in (tokens, changed))
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_trial_with_bad_weights_does_not_affect_others(small: Trial, poison: float) -> None:
    shape, tokens, targets = ModelShape.of(small, VOCAB), tokens_for(small, 3), tokens_for(small, 3, seed=1)
    control, diverging = GPT(shape, 3), GPT(shape, 3)
    for model in (control, diverging):
        model.initialise(trials_like(small, [1, 2, 3]))
    with torch.no_grad():
        diverging.weights[1] = poison
    for model in (control, diverging):
        model.losses(tokens, targets).sum().backward()
    assert torch.isnan(diverging.losses(tokens, targets)).tolist() == [False, True, False]
    for index in (0, 2):
        assert torch.equal(control.logits(tokens)[index], diverging.logits(tokens)[index])
        assert torch.equal(control.gradients[index], diverging.gradients[index])


def test_initial_weights_depend_only_on_the_seed(small: Trial) -> None:
    shape = ModelShape.of(small, VOCAB)
    alone, packed = GPT(shape, 1), GPT(shape, 3)
    alone.initialise(trials_like(small, [5]))
    packed.initialise(trials_like(small, [4, 5, 5]))
    assert torch.equal(alone.weights[0], packed.weights[1])
    assert torch.equal(packed.weights[1], packed.weights[2])
    assert not torch.equal(packed.weights[0], packed.weights[1])


@pytest.mark.parametrize("width", [16, 64, 256])
def test_a_new_model_predicts_at_chance(small: Trial, width: int) -> None:
    """Its loss is that of guessing; biases are zero and norm weights one."""
    trial = dataclasses.replace(small, n_layer=3, n_embd=width, batch_size=64)
    model = GPT(ModelShape.of(trial, VOCAB), 2)
    model.initialise(trials_like(trial, [1, 2]))
    losses = model.losses(tokens_for(trial, 2), tokens_for(trial, 2, seed=1))
    assert losses.tolist() == pytest.approx([math.log(VOCAB)] * 2, abs=0.4)
    for name, parameter in model.parameters.items():
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name


def test_initial_weights_of_torch_have_the_distributions_of_its_layers(small: Trial) -> None:
    trial = dataclasses.replace(small, n_layer=2, n_embd=192, n_head=3, block_size=64, initialisation="torch")
    model = GPT(ModelShape.of(trial, VOCAB), 1)
    model.initialise([trial])
    torch.manual_seed(1)
    drawn, expected = PlainGPT(trial), PlainGPT(trial)
    drawn.copy_from(model, 0)
    for (name, mine), torchs in zip(drawn.named_parameters(), expected.parameters(), strict=True):
        if "norm" in name:
            assert torch.equal(mine, torchs), name
            continue
        # A uniform distribution is nearly as wide as its largest element, a normal one four times narrower.
        rtol = 0.05 if mine.numel() > 2000 else 0.35
        assert mine.std().item() == pytest.approx(torchs.std().item(), rel=rtol), name
        assert mine.abs().max().item() == pytest.approx(torchs.abs().max().item(), rel=0.35), name
        assert mine.mean().abs() < 4 * mine.std() / mine.numel() ** 0.5, name


def test_a_pack_can_mix_initialisations(small: Trial) -> None:
    shape = ModelShape.of(small, VOCAB)
    trials = [dataclasses.replace(small, initialisation=name) for name in ("torch", "scaled", "torch")]
    packed, alone = GPT(shape, 3), GPT(shape, 1)
    packed.initialise(trials)
    for index, trial in enumerate(trials):
        alone.initialise([trial])
        assert torch.equal(packed.weights[index], alone.weights[0])
    assert not torch.equal(packed.weights[0], packed.weights[1])


@pytest.mark.parametrize("scale", ["head", "width"])
def test_attention_with_dropout_masks_has_the_same_scale(small: Trial, scale: str) -> None:
    trial = dataclasses.replace(small, n_embd=48, n_head=3, attention_scale=scale, initialisation="torch")
    model = GPT(ModelShape.of(trial, VOCAB), 2)
    model.initialise(trials_like(trial, [1, 2]))
    tokens = tokens_for(trial, 2)
    masks = DropoutMasks([1, 2], [0.0, 0.0], 1 << 18, torch.device("cpu"))
    masks.draw(0)
    torch.testing.assert_close(model.logits(tokens, masks), model.logits(tokens), atol=1e-5, rtol=1e-5)


def test_the_width_as_scale_changes_the_model(small: Trial) -> None:
    trial = dataclasses.replace(small, n_embd=48, n_head=3, initialisation="torch")
    logits = []
    for scale in ("head", "width"):
        model = GPT(ModelShape.of(dataclasses.replace(trial, attention_scale=scale), VOCAB), 1)
        model.initialise([trial])
        logits.append(model.logits(tokens_for(trial, 1)))
    assert not torch.allclose(*logits)


def test_training_equals_a_plain_models(small: Trial, pack_of, corpus: TokenizedCorpus) -> None:
    """The plain model trains with torch's AdamW and gradient clipping on the same batches for 50 steps."""
    trial = dataclasses.replace(
        small, n_layer=2, weight_decay=0.1, grad_clip=0.5, beta2=0.99, warmup_iters=5, lr_schedule="cosine"
    )
    pack = pack_of(trial)
    plain = PlainGPT(trial, pack.model.shape.vocab_size)
    plain.copy_from(pack.model, 0)
    for step, loss in enumerate(plain_losses(plain, trial, corpus)):
        pack.advance()
        assert pack.minibatch_losses.item() == pytest.approx(loss, abs=1e-5), f"at step {step}"


def test_dropout_has_the_same_effect_as_a_plain_models(small: Trial, pack_of, corpus: TokenizedCorpus) -> None:
    """Weights and batches are the same, masks are not, so the mean losses over seeds agree within their error."""
    trials = trials_like(small, range(12), dropout=0.3, max_iters=30)
    pack = pack_of(*trials)
    plains = [PlainGPT(trial, pack.model.shape.vocab_size) for trial in trials]
    for index, plain in enumerate(plains):
        plain.copy_from(pack.model, index)
    ours = torch.zeros(len(trials))
    for step in range(30):
        pack.advance()
        if step >= 10:
            ours += pack.minibatch_losses / 20
    torch.manual_seed(0)
    theirs = torch.tensor(
        [sum(plain_losses(plain, trial, corpus)[10:]) / 20 for plain, trial in zip(plains, trials, strict=True)]
    )
    difference = ours - theirs
    error = difference.std() / math.sqrt(len(trials))
    assert error < 0.02, "too few seeds to tell"
    assert difference.mean().abs() < 4 * error


def plain_losses(plain: PlainGPT, trial: Trial, corpus: TokenizedCorpus) -> list[float]:
    """Train a plain model on a trial's own batches; return the minibatch losses."""
    optimizer = torch.optim.AdamW(plain.parameters(), betas=(trial.beta1, trial.beta2), weight_decay=trial.weight_decay)
    starts = batch_starts([trial.seed], range(trial.max_iters), trial.batch_size, corpus.positions(trial.block_size))
    losses = []
    for step in range(trial.max_iters):
        optimizer.param_groups[0]["lr"] = learning_rate(trial, step)
        rows = torch.stack(
            [corpus.train[start : start + trial.block_size + 1] for start in starts[step, 0].tolist()]
        ).long()
        loss = F.cross_entropy(plain(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        if trial.grad_clip:
            nn.utils.clip_grad_norm_(plain.parameters(), trial.grad_clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("heads", "length", "size"), [(1, 32, 64), (12, 128, 64), (96, 2048, 128), (12, 1024, 16)])
def test_calls_of_fused_kernels_stay_within_their_limits(heads: int, length: int, size: int) -> None:
    """A grid has at most 65,535 blocks; a tensor at most 2^31 - 1 elements, in tiles of 128 tokens by 32 channels."""
    most = sequences_per_call(heads, length, size)
    assert most >= 1
    assert most * heads <= 65_535
    assert most * heads * math.ceil(length / 128) * 128 * max(size, 32) < 2**31


def test_attention_in_several_calls_equals_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = torch.randn(3, 7, 2, 8, 4, generator=torch.Generator().manual_seed(0))
    whole = attend(q, k, v, [(7, 0.0)])
    monkeypatch.setattr(model_module, "SDPA_BATCH", 6)
    assert sequences_per_call(2, 8, 4) == 3
    torch.testing.assert_close(attend(q, k, v, [(4, 0.0), (3, 0.0)]), whole)
