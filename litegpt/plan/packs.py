"""Packs: trials of one shape, which a worker trains together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import pairwise

from litegpt.plan.cost import training_flops
from litegpt.plan.device import Device
from litegpt.plan.memory import widest_pack
from litegpt.plan.trial import Trial

WIDEST_PACK = 64
FILLING_ACTIVATIONS = 1 << 23  # elements in one layer of a pack that keep a large GPU busy


def pack_shape(trial: Trial) -> Hashable:
    """Return what the trials of a pack have in common: the shape of weights and batches, the steps, the precision."""
    return (
        trial.n_layer,
        trial.n_head,
        trial.n_embd,
        trial.block_size,
        trial.batch_size,
        trial.max_iters,
        trial.eval_interval,
        trial.precision,
        trial.gradient_accumulation,
        trial.activation_checkpointing,
    )


def pack_width(trial: Trial, device: Device, vocab_size: int) -> int:
    """Return how many trials of this shape to train together: on a GPU enough to fill it, on a CPU one.

    A CPU computes one small model as fast as it can compute at all (docs/LOG.md). A GPU waits for launches until its
    matrices are large, so narrow models with small batches go in wide packs, as far as its memory holds them.
    """
    if device.kind == "cpu":
        return 1
    activations = trial.batch_size * trial.block_size * trial.n_embd  # elements, of one layer of one trial
    most = max(1, min(WIDEST_PACK, FILLING_ACTIVATIONS // activations))
    return widest_pack(trial, vocab_size, device, most)


def pack_trials(trials: Iterable[Trial], width: int | Callable[[Trial], int]) -> list[tuple[Trial, ...]]:
    """Return packs of at most `width` trials of one shape, evenly filled.

    `width` may depend on the shape: it is then asked with one trial of each. The dearest pack comes first, so that
    several devices finish close together. ValueError: a width below 1.
    """
    groups: dict[Hashable, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(pack_shape(trial), []).append(trial)
    packs: list[tuple[Trial, ...]] = []
    for group in groups.values():
        most = width if isinstance(width, int) else width(group[0])
        if most < 1:
            raise ValueError(f"a pack holds at least one trial, not {most}")
        count = -(-len(group) // most)
        edges = [len(group) * index // count for index in range(count + 1)]
        packs += [tuple(group[start:end]) for start, end in pairwise(edges)]
    return sorted(packs, key=_flops, reverse=True)


def _flops(pack: tuple[Trial, ...]) -> float:
    return len(pack) * training_flops(pack[0], vocab_size=0)  # the vocabulary changes no order worth having
