"""Random numbers that belong to a trial: the positions of its batches and its dropout masks.

They are functions of the trial's seed and the step. A resumed trial draws what it would have drawn, whichever pack,
slot or machine it trains in. The exception is a GPU's dropout: see `DeviceDropout`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(values: np.ndarray) -> np.ndarray:
    """Return a well-mixed 64-bit integer for each of `values` (uint64).

    This is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    with np.errstate(over="ignore"):
        z = values + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def batch_starts(seeds: Sequence[int], steps: range, batch_size: int, positions: int) -> np.ndarray:
    """Return where each sequence of each batch starts: int64 [steps, P, batch_size], each below `positions`.

    A start depends on the trial's seed, the step and the sequence's index in the batch alone.
    """
    seed_keys = mix(np.asarray(seeds, dtype=np.int64).astype(np.uint64))
    step_keys = mix(np.asarray(steps, dtype=np.uint64))
    keys = mix(seed_keys[None, :, None] ^ mix(step_keys[:, None, None]) ^ np.arange(batch_size, dtype=np.uint64))
    return (keys % np.uint64(positions)).astype(np.int64)


class DropoutMasks:
    """A CPU's dropout: the masks of one forward pass of a pack, each trial with its own rate.

    Each trial has a generator, seeded with the trial's seed and the step. It draws all masks of a forward pass at once,
    and the pass takes them in the order in which it needs them.
    """

    fused_attention_rates: tuple[tuple[int, float], ...] | None = None  # attention must take masks, too

    def __init__(
        self,
        seeds: Sequence[int],
        rates: Sequence[float],
        elements: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Allocate `elements` mask elements per trial; `rates` are dropout probabilities [P]."""
        self.seeds = list(seeds)
        self.rates = list(rates)
        self.generators = [torch.Generator(device) for _ in seeds]
        # 16 random bits decide about one element, so a rate is exact to 1/65,536.
        self.bits = torch.empty(len(seeds), math.ceil(elements / 4), dtype=torch.int64, device=device)
        self.masks = torch.empty(len(seeds), self.bits.shape[1] * 4, device=device, dtype=dtype)
        self.used = 0  # elements of each trial that the forward pass has taken

    def draw(self, step: int) -> None:
        """Draw the masks of the first forward pass of `step` (counted from 0)."""
        keys = mix(mix(np.asarray(self.seeds, dtype=np.int64).astype(np.uint64)) + np.uint64(step))
        for key, generator in zip(keys, self.generators, strict=True):
            generator.manual_seed(int(key >> np.uint64(1)))
        self.draw_more()

    def draw_more(self) -> None:
        """Draw the masks of the next forward pass of the same step, when a batch is computed in parts."""
        for bits, mask, rate, generator in zip(self.bits, self.masks, self.rates, self.generators, strict=True):
            bits.random_(-(2**63), None, generator=generator)
            threshold = round(rate * 65536) - 32768
            torch.ge(bits.view(torch.int16), threshold, out=mask)
            mask.mul_(1 / (1 - rate))
        self.used = 0

    def mask(self, x: Tensor) -> Tensor:
        """Return the next masks, shaped like `x` [P, ...]: 0 for dropped elements, 1 / (1 - rate) for others."""
        elements = x[0].numel()
        mask = self.masks[:, self.used : self.used + elements]
        self.used += elements
        return mask.view(x.shape)

    def drop(self, x: Tensor) -> Tensor:
        """Return `x` [P, ...] times the next masks."""
        return x * self.mask(x)


class DeviceDropout:
    """A GPU's dropout, from the device's own generator: fused kernels draw it, and CUDA graphs can hold it.

    The generator is seeded with the seeds of the whole pack and the step. A resumed pack draws the same masks again,
    but in another pack a trial gets other masks of the same distribution.

    A kernel takes one rate, so `fused_attention_rates` lists runs of neighbours with the same rate: (trials, rate).
    """

    def __init__(self, seeds: Sequence[int], rates: Sequence[float]) -> None:
        self.fused_attention_rates = tuple((len(list(run)), rate) for rate, run in itertools.groupby(rates))
        self._key = mix(np.asarray(seeds, dtype=np.int64).astype(np.uint64)).sum(dtype=np.uint64)

    def draw(self, step: int) -> None:
        """Seed the generator for `step`."""
        torch.cuda.manual_seed(int(mix(mix(self._key[None]) + np.uint64(step))[0] >> np.uint64(1)))

    def draw_more(self) -> None:
        """Leave the generator as it is: its next numbers are those of the next forward pass."""

    def drop(self, x: Tensor) -> Tensor:
        """Return `x` [P, ...] with dropout."""
        if len(self.fused_attention_rates) == 1:  # splitting into one part would copy in the backward pass
            return F.dropout(x, self.fused_attention_rates[0][1])
        parts = torch.split(x, [n_trials for n_trials, _ in self.fused_attention_rates])
        dropped = [F.dropout(part, rate) for part, (_, rate) in zip(parts, self.fused_attention_rates, strict=True)]
        return torch.cat(dropped)


Dropout = DropoutMasks | DeviceDropout
