"""How long packs take: from what was measured on such a device, or else from what its maker states.

Measured: the FLOP/s of the measured shape that is nearest. Stated: the arithmetic at half of the device's peak, the
memory traffic at four fifths of its bandwidth, and the launches of a CUDA graph's kernels, one after another. Either
way evaluations, samples, checkpoints and a pack's start come on top.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from litegpt.estimate.cost import parameter_count, training_flops
from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.memory import ROWS, training_memory
from litegpt.estimate.packs import pack_trials, pack_width
from litegpt.study.evaluation import EVALUATED_TOKENS, SAMPLE_CHARACTERS, evaluation_steps
from litegpt.study.trial import Trial

PEAK_SHARE, BANDWIDTH_SHARE = 0.5, 0.8  # what well-filled kernels reach of a peak
ACTIVATION_PASSES = 4  # written, read back, and their gradients as well
ROW_PASSES = 14  # over a row of weights, gradients or moments by backward pass, norm and optimizer
LAUNCH_SECONDS = 2.5e-6  # a kernel inside a CUDA graph; a microsecond or two of work each
LAYER_KERNELS, OTHER_KERNELS = 70, 80  # in a step
MUON_KERNELS = 100  # more for each layer: four batches of matrices, five times three products each
EAGER_LAUNCH_SECONDS = 10e-6  # a kernel launched from Python
FORWARD_SHARE = 1 / 3  # of training's arithmetic
DISK_BYTES_PER_SECOND = 1e9
PACK_SECONDS = 0.5  # drawing initial weights, warming up, capturing the graph


@dataclass(frozen=True)
class Measurement:
    """A shape's speed, as measured on a device."""

    trial: Trial
    width: int
    flops_per_second: float  # of the whole pack's training steps


@dataclass(frozen=True)
class Throughput:
    """Where a forecast's speed comes from: measurements, or (without any) the device's stated figures."""

    device: DeviceSpec
    measurements: Sequence[Measurement] = ()
    source: str = ""  # measured or stated, and by whom
    workers: int = 1  # that share the work

    @property
    def is_known(self) -> bool:
        """Whether there is anything to go by."""
        return bool(self.measurements) or (self.device.flops is not None and self.device.bandwidth is not None)


@dataclass(frozen=True)
class PhaseEstimate:
    """What a phase takes of a device."""

    memory: float  # bytes, of the largest pack
    seconds: float | None  # None: no speed is known


def estimate_phase(
    trials: Iterable[Trial], most: int, throughput: Throughput, n_symbols: int, validation_tokens: int
) -> PhaseEstimate | None:
    """Return the forecast for the `most` dearest of these trials in packs; None where there are none.

    `validation_tokens` are the validation split's: every evaluation runs over them, or over EVALUATED_TOKENS of them
    where there are more, and over as many of training.
    """
    device = throughput.device
    packs = pack_trials(trials, lambda trial: pack_width(trial, device, n_symbols))
    if not packs or not most:
        return None
    memory = max(training_memory(pack[0], n_symbols, device, len(pack)).total for pack in packs)
    if not throughput.is_known:
        return PhaseEstimate(memory, None)
    each: list[float] = []
    for pack in packs:
        seconds = pack_seconds(pack[0], len(pack), throughput, n_symbols, validation_tokens)
        each += [seconds / len(pack)] * len(pack)
    return PhaseEstimate(memory, sum(heapq.nlargest(most, each)) / throughput.workers)


def pack_seconds(trial: Trial, width: int, throughput: Throughput, n_symbols: int, validation_tokens: int) -> float:
    """Return how long a pack takes from its start to its last checkpoint."""
    step = step_seconds(trial, width, throughput, n_symbols)
    tokens = trial.batch_size * trial.block_size
    evaluated = 2 * min(validation_tokens, EVALUATED_TOKENS)
    evaluations = len(evaluation_steps(trial)) * evaluated / tokens * FORWARD_SHARE
    eager = EAGER_LAUNCH_SECONDS if throughput.device.kind == "cuda" else 0.0
    samples = 2 * SAMPLE_CHARACTERS * (trial.n_layer * LAYER_KERNELS + OTHER_KERNELS) * FORWARD_SHARE * eager
    written = width * ROWS * 4 * parameter_count(trial, n_symbols) / DISK_BYTES_PER_SECOND
    return (trial.max_iters + evaluations) * step + samples + written + PACK_SECONDS


def step_seconds(trial: Trial, width: int, throughput: Throughput, n_symbols: int) -> float:
    """Return how long one training step of a pack takes."""
    flops = width * training_flops(trial, n_symbols) / trial.max_iters
    if throughput.measurements:
        return flops / _nearest(trial, width, throughput.measurements).flops_per_second
    device = throughput.device
    assert device.flops is not None
    assert device.bandwidth is not None
    memory = training_memory(trial, n_symbols, device, width)
    rows = width * 4 * parameter_count(trial, n_symbols) * ROW_PASSES
    traffic = (memory.activations * ACTIVATION_PASSES + rows) / (BANDWIDTH_SHARE * device.bandwidth)
    kernels = trial.gradient_accumulation * trial.n_layer * LAYER_KERNELS + OTHER_KERNELS
    kernels += trial.n_layer * MUON_KERNELS if trial.optimizer == "muon" else 0
    return flops / (PEAK_SHARE * device.flops) + traffic + kernels * LAUNCH_SECONDS


def _nearest(trial: Trial, width: int, measurements: Sequence[Measurement]) -> Measurement:
    """Return the measurement, of the same optimizer if any, nearest in the logarithms of what speed depends on."""

    def place(trial: Trial, width: int) -> tuple[float, ...]:
        return (
            2 * math.log(trial.n_embd),  # it decides how well a matrix product fills the device
            math.log(width * trial.batch_size * trial.block_size),
            math.log(trial.n_layer),
        )

    here = place(trial, width)
    alike = [measured for measured in measurements if measured.trial.optimizer == trial.optimizer] or measurements
    return min(alike, key=lambda measured: math.dist(here, place(measured.trial, measured.width)))
