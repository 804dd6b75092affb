"""Checks that packs train correctly on a device.

They compare packs with solo runs, CUDA graphs with eager steps, precisions with one another and streamed texts with
held ones, and provoke a real fp16 overflow. The variants of the model are checked in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from speed import shape

from litegpt.estimate.packs import Tuning
from litegpt.study.trial import Trial
from litegpt.train.model import SDPA_BATCH, attend
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus

SMALL = shape(64, 8, 32, 2, dropout=0.0, max_iters=200)
TINY = shape(16, 4, 8, 1, dropout=0.0, max_iters=200)
STEPS = 20
TOGETHER = {"activation": "swiglu", "norm": "rms", "positions": "rope", "qk_norm": True, "optimizer": "muon"}
VARIANTS: list[dict[str, Any]] = [
    *({name: value} for name, value in TOGETHER.items()),
    {"activation": "gelu"},
    {"activation": "relu2"},
    {"tied_weights": True},
    TOGETHER,
]


def check_all(corpus: TokenizedCorpus, precision: str, quick: bool = False) -> dict[str, Any]:
    """Return the figures of each check, or the error of a check that fails to run."""
    small = TINY if quick else SMALL
    checks = {
        "pack against solo, largest difference of a loss": lambda: solo(small, corpus, "fp32"),
        "graph against eager steps, largest difference": lambda: graph(small, corpus, precision),
        "dropout drawn again, largest difference": lambda: dropout(small, corpus, precision),
        "dropout of another rate beside it": lambda: mixed_rates(small, corpus, precision),
        "mean loss after 100 steps by precision": lambda: precisions(small, corpus),
        "fp16 overflow: skipped, scale, neighbour's largest difference": lambda: overflow(small, corpus),
        "variants, graph against eager steps": lambda: variants(small, corpus, precision, graph),
        "variants, pack against solo": lambda: variants(small, corpus, precision, solo),
        "streamed text against held, largest difference": lambda: streamed(small, corpus, precision),
        "attention beyond one call, largest difference": lambda: chunked(corpus.device),
    }
    figures: dict[str, Any] = {}
    for name, check in checks.items():
        try:
            figures[name] = check()
        except Exception as error:  # reported in place of the figures
            figures[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return figures


def losses(pack: Pack, steps: int = STEPS) -> torch.Tensor:
    """Return the minibatch losses [steps, P]."""
    rows = []
    for _ in range(steps):
        pack.advance()
        rows.append(pack.minibatch_losses.clone())
    return torch.stack(rows).cpu()


def trials_of(trial: Trial) -> list[Trial]:
    """Return trials of one shape with different seeds, rates, clips and decays."""
    return [trial, replace(trial, seed=2, learning_rate=3e-3, grad_clip=0.5), replace(trial, seed=3, weight_decay=0.3)]


def solo(small: Trial, corpus: TokenizedCorpus, precision: str) -> float:
    """Compare a pack with solo runs in full fp32, without TF32."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        together = losses(Pack(trials_of(small), corpus, precision))
        alone = torch.cat([losses(Pack([t], corpus, precision)) for t in trials_of(small)], dim=1)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return (together - alone).abs().max().item()


def graph(small: Trial, corpus: TokenizedCorpus, precision: str) -> float:
    """Compare captured steps with eager ones; a step that cannot be captured raises."""
    captured = Pack(trials_of(small), corpus, precision)
    eager = Pack(trials_of(small), corpus, precision, tuning=Tuning(graph=False))
    difference = (losses(captured) - losses(eager)).abs().max().item()
    if corpus.device.type == "cuda" and captured._graph is None:
        raise RuntimeError("the step was not captured")
    return difference


def dropout(small: Trial, corpus: TokenizedCorpus, precision: str) -> float:
    """Compare two packs with the same seeds, which must draw the same masks."""
    trials = trials_of(replace(small, dropout=0.2))
    first, second = (Pack(trials, corpus, precision) for _ in range(2))
    return (losses(first) - losses(second)).abs().max().item()


def mixed_rates(small: Trial, corpus: TokenizedCorpus, precision: str) -> list[float]:
    """Return the losses of trials with growing dropout rates, which must grow as well."""
    trials = [replace(small, dropout=rate, seed=1) for rate in (0.0, 0.2, 0.6)]
    return losses(Pack(trials, corpus, precision), 100)[50:].mean(dim=0).tolist()


def precisions(small: Trial, corpus: TokenizedCorpus) -> dict[str, float]:
    return {
        precision: losses(Pack(trials_of(small), corpus, precision), 100)[-20:].mean().item()
        for precision in ("fp32", "bf16", "fp16")
    }


def overflow(small: Trial, corpus: TokenizedCorpus) -> list[Any]:
    control, overflowed = (Pack(trials_of(small), corpus, "fp16") for _ in range(2))
    for pack in (control, overflowed):
        losses(pack, 5)
    assert overflowed.loss_scale is not None
    overflowed.loss_scale.scale[1] = 2.0**60
    difference = (losses(control, 1) - losses(overflowed, 1))[:, [0, 2]].abs().max().item()
    return [overflowed.loss_scale.skipped.tolist(), overflowed.loss_scale.scale.tolist(), difference]


def variants(
    small: Trial,
    corpus: TokenizedCorpus,
    precision: str,
    check: Callable[[Trial, TokenizedCorpus, str], float],
) -> dict[str, float]:
    """Return the figure of a check for each variant of the model."""
    named = {" ".join(f"{name}={value}" for name, value in parts.items()): parts for parts in VARIANTS}
    return {name: check(replace(small, **parts), corpus, precision) for name, parts in named.items()}


def streamed(small: Trial, corpus: TokenizedCorpus, precision: str) -> float:
    """Compare batches that are looked up on the host with held ones, also after a pack was narrowed."""
    splits = (corpus.train.cpu().numpy(), corpus.validation.cpu().numpy(), corpus.vocab_size, corpus.device)
    runs = []
    for is_streamed in (False, True):
        pack = Pack(trials_of(small), TokenizedCorpus(*splits, streamed=is_streamed), precision)
        first = losses(pack)[:, ::2]
        runs.append(torch.cat([first, losses(pack.keep([0, 2]))]))
    return (runs[0] - runs[1]).abs().max().item()


def chunked(device: torch.device) -> float:
    """Attend to more copies of a sequence than one call takes, and compare them with the first."""
    count = SDPA_BATCH + 10 if device.type == "cuda" else 100
    q, k, v = (torch.randn(1, 1, 16, 32, device=device).expand(count, -1, -1, -1).contiguous() for _ in range(3))
    several_calls = attend(q, k, v, [(count, 0.0)])
    one_call = F.scaled_dot_product_attention(q[:1], k[:1], v[:1], is_causal=True)
    return (several_calls - one_call).abs().max().item()
