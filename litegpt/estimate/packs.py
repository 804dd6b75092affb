"""Packs: trials that a worker trains together as one model, and the choices that decide a pack's speed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from litegpt.estimate.cost import training_flops
from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.memory import widest_pack
from litegpt.study.trial import Trial, of_scope

T = TypeVar("T")

WIDEST_PACK = 64
FILLING_ACTIVATIONS = 1 << 25  # elements: one layer of a pack this large keeps a large GPU busy


ATTENTIONS = ("flash", "efficient", "cudnn", "math")
"""The kernels of torch's scaled_dot_product_attention."""


@dataclass(frozen=True)
class Tuning:
    """Choices that change the speed of a pack. Results change only in rounding and dropout masks."""

    width: int | None = None  # trials in a pack; None: as wide as the pack comes
    attention: str | None = None  # one of ATTENTIONS; None: torch chooses
    compiled: bool = False
    graph: bool = True  # capture the step as a CUDA graph
    micro_batches: int = 1  # parts of a batch that are computed one after another


def pack_key(trial: Trial) -> Hashable:
    """Return the hyperparameters that the trials of a pack share."""
    return tuple(getattr(trial, name) for name in of_scope("shape", "step", "length"))


def pack_width(trial: Trial, device: DeviceSpec, n_symbols: int) -> int:
    """Return the number of such trials to train together: enough to fill a GPU, one on a CPU.

    A CPU reaches its full speed with one small model (docs/LOG.md). A GPU waits for launches unless its matrices are
    large, so narrow models with small batches form wide packs, as far as the memory allows.
    """
    if device.kind == "cpu":
        return 1
    activations = trial.batch_size * trial.block_size * trial.n_embd  # elements, of one layer of one trial
    most = max(1, min(WIDEST_PACK, FILLING_ACTIVATIONS // activations))
    return widest_pack(trial, n_symbols, device, most)


def pack_trials(
    trials: Iterable[Trial], width: int | Callable[[Trial], int], devices: int = 1
) -> list[tuple[Trial, ...]]:
    """Divide trials into evenly filled packs of at most `width` trials each.

    `width` may be a function of a trial, because it depends on the model. To let several devices finish at nearly the
    same time, no pack exceeds one device's share of the work, and the most expensive pack comes first. ValueError: a
    width below 1.
    """
    groups: dict[Hashable, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(pack_key(trial), []).append(trial)
    share = sum(_flops(tuple(group)) for group in groups.values()) / devices
    packs: list[tuple[Trial, ...]] = []
    for group in groups.values():
        most = width if isinstance(width, int) else width(group[0])
        if most < 1:
            raise ValueError(f"a pack holds at least one trial, not {most}")
        if devices > 1:
            most = max(1, min(most, int(share / _flops((group[0],)) + 1e-9)))
        # Attention kernels accept one dropout rate, so trials with equal rates stay together.
        group.sort(key=lambda trial: trial.dropout)
        packs += map(tuple, evenly(group, most))
    return sorted(packs, key=_flops, reverse=True)


def evenly(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """Divide items, in order, into evenly filled parts of at most `most`."""
    count = -(-len(items) // most)
    edges = [len(items) * index // count for index in range(count + 1)]
    return [items[start:end] for start, end in pairwise(edges)]


def _flops(pack: tuple[Trial, ...]) -> float:
    return len(pack) * training_flops(pack[0], n_symbols=0)  # the vocabulary hardly changes the order
