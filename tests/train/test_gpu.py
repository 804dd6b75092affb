"""Tests that need a CUDA device. bench/gpu.py measures the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.memory import training_memory
from litegpt.estimate.packs import Tuning
from litegpt.study.trial import Trial
from litegpt.train.model import SDPA_BATCH, attend
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus

pytestmark = pytest.mark.gpu


@pytest.fixture
def on_gpu(corpus: TokenizedCorpus) -> TokenizedCorpus:
    return TokenizedCorpus(corpus.train.numpy(), corpus.validation.numpy(), corpus.vocab_size, "cuda")


def losses(pack: Pack, steps: int = 20) -> torch.Tensor:
    rows = []
    for _ in range(steps):
        pack.advance()
        rows.append(pack.minibatch_losses.clone())
    return torch.stack(rows).cpu()


def trials_of(small: Trial, **changes: object) -> list[Trial]:
    trial = replace(small, n_embd=64, **changes)
    return [trial, replace(trial, seed=2, learning_rate=3e-3, grad_clip=0.5), replace(trial, seed=3, weight_decay=0.3)]


def test_a_pack_equals_its_solo_runs(on_gpu: TokenizedCorpus, small: Trial) -> None:
    trials = trials_of(small)
    together = losses(Pack(trials, on_gpu, "fp32"))
    alone = torch.cat([losses(Pack([trial], on_gpu, "fp32")) for trial in trials], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_graph_equals_eager_steps(on_gpu: TokenizedCorpus, small: Trial, precision: str) -> None:
    captured, eager = (Pack(trials_of(small), on_gpu, precision) for _ in range(2))
    eager._can_capture = False
    torch.testing.assert_close(losses(captured), losses(eager), atol=1e-2, rtol=0)
    assert captured._graph is not None


@pytest.mark.parametrize(
    "variant",
    [
        *({"activation": activation} for activation in ("gelu", "relu2", "swiglu")),
        {"norm": "rms"},
        {"positions": "rope"},
        {"tied_weights": True},
        {"qk_norm": True},
        {"optimizer": "muon"},
        {"activation": "swiglu", "norm": "rms", "positions": "rope", "qk_norm": True, "optimizer": "muon"},
    ],
    ids=str,
)
def test_variants_are_captured_and_equal_solo_runs(
    on_gpu: TokenizedCorpus, small: Trial, variant: dict[str, object]
) -> None:
    trials = trials_of(small, **variant)
    captured, eager = (Pack(trials, on_gpu, "bf16") for _ in range(2))
    eager._can_capture = False
    together = losses(captured)
    torch.testing.assert_close(together, losses(eager), atol=1e-2, rtol=0)
    assert captured._graph is not None
    alone = torch.cat([losses(Pack([trial], on_gpu, "bf16")) for trial in trials], dim=1)
    torch.testing.assert_close(together, alone, atol=2e-2, rtol=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_streamed_batches_equal_held_ones(on_gpu: TokenizedCorpus, small: Trial, dtype: type) -> None:
    splits = [split.cpu().numpy().astype(dtype) for split in (on_gpu.train, on_gpu.validation)]
    held, streamed = (
        losses(Pack(trials_of(small), TokenizedCorpus(*splits, on_gpu.vocab_size, "cuda", streamed=value), "bf16"), 60)
        for value in (False, True)
    )
    torch.testing.assert_close(held, streamed, atol=1e-2, rtol=0)


def test_a_graph_draws_new_masks_at_every_step(on_gpu: TokenizedCorpus, small: Trial) -> None:
    """A learning rate of 0 keeps the weights, so the losses of one batch differ only by their masks."""
    trial = replace(small, n_embd=64, dropout=0.5, learning_rate=1e-30, weight_decay=0.0)
    pack = Pack([trial], on_gpu, "fp32")
    pack._batches.at(0)
    pack._batches._table[:] = pack._batches._table[0].clone()
    first = losses(pack, 8)
    assert len(first.unique()) == 8
    again = Pack([trial], on_gpu, "fp32")
    again._batches.at(0)
    again._batches._table[:] = again._batches._table[0].clone()
    torch.testing.assert_close(losses(again, 8), first, atol=1e-4, rtol=0)


def test_a_pack_can_mix_dropout_rates(on_gpu: TokenizedCorpus, small: Trial) -> None:
    trials = [replace(small, n_embd=64, dropout=rate, seed=1, max_iters=100) for rate in (0.0, 0.2, 0.7)]
    pack = Pack(trials, on_gpu, "fp32")
    means = losses(pack, 60)[30:].mean(dim=0)
    assert pack._graph is not None
    assert means[0] < means[1] < means[2]


def test_an_overflow_affects_only_its_trial(on_gpu: TokenizedCorpus, small: Trial) -> None:
    control, overflowed = (Pack(trials_of(small), on_gpu, "fp16") for _ in range(2))
    for pack in (control, overflowed):
        losses(pack, 5)
    assert overflowed.loss_scale is not None
    skipped = overflowed.loss_scale.skipped[1].item()
    overflowed.loss_scale.scale[1] = 2.0**60
    torch.testing.assert_close(losses(overflowed, 1)[:, [0, 2]], losses(control, 1)[:, [0, 2]], atol=1e-3, rtol=0)
    assert overflowed.loss_scale.skipped[1] == skipped + 1
    assert overflowed.loss_scale.scale[1] == 2.0**59


def test_memory_matches_the_prediction(on_gpu: TokenizedCorpus, small: Trial) -> None:
    trial = replace(small, n_embd=512, n_head=8, n_layer=6, block_size=64, batch_size=64, dropout=0.2, precision="bf16")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_reserved()
    pack = Pack([replace(trial, seed=seed) for seed in range(4)], on_gpu, "bf16")
    losses(pack, 5)
    pack.evaluate()
    reserved = torch.cuda.max_memory_reserved() - before
    predicted = training_memory(trial, on_gpu.vocab_size, DeviceSpec("here", "cuda", 80e9, "bf16"), 4)
    assert 0.4 * predicted.total < reserved < predicted.total


@pytest.mark.slow
def test_a_compiled_pack_is_captured(on_gpu: TokenizedCorpus, small: Trial) -> None:
    plain, compiled = (Pack(trials_of(small), on_gpu, "bf16", tuning=Tuning(compiled=value)) for value in (False, True))
    torch.testing.assert_close(losses(compiled), losses(plain), atol=3e-2, rtol=0)
    assert compiled._graph is not None


def test_attention_beyond_one_call() -> None:
    count = SDPA_BATCH + 10
    q, k, v = (torch.randn(1, 1, 16, 32, device="cuda").expand(count, -1, -1, -1).contiguous() for _ in range(3))
    whole = attend(q, k, v, [(count, 0.0)])
    torch.testing.assert_close(whole[-1], whole[0], atol=1e-5, rtol=0)
