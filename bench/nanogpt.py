"""nanoGPT's documented CPU setting, trained on the same text by liteGPT and by a plain port of nanoGPT's loop.

4 layers, 4 heads, 128 wide, block 64, batch 12, no dropout, 2,000 iterations, rate 1e-3 with cosine to 1e-4 after 100
iterations of warm-up, clip 1.0, beta2 0.99 (https://github.com/karpathy/nanoGPT, "I only have a macbook"). nanoGPT's
own result on tiny Shakespeare (1.1 MB) is a validation loss of 1.89. The port evaluates 20 random batches of each split
every 250 iterations, as that setting does. Both losses printed are exact, over the whole validation split.

    python bench/nanogpt.py --corpus input.txt
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tomli_w
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litegpt.processes import module_command
from litegpt.results.journal import read_journal

SETTING = {
    "n_layer": 4,
    "n_head": 4,
    "n_embd": 128,
    "block_size": 64,
    "batch_size": 12,
    "dropout": 0.0,
    "max_iters": 2000,
    "eval_interval": 250,
    "learning_rate": 1e-3,
    "min_learning_rate": 1e-4,
    "lr_schedule": "cosine",
    "warmup_iters": 100,
    "grad_clip": 1.0,
    "beta2": 0.99,
    "weight_decay": 0.1,
}


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.output = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, length, width)
        x = x + self.output(y)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class PlainGPT(nn.Module):
    """nanoGPT's version of GPT-2: GELU, no biases, tied weights."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        width, layers = SETTING["n_embd"], SETTING["n_layer"]
        self.tokens, self.positions = nn.Embedding(vocab_size, width), nn.Embedding(SETTING["block_size"], width)
        self.blocks = nn.Sequential(*(Block(width, SETTING["n_head"]) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                residual = name.endswith(("output.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if residual else 0.02)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(inputs) + self.positions(torch.arange(inputs.shape[1]))
        return F.cross_entropy(self.head(self.norm(self.blocks(x))).flatten(0, 1), targets.flatten())


def rate_at(step: int) -> float:
    peak, least, warmup = SETTING["learning_rate"], SETTING["min_learning_rate"], SETTING["warmup_iters"]
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = (step - warmup) / (SETTING["max_iters"] - warmup)
    return least + 0.5 * (1 + math.cos(math.pi * progress)) * (peak - least)


def train_plain(corpus: Path) -> tuple[float, float]:
    """Return the wall seconds of training and the exact final validation loss."""
    torch.manual_seed(1337)
    text = corpus.read_text(encoding="utf-8")
    vocabulary = {character: i for i, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([vocabulary[character] for character in text])
    cut = int(0.9 * len(tokens))
    train, validation = tokens[:cut], tokens[cut:]
    block, batch_size = SETTING["block_size"], SETTING["batch_size"]

    def batch(split: Tensor) -> tuple[Tensor, Tensor]:
        starts = torch.randint(len(split) - block, (batch_size,)).tolist()
        return (
            torch.stack([split[i : i + block] for i in starts]),
            torch.stack([split[i + 1 : i + 1 + block] for i in starts]),
        )

    model = PlainGPT(len(vocabulary))
    matrices = [parameter for parameter in model.parameters() if parameter.dim() >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [{"params": matrices, "weight_decay": SETTING["weight_decay"]}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=SETTING["learning_rate"], betas=(0.9, SETTING["beta2"]))
    started = time.perf_counter()
    for step in range(SETTING["max_iters"]):
        if step % SETTING["eval_interval"] == 0:
            with torch.no_grad():
                for split in (train, validation):
                    sum(model(*batch(split)).item() for _ in range(20))
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        loss = model(*batch(train))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), SETTING["grad_clip"])
        optimizer.step()
    seconds = time.perf_counter() - started
    windows = (len(validation) - 1) // block
    inputs = validation[: windows * block].view(windows, block)
    targets = validation[1 : windows * block + 1].view(windows, block)
    with torch.no_grad():
        pairs = zip(inputs.split(128), targets.split(128), strict=True)
        total = sum(model(x, y).item() * len(x) for x, y in pairs)
    return seconds, total / windows


def train_litegpt(corpus: Path) -> tuple[float, float]:
    """Return wall seconds, process start included, and the exact final validation loss."""
    with tempfile.TemporaryDirectory() as folder:
        phase = {"name": "cpu", "trial": [SETTING]}
        study = {"study": {"name": "nanogpt", "corpus": str(corpus.resolve())}, "phase": [phase]}
        path = Path(folder) / "study.toml"
        path.write_text(tomli_w.dumps(study))
        started = time.perf_counter()
        command = module_command("litegpt.cli.run", str(path), "--results", folder, "--json", "--workers", "1")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        trial = read_journal(Path(folder) / "nanogpt" / "journal.jsonl").phases["cpu"].current()[0]
        return seconds, trial.metrics.val_loss


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True, help="about 1.1 MB of text, for example tiny Shakespeare")
    arguments = parser.parse_args()
    figures = {}
    for name, train in (("litegpt", train_litegpt), ("nanogpt port", train_plain)):
        seconds, loss = train(arguments.corpus)
        milliseconds = seconds / SETTING["max_iters"] * 1000
        figures[name] = {"seconds": round(seconds, 1), "ms_per_iteration": round(milliseconds, 1), "val_loss": loss}
        print(f"{name}: {seconds:.1f} s, {milliseconds:.1f} ms per iteration, validation loss {loss:.4f}", flush=True)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
