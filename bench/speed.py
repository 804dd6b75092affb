"""The three ways to train one shape that the benches compare, in updates of single trials per second.

eager     one trial at a time, as in bench/baseline.py: fp32, separate heads, torch's AdamW
compiled  one trial at a time with all that torch offers: fused heads, autocast, fused AdamW, torch.compile
packs     liteGPT's packs of several widths
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from baseline import LanguageModel
from torch import Tensor, nn

from litegpt.estimate.cost import training_flops
from litegpt.estimate.packs import Tuning
from litegpt.study.trial import Trial
from litegpt.train.pack import DTYPES
from litegpt.train.tokenized_corpus import TokenizedCorpus
from litegpt.train.tokenizer import CharacterTokenizer
from litegpt.train.tune import updates_per_second

CORPUS = Path(__file__).parent.parent / "data" / "novella.txt"
DROPOUT = 0.2
SECONDS, STEPS = 1.0, 200


def shape(width: int, batch: int, block: int, layers: int, **more: object) -> Trial:
    """Return a trial like the original study's, with heads of 64 and dropout 0.2."""
    heads = max(1, width // 64)
    settings = {"learning_rate": 6e-4, "max_iters": 1000, "dropout": DROPOUT, **more}
    return Trial(n_layer=layers, n_head=heads, n_embd=width, block_size=block, batch_size=batch, **settings)


def name_of(trial: Trial) -> str:
    """Return a shape as width/batch/block/layers."""
    return f"{trial.n_embd}/{trial.batch_size}/{trial.block_size}/{trial.n_layer}"


def read_novella(device: torch.device) -> TokenizedCorpus:
    """Return the default corpus on a device."""
    text = CORPUS.read_text(encoding="utf-8")
    tokenizer = CharacterTokenizer(tuple(sorted(set(text))))
    splits = np.split(tokenizer.encode(text), [int(0.9 * len(text))])
    return TokenizedCorpus(*splits, tokenizer.vocab_size, device)


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.output = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=DROPOUT if self.training else 0.0)
        x = x + F.dropout(self.output(y.transpose(1, 2).reshape(batch, length, width)), DROPOUT, self.training)
        return x + F.dropout(self.down(F.relu(self.up(self.norm2(x)))), DROPOUT, self.training)


class FusedGPT(nn.Module):
    """The same model in the form that torch alone trains fastest."""

    def __init__(self, trial: Trial, vocab_size: int) -> None:
        super().__init__()
        self.tokens, self.positions = (nn.Embedding(n, trial.n_embd) for n in (vocab_size, trial.block_size))
        self.blocks = nn.Sequential(*(Block(trial.n_embd, trial.n_head) for _ in range(trial.n_layer)))
        self.norm, self.head = nn.LayerNorm(trial.n_embd), nn.Linear(trial.n_embd, vocab_size)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(inputs) + self.positions.weight[: inputs.shape[1]]
        return F.cross_entropy(self.head(self.norm(self.blocks(x))).flatten(0, 1), targets.flatten())


Clock = Callable[[], float]


def eager(trial: Trial, corpus: TokenizedCorpus, clock: Clock = time.perf_counter) -> float:
    """Train one trial as the baseline does, in fp32."""
    device, settings = corpus.device, trial.settings()
    model = LanguageModel(corpus.vocab_size, settings).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial.learning_rate)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        loss = model(inputs, targets)[1]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    return timed(step, batches(trial, corpus), clock)


def compiled(trial: Trial, corpus: TokenizedCorpus, precision: str) -> float:
    """Train one trial with autocast and torch.compile."""
    torch.compiler.reset()
    device = corpus.device
    model = FusedGPT(trial, corpus.vocab_size).to(device)
    fast = torch.compile(model, dynamic=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial.learning_rate, fused=True)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(device.type, DTYPES[precision], enabled=precision != "fp32"):
            loss = fast(inputs, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    return timed(step, batches(trial, corpus))


def packs(
    trial: Trial,
    corpus: TokenizedCorpus,
    precision: str,
    tuning: Tuning,
    seconds: float = SECONDS,
    clock: Clock = time.perf_counter,
) -> float | None:
    """Train a pack; return None if that fails."""
    trials = [replace(trial, seed=seed) for seed in range(tuning.width or 1)]
    return updates_per_second(trials, corpus, precision, tuning, seconds=seconds, clock=clock)


def in_turns(ways: Mapping[str, Callable[[], float | None]], rounds: int) -> dict[str, float]:
    """Return the median speed of each way. They are measured in turns, so that noise affects all of them alike."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            speeds[name].append(measure() or 0.0)
    return {name: statistics.median(measured) for name, measured in speeds.items()}


def batches(trial: Trial, corpus: TokenizedCorpus) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random batches [B, T], drawn on the device."""
    device, positions = corpus.device, corpus.positions(trial.block_size)
    while True:
        starts = torch.randint(positions, (1, trial.batch_size), device=device)
        inputs, targets = corpus.batch(starts, trial.block_size)
        yield inputs[0], targets[0]


def timed(
    step: Callable[[Tensor, Tensor], Tensor],
    source: Iterator[tuple[Tensor, Tensor]],
    clock: Clock = time.perf_counter,
) -> float:
    """Return steps per second, after some steps to warm up."""
    for _ in range(5):
        loss = step(*next(source))
    loss.item()  # waits for the device
    started, steps = clock(), 0
    while steps < STEPS and clock() - started < SECONDS:
        loss = step(*next(source))
        steps += 1
    loss.item()
    return steps / (clock() - started)


def flops_per_update(trial: Trial, vocab_size: int) -> float:
    """Return the floating-point operations of one update of one trial."""
    return training_flops(trial, vocab_size) / trial.max_iters
