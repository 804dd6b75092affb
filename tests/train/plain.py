"""A second implementation of the model, from the papers: one trial, one sequence, without litegpt's code."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from litegpt.study.trial import Trial


def plain_logits(trial: Trial, weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """Return the logits [T, V] of one sequence [T]."""

    def norm(name: str, x: Tensor) -> Tensor:
        if trial.norm == "rms":
            return x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * weights[f"{name}.weight"]
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])

    def rotated(x: Tensor) -> Tensor:  # [T, D], as complex numbers
        half = x.shape[1] // 2
        angles = torch.outer(torch.arange(len(x)), 10_000.0 ** (-torch.arange(half) / half))
        pairs = torch.complex(x[:, :half], x[:, half:]) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([pairs.real, pairs.imag], dim=1)

    def mlp(block: str, x: Tensor) -> Tensor:
        up = x @ weights[f"{block}.mlp.up.weight"] + weights[f"{block}.mlp.up.bias"]
        half = up.shape[-1] // 2
        hidden = {
            "relu": lambda: up.clamp(min=0),
            "gelu": lambda: up * 0.5 * (1 + torch.erf(up / math.sqrt(2))),
            "relu2": lambda: up.clamp(min=0) ** 2,
            "swiglu": lambda: up[:, :half] * torch.sigmoid(up[:, :half]) * up[:, half:],
        }[trial.activation]()
        return hidden @ weights[f"{block}.mlp.down.weight"] + weights[f"{block}.mlp.down.bias"]

    def attention(block: str, x: Tensor) -> Tensor:
        size, heads = trial.n_embd // trial.n_head, []
        q, k, v = (x @ weights[f"{block}.attention.qkv.weight"]).chunk(3, dim=1)
        for index in range(trial.n_head):
            channels = slice(index * size, (index + 1) * size)
            query, key = q[:, channels], k[:, channels]
            if trial.qk_norm:
                query = F.normalize(query, dim=1) * size**0.5 * weights[f"{block}.attention.query_norm.weight"]
                key = F.normalize(key, dim=1) * size**0.5 * weights[f"{block}.attention.key_norm.weight"]
            if trial.positions == "rope":
                query, key = rotated(query), rotated(key)
            scores = query @ key.T / math.sqrt(trial.n_embd if trial.attention_scale == "width" else size)
            hidden = torch.ones_like(scores, dtype=torch.bool).triu(1)
            heads.append(scores.masked_fill(hidden, -math.inf).softmax(dim=1) @ v[:, channels])
        y = torch.cat(heads, dim=1)
        return y @ weights[f"{block}.attention.output.weight"] + weights[f"{block}.attention.output.bias"]

    x = weights["token_embedding"][tokens]
    if trial.positions == "learned":
        x = x + weights["position_embedding"][: len(tokens)]
    for layer in range(trial.n_layer):
        block = f"blocks.{layer}"
        x = x + attention(block, norm(f"{block}.norm1", x))
        x = x + mlp(block, norm(f"{block}.norm2", x))
    output = weights["token_embedding"].T if trial.tied_weights else weights["output.weight"]
    return norm("norm", x) @ output + weights["output.bias"]
