"""Alternatives to parts of the original's model, for tensors with a leading trial axis.

Activations: ReLU, GELU, squared ReLU (So et al. 2021, "Primer", arXiv:2109.08668) and SwiGLU (Shazeer 2020,
arXiv:2002.05202). RMS norms: Zhang and Sennrich 2019, arXiv:1910.07467. Rotary positions: Su et al. 2021,
arXiv:2104.09864. Norms of queries and keys: Dehghani et al. 2023, arXiv:2302.05442; here they are RMS norms with one
weight per element, shared by the heads of a layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ROTARY_BASE = 10_000.0
NORM_EPSILON = 1e-5  # the default of torch's layer norm


def activate(x: Tensor, activation: str) -> Tensor:
    """Return the activation of an MLP's hidden layer; SwiGLU's result is half as wide as `x`."""
    match activation:
        case "gelu":
            return F.gelu(x)
        case "relu2":
            positive = F.relu(x)
            return positive * positive  # autocast would compute a power in fp32
        case "swiglu":
            gate, up = x.chunk(2, dim=-1)
            return F.silu(gate) * up
        case _:
            return F.relu(x)


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """Return `x` [P, ..., C] with a root mean square of one over C, times each trial's weight [P, C]."""
    normed = F.rms_norm(x, x.shape[-1:], eps=NORM_EPSILON)
    return normed * weight.view(len(weight), *(1 for _ in x.shape[1:-1]), -1)


def rotary_tables(block_size: int, head_size: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines [T, D/2] of each position's angles, one angle per pair of elements."""
    frequencies = ROTARY_BASE ** (-torch.arange(0, head_size, 2, device=device) / head_size)
    angles = torch.arange(block_size, device=device)[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate queries or keys [..., T, D] by their positions: element i is paired with element i + D/2."""
    first, second = x.float().chunk(2, dim=-1)
    rotated = torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)
    return rotated.to(x.dtype)
