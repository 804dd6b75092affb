"""Text generation."""

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
    """Yield the next token of each trial [P], `length` times.

    All trials start with `prompt`, which has at least one token, and each continues its own text. A token is drawn from
    the softmax of logits / temperature, or from its `top_k` most likely tokens. A temperature of 0 takes the most
    likely token. All trials draw with the same random numbers, which depend on `seed` alone.
    """
    device = model.weights.device
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.tensor(prompt, device=device).expand(len(model.weights), 1, -1)  # [P, 1, T]
    for _ in range(length):
        context = tokens[..., -model.shape.block_size :]
        logits = model.logits(context).view(*context.shape, -1)[:, 0, -1].float()  # [P, V]
        following = _choose(logits, temperature, top_k, torch.rand((), generator=generator).item())  # [P]
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
