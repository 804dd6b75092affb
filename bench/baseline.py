"""A plain baseline: one trial after another, in one process, on one ordinary model.

It ports the method of the original study (https://github.com/torial/liteGPT) in our own code, and `make bench` compares
liteGPT with it:

- one linear layer per attention head and per projection, an explicit attention matrix, nn.Dropout;
- torch's own AdamW and, on CUDA, autocast with one GradScaler; fp32 on a CPU, with torch's default threads;
- every `eval_interval` iterations, the mean loss over 200 random batches of each split.

    python bench/baseline.py --corpus data/novella.txt --trials '[{"learning_rate": 6e-4}, {"learning_rate": 3e-4}]'
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EVALUATION_BATCHES = 200
DEFAULTS = {
    "n_layer": 2,
    "n_head": 1,
    "n_embd": 64,
    "block_size": 32,
    "batch_size": 32,
    "learning_rate": 6e-4,
    "dropout": 0.2,
    "max_iters": 500,
    "eval_interval": 100,
    "seed": 1337,
}


class Head(nn.Module):
    """One head of causal self-attention: [B, T, n_embd] -> [B, T, head_size]."""

    def __init__(self, n_embd: int, head_size: int, block_size: int, dropout: float) -> None:
        super().__init__()
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)
        self.register_buffer("causal", torch.tril(torch.ones(block_size, block_size)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        k, q, v = self.key(x), self.query(x), self.value(x)
        weights = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
        weights = weights.masked_fill(self.causal[:length, :length] == 0, float("-inf"))
        return self.dropout(F.softmax(weights, dim=-1)) @ v


class Block(nn.Module):
    """A pre-norm block: attention, then an MLP with a ReLU layer of four times the width."""

    def __init__(self, n_embd: int, n_head: int, block_size: int, dropout: float) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(n_embd, n_embd // n_head, block_size, dropout) for _ in range(n_head))
        self.projection = nn.Linear(n_embd, n_embd)
        self.attention_dropout = nn.Dropout(dropout)
        self.mlp = nn.Sequential(
            nn.Linear(n_embd, 4 * n_embd), nn.ReLU(), nn.Linear(4 * n_embd, n_embd), nn.Dropout(dropout)
        )
        self.norm1, self.norm2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention_dropout(self.projection(torch.cat([head(y) for head in self.heads], dim=-1)))
        return x + self.mlp(self.norm2(x))


class LanguageModel(nn.Module):
    """Character-level GPT with learned positions and an untied output layer."""

    def __init__(self, vocab_size: int, trial: dict) -> None:
        super().__init__()
        n_embd = trial["n_embd"]
        self.token_embedding = nn.Embedding(vocab_size, n_embd)
        self.position_embedding = nn.Embedding(trial["block_size"], n_embd)
        self.blocks = nn.Sequential(
            *(Block(n_embd, trial["n_head"], trial["block_size"], trial["dropout"]) for _ in range(trial["n_layer"]))
        )
        self.norm = nn.LayerNorm(n_embd)
        self.output = nn.Linear(n_embd, vocab_size)

    def forward(self, tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        x = self.token_embedding(tokens) + self.position_embedding(torch.arange(tokens.shape[1], device=tokens.device))
        logits = self.output(self.norm(self.blocks(x)))
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def train(trial: dict, splits: dict[str, Tensor], vocab_size: int, device: str) -> dict:
    """Train one trial and return its evaluations, final minibatch loss, seconds and exact validation loss."""
    torch.manual_seed(trial["seed"])
    block_size, batch_size = trial["block_size"], trial["batch_size"]
    started = time.perf_counter()

    def batch(split: str) -> tuple[Tensor, Tensor]:
        tokens = splits[split]
        starts = torch.randint(len(tokens) - block_size, (batch_size,)).tolist()
        inputs = torch.stack([tokens[i : i + block_size] for i in starts])
        targets = torch.stack([tokens[i + 1 : i + block_size + 1] for i in starts])
        return inputs.to(device), targets.to(device)

    model = LanguageModel(vocab_size, trial).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial["learning_rate"])
    cuda = device.startswith("cuda")
    scaler = torch.amp.GradScaler(enabled=cuda)
    autocast = torch.autocast("cuda", dtype=torch.float16, enabled=cuda)

    @torch.no_grad()
    def estimate_losses() -> dict[str, float]:
        model.eval()
        means = {}
        for split in splits:
            losses = torch.zeros(EVALUATION_BATCHES)
            for k in range(EVALUATION_BATCHES):
                with autocast:
                    losses[k] = model(*batch(split))[1].item()
            means[split] = losses.mean().item()
        model.train()
        return means

    evaluations = []
    for step in range(trial["max_iters"]):
        if step % trial["eval_interval"] == 0:
            evaluations.append({"step": step, **estimate_losses(), "seconds": time.perf_counter() - started})
        with autocast:
            loss = model(*batch("train"))[1]
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    final_loss = loss.item()
    seconds = time.perf_counter() - started
    return {
        **trial,
        "evaluations": evaluations,
        "final_loss": final_loss,
        "seconds": seconds,
        "val_loss": exact_loss(model, splits["validation"], block_size),
    }


@torch.no_grad()
def exact_loss(model: LanguageModel, tokens: Tensor, block_size: int) -> float:
    """Return the mean loss over all fixed windows of a split, as liteGPT measures it; this time is not counted."""
    model.eval()
    windows = (len(tokens) - 1) // block_size
    inputs = tokens[: windows * block_size].view(windows, block_size)
    targets = tokens[1 : windows * block_size + 1].view(windows, block_size)
    device = next(model.parameters()).device
    total = sum(
        model(x.to(device), y.to(device))[1].item() * len(x)
        for x, y in zip(inputs.split(256), targets.split(256), strict=True)
    )
    return total / windows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--trials", required=True, help="a JSON list of hyperparameter settings")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    text = arguments.corpus.read_text(encoding="utf-8")
    vocabulary = {character: i for i, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([vocabulary[character] for character in text])
    cut = int(0.9 * len(tokens))
    splits = {"train": tokens[:cut], "validation": tokens[cut:]}
    for trial in json.loads(arguments.trials):
        result = train({**DEFAULTS, **trial}, splits, len(vocabulary), arguments.device)
        print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
