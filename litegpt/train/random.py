"""Randomness that belongs to a trial: keyed by its seed and the step, never by pack, slot or machine."""

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
    """Return well-mixed 64-bit integers, one for each of `values` (uint64).

    The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    with np.errstate(over="ignore"):
        z = values + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def batch_starts(seeds: Sequence[int], steps: range, batch_size: int, positions: int) -> np.ndarray:
    """Return where each sequence of each batch starts: int64 [len(steps), P, batch_size], each below `positions`.

    A pure function of seed, step and place in the batch: a resumed trial, alone or packed, sees the same batches.
    """
    seed_keys = mix(np.asarray(seeds, dtype=np.int64).astype(np.uint64))
    step_keys = mix(np.asarray(steps, dtype=np.uint64))
    keys = mix(seed_keys[None, :, None] ^ mix(step_keys[:, None, None]) ^ np.arange(batch_size, dtype=np.uint64))
    return (keys % np.uint64(positions)).astype(np.int64)


class Noise:
    """The dropout masks of one forward pass of a pack, each trial with a rate of its own.

    Each trial's masks come from a generator seeded with its seed and the step, drawn in one go and handed out in the
    order in which the forward pass asks for them, so that a resumed trial draws what it would have drawn.
    """

    attention_runs: tuple[tuple[int, float], ...] | None = None  # attention must ask for masks too

    def __init__(
        self,
        seeds: Sequence[int],
        rates: Sequence[float],
        elements: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Make room for `elements` mask elements a trial; `rates` are dropout probabilities [P]."""
        self.seeds, self.rates = list(seeds), list(rates)
        self.generators = [torch.Generator(device) for _ in seeds]
        # 16 random bits decide one element: the rate is exact to 1/65,536
        self.bits = torch.empty(len(seeds), math.ceil(elements / 4), dtype=torch.int64, device=device)
        self.masks = torch.empty(len(seeds), self.bits.shape[1] * 4, device=device, dtype=dtype)
        self.used = 0

    def draw(self, step: int) -> None:
        """Draw the masks of the first forward pass of `step` (counted from 0)."""
        keys = mix(mix(np.asarray(self.seeds, dtype=np.int64).astype(np.uint64)) + np.uint64(step))
        for key, generator in zip(keys, self.generators, strict=True):
            generator.manual_seed(int(key >> np.uint64(1)))
        self.draw_more()

    def draw_more(self) -> None:
        """Draw the masks of the next forward pass of the same step: a batch may be worked off in parts."""
        for bits, mask, rate, generator in zip(self.bits, self.masks, self.rates, self.generators, strict=True):
            bits.random_(-(2**63), None, generator=generator)
            threshold = round(rate * 65536) - 32768
            torch.ge(bits.view(torch.int16), threshold, out=mask)
            mask.mul_(1 / (1 - rate))
        self.used = 0

    def mask(self, x: Tensor) -> Tensor:
        """Return the next masks, shaped like `x` [P, ...]: 0 where dropped, 1 / (1 - rate) where kept."""
        elements = x[0].numel()
        mask = self.masks[:, self.used : self.used + elements]
        self.used += elements
        return mask.view(x.shape)

    def drop(self, x: Tensor) -> Tensor:
        """Return `x` [P, ...] with the next masks applied."""
        return x * self.mask(x)


class DeviceNoise:
    """Dropout from a GPU's own generator: fused kernels draw it, and CUDA graphs can hold it.

    Seeded by the pack's seeds and the step, so a resumed pack draws what it would have drawn; in another pack a trial's
    masks are others of the same distribution. `attention_runs` are the rates as runs of neighbours that share one:
    (trials, rate); a kernel takes one rate.
    """

    def __init__(self, seeds: Sequence[int], rates: Sequence[float]) -> None:
        self.attention_runs = tuple((len(list(run)), rate) for rate, run in itertools.groupby(rates))
        self._key = mix(np.asarray(seeds, dtype=np.int64).astype(np.uint64)).sum(dtype=np.uint64)

    def draw(self, step: int) -> None:
        """Seed the generator for `step`."""
        torch.cuda.manual_seed(int(mix(mix(self._key[None]) + np.uint64(step))[0] >> np.uint64(1)))

    def draw_more(self) -> None:
        """Do nothing: the generator goes on by itself."""

    def drop(self, x: Tensor) -> Tensor:
        """Return `x` [P, ...] with dropout."""
        parts = torch.split(x, [count for count, _ in self.attention_runs])
        dropped = [F.dropout(part, rate) for part, (_, rate) in zip(parts, self.attention_runs, strict=True)]
        return dropped[0] if len(dropped) == 1 else torch.cat(dropped)
