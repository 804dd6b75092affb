"""Weights in 8 or 4 bits, for storage and sampling.

Groups of 64 neighbouring weights share a scale, and each weight is rounded to the nearest of 255 (or 15) levels around
zero. This is the rounding to nearest that Frantar et al. 2022 ("GPTQ", arXiv:2210.17323) compare with. It needs no
data, and small models lose little by it (docs/variants.md). Norm weights and biases keep 32 bits; they are a hundredth
of all weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from litegpt.study.trial import Trial
from litegpt.train.model import ModelShape, parameter_shapes

BITS = (8, 4)
GROUP = 64  # weights that share a scale


def quantized(tensors: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """Return the tensors to store instead of these: levels (uint8) and scales (fp32) for each matrix, by name."""
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dim() > 1:
            stored[f"{name}.levels"], stored[f"{name}.scales"] = _round(tensor, bits)
        else:
            stored[name] = tensor
    return stored


def dequantized(stored: Mapping[str, Tensor], bits: int, trial: Trial, vocab_size: int) -> dict[str, Tensor]:
    """Return the weights of a trial's model in fp32; raises ValueError if the stored tensors do not fit its shape."""
    if bits not in BITS:
        raise ValueError(f"its weights have {bits!r} bits, and this version reads {BITS}")
    tensors: dict[str, Tensor] = {}
    for parameter, shape in parameter_shapes(ModelShape.of(trial, vocab_size)):
        name = f"weights/{parameter}"
        if len(shape) == 1:
            tensors[name] = stored[name]
            continue
        levels, scales, size = stored[f"{name}.levels"], stored[f"{name}.scales"], math.prod(shape)
        groups = -(-size // GROUP)
        if scales.shape != (groups,) or levels.shape != (groups * GROUP * bits // 8,) or levels.dtype != torch.uint8:
            raise ValueError(f"'{parameter}' is misshapen")
        tensors[name] = _restore(levels, scales, bits).flatten()[:size].view(shape)
    return tensors


def _round(tensor: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return a tensor's levels, in the order of its elements, and scales; at 4 bits a byte holds two levels."""
    highest = 2 ** (bits - 1) - 1
    groups = F.pad(tensor.flatten(), (0, -tensor.numel() % GROUP)).view(-1, GROUP)
    scales = groups.abs().amax(dim=1) / highest
    steps = torch.where(scales > 0, scales, 1.0)[:, None]
    levels = (groups / steps).round().clamp(-highest, highest).to(torch.int16) + highest
    if bits == 4:
        levels = levels[:, ::2] + 16 * levels[:, 1::2]
    return levels.to(torch.uint8).flatten(), scales


def _restore(levels: Tensor, scales: Tensor, bits: int) -> Tensor:
    """Return the weights [groups, GROUP]."""
    if bits == 4:
        levels = torch.stack([levels % 16, levels // 16], dim=-1)
    highest = 2.0 ** (bits - 1) - 1
    return (levels.view(-1, GROUP).float() - highest) * scales.float()[:, None]
