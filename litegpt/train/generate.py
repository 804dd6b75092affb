"""Text from a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from litegpt.train.model import GPT


@torch.no_grad()
def generate(
    model: GPT,
    prompt: Sequence[int],
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[list[int]]:
    """Yield `length` times the next token of each trial [P], each continuing `prompt` (at least one token) on its own.

    Tokens are drawn from the softmax of logits / temperature, or from its `top_k` likeliest; a temperature of 0 takes
    the likeliest. All trials draw with the same random numbers, from `seed` alone.
    """
    device = model.weights.device
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.tensor(prompt, device=device).expand(len(model.weights), 1, -1)
    for _ in range(length):
        context = tokens[..., -model.shape.block_size :]
        logits = model.logits(context).view(*context.shape, -1)[:, 0, -1].float()
        following = _choose(logits, temperature, top_k, torch.rand((), generator=generator).item())
        tokens = torch.cat([context, following[:, None, None]], dim=-1)
        yield following.tolist()


def _choose(logits: Tensor, temperature: float, top_k: int | None, uniform: float) -> Tensor:
    """Return one token [P] for logits [P, V] by inverting the cumulative distribution at `uniform` in [0, 1)."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    cumulative = (logits / temperature).softmax(dim=-1).cumsum(dim=-1)
    return (cumulative <= uniform * cumulative[:, -1:]).sum(dim=-1).clamp(max=logits.shape[-1] - 1)
