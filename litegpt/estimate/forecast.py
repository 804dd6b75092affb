"""The time that packs take, from measurements on such a device or from the figures that its maker states.

With measurements, a pack runs at the FLOP/s of the nearest measured shape. Without, the estimate adds up arithmetic at
half of the stated peak, memory traffic at four fifths of the stated bandwidth, and the launches of the kernels of a
CUDA graph. Evaluations, samples, checkpoints and the start of a pack are added in both cases.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from litegpt.estimate.cost import parameter_count, training_flops
from litegpt.estimate.device import DeviceSpec
from litegpt.estimate.memory import training_memory
from litegpt.estimate.packs import pack_trials, pack_width
from litegpt.study.evaluation import EVALUATED_TOKENS, SAMPLE_CHARACTERS, evaluation_steps
from litegpt.study.trial import Trial

# The shares of a stated peak that well-filled kernels reach.
PEAK_SHARE = 0.5
BANDWIDTH_SHARE = 0.8
# How often the saved activations, or as many bytes of others and of gradients, are written or read. This and the kernel
# counts come from traces of the operations of a step on a GPU's path.
ACTIVATION_PASSES = 8
# The backward pass, the norm and the optimizer read or write a row of weights, gradients or moments this often.
ROW_PASSES = 14
# A kernel inside a CUDA graph, with a microsecond or two of work, and a kernel that Python launches.
LAUNCH_SECONDS = 2.5e-6
EAGER_LAUNCH_SECONDS = 10e-6
# Kernels per layer and besides in one step. Muon adds four batches of matrices, five times three products each.
LAYER_KERNELS = 60
OTHER_KERNELS = 80
MUON_KERNELS = 100
# The share of the forward pass in the arithmetic of a training step.
FORWARD_SHARE = 1 / 3
# Hashing and writing the best weights takes 0.6 s for 42.7M parameters.
WRITE_SECONDS = 14e-9  # per parameter
# Drawing initial weights, warming up and capturing the graph.
PACK_SECONDS = 0.5


@dataclass(frozen=True)
class Measurement:
    """The measured speed of a pack."""

    trial: Trial
    width: int
    flops_per_second: float  # of the training steps of the whole pack


@dataclass(frozen=True)
class Throughput:
    """The source of a forecast's speed: measurements, otherwise the stated figures of the device."""

    device: DeviceSpec
    measurements: Sequence[Measurement] = ()
    source: str = ""  # for people: measured or stated, and by whom
    workers: int = 1  # workers that share the phase

    @property
    def is_known(self) -> bool:
        """True if there are measurements or stated figures."""
        return bool(self.measurements) or (self.device.flops is not None and self.device.bandwidth is not None)


@dataclass(frozen=True)
class PhaseEstimate:
    """The memory and the time that a phase needs on a device."""

    memory: float  # bytes, of the largest pack
    seconds: float | None  # None: no speed is known


def estimate_phase(
    trials: Iterable[Trial], most: int, throughput: Throughput, n_symbols: int, validation_tokens: int
) -> PhaseEstimate | None:
    """Return the estimate for the `most` most expensive of these trials, in packs; None for no trials.

    `validation_tokens` is the size of the validation split. Every evaluation runs over that many tokens of each split,
    but over at most EVALUATED_TOKENS.
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
    # Workers share the trials, but a trial trains on one of them.
    return PhaseEstimate(memory, max(sum(heapq.nlargest(most, each)) / throughput.workers, max(each)))


def pack_seconds(trial: Trial, width: int, throughput: Throughput, n_symbols: int, validation_tokens: int) -> float:
    """Return the time of a pack from its start to its last checkpoint."""
    step = step_seconds(trial, width, throughput, n_symbols)
    tokens = trial.batch_size * trial.block_size
    evaluated = 2 * min(validation_tokens, EVALUATED_TOKENS)
    evaluations = len(evaluation_steps(trial)) * evaluated / tokens * FORWARD_SHARE
    eager = EAGER_LAUNCH_SECONDS if throughput.device.kind == "cuda" else 0.0
    samples = 2 * SAMPLE_CHARACTERS * (trial.n_layer * LAYER_KERNELS + OTHER_KERNELS) * FORWARD_SHARE * eager
    written = width * parameter_count(trial, n_symbols) * WRITE_SECONDS
    return (trial.max_iters + evaluations) * step + samples + written + PACK_SECONDS


def step_seconds(trial: Trial, width: int, throughput: Throughput, n_symbols: int) -> float:
    """Return the time of one training step of a pack."""
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
    """Return the measurement nearest in the logarithms of what speed depends on; if possible, of the same optimizer."""

    # The width of the model counts twice, because it decides how well a matrix product fills the device.
    def coordinates(trial: Trial, width: int) -> tuple[float, ...]:
        return (
            2 * math.log(trial.n_embd),
            math.log(width * trial.batch_size * trial.block_size),
            math.log(trial.n_layer),
        )

    here = coordinates(trial, width)
    alike = [measured for measured in measurements if measured.trial.optimizer == trial.optimizer] or measurements
    return min(alike, key=lambda measured: math.dist(here, coordinates(measured.trial, measured.width)))
