"""Search for the fastest way to train a shape on this device: pack width, attention kernel, compilation.

A candidate that fails, because memory runs out or the device lacks a kernel, is skipped. A candidate is tried only if
it can be expected to save more time than the trial costs.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from litegpt.estimate.packs import Tuning
from litegpt.study.trial import Trial
from litegpt.train.pack import CaptureFailedError, Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus

PLATEAU = 0.98  # the narrowest pack with this share of the best speed is chosen, because it ends more evenly
BETTER = 1.03  # a kernel or compilation must be this many times faster, so that noise does not choose it

# A measurement takes STEPS steps, or as many as fit into SECONDS.
WARM_UP_STEPS = 3
STEPS = 50
SECONDS = 0.5

# The share of the training time that each kind of candidate may save at best
WIDTH_GAIN = 0.25
KERNEL_GAIN = 0.1
COMPILE_GAIN = 0.2
COMPILE_SECONDS = 60.0

# A candidate is rejected if its losses after a few updates differ from the default's by more than rounding.
COMPARED_STEPS = 4
COMPARED_TRIALS = 2
COMPARED_RATE = 1e-3
TOLERANCE = {"fp32": 2e-3, "bf16": 0.03, "fp16": 0.03}
KERNELS = ("flash", "efficient", "cudnn")

Measure = Callable[[Tuning], float | None]
Agrees = Callable[[Tuning], bool]


@dataclass(frozen=True)
class Tuned:
    """The fastest tuning and its speed, in updates of single trials per second."""

    tuning: Tuning
    updates_per_second: float


def tune(
    trials: Sequence[Trial], measure: Measure, agrees: Agrees, clock: Callable[[], float] = time.perf_counter
) -> Tuned | None:
    """Return the fastest way to train these trials of one shape, or None if not even a single trial could be tried.

    `measure` returns the updates of single trials per second under a tuning, or None if it fails. `agrees` returns
    whether training under a tuning gives the losses that it gives under the default.
    """
    updates = sum(trial.max_iters for trial in trials)
    speeds: dict[int, float] = {}
    cost = 0.0

    def pays(cost: float, gain: float) -> bool:
        return gain * updates / max(speeds.values()) > cost

    for width in _halved(len(trials)):
        if speeds and not pays(cost, WIDTH_GAIN):
            break
        started = clock()
        speed = measure(Tuning(width))
        cost = clock() - started
        if speed is not None:
            speeds[width] = speed
    if not speeds:
        return None
    width = min(width for width, speed in speeds.items() if speed >= PLATEAU * max(speeds.values()))
    best = Tuned(Tuning(width), speeds[width])
    for kernel in KERNELS:
        if pays(cost, KERNEL_GAIN):
            best = _better(best, replace(Tuning(width), attention=kernel), measure, agrees)
    if pays(COMPILE_SECONDS, COMPILE_GAIN):
        best = _better(best, replace(best.tuning, compiled=True), measure, agrees)
    return best


def updates_per_second(
    trials: Sequence[Trial],
    corpus: TokenizedCorpus,
    precision: str,
    tuning: Tuning,
    *,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> float | None:
    """Return a pack's updates of single trials per second under a tuning, or None if it fails."""
    try:
        longer = [replace(trial, max_iters=trial.max_iters + WARM_UP_STEPS + STEPS) for trial in trials[: tuning.width]]
        pack = Pack(longer, corpus, precision, tuning=tuning)
        for _ in range(WARM_UP_STEPS):
            pack.advance()
        pack.minibatch_losses.tolist()  # waits for the device
        started, steps = clock(), 0
        while steps < STEPS and clock() - started < seconds:
            pack.advance()
            steps += 1
        pack.minibatch_losses.tolist()
        return steps * len(pack.trials) / (clock() - started)
    except CaptureFailedError:
        raise
    except Exception:  # a compiler or a kernel can raise any exception
        return None
    finally:
        pack = None  # type: ignore[assignment]  # frees its memory for the next pack
        gc.collect()
        if corpus.device.type == "cuda":
            torch.cuda.empty_cache()


def agrees_with_default(trials: Sequence[Trial], corpus: TokenizedCorpus, precision: str, tuning: Tuning) -> bool:
    """Return whether some updates under a tuning give the losses of the same updates under the default.

    They are made without dropout, because other kernels draw other masks, and without a CUDA graph. The rate is high
    enough for wrong gradients to show.
    """
    compared = [
        replace(trial, dropout=0.0, learning_rate=COMPARED_RATE, warmup_iters=0) for trial in trials[:COMPARED_TRIALS]
    ]
    try:
        default, candidate = (
            _losses(Pack(compared, corpus, precision, tuning=replace(choice, graph=False)))
            for choice in (Tuning(), tuning)
        )
    except Exception:  # a compiler or a kernel can raise any exception
        return False
    return torch.allclose(default, candidate, rtol=0.0, atol=TOLERANCE[precision], equal_nan=True)


def _losses(pack: Pack) -> torch.Tensor:
    """Return the minibatch losses [steps, P] of a pack's first updates."""
    # Blocks start as the identity, so a wrong result of a block would not show. Noise on all weights changes that.
    noise = torch.randn(pack.model.weights.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pack.model.weights += noise.to(pack.device) * (3 * pack.model.shape.n_embd) ** -0.5
    losses = []
    for _ in range(COMPARED_STEPS):
        pack.advance()
        losses.append(pack.minibatch_losses.clone())
    return torch.stack(losses)


def _halved(width: int) -> Iterator[int]:
    while width > 1:
        yield width
        width = -(-width // 2)
    yield 1


def _better(best: Tuned, tuning: Tuning, measure: Measure, agrees: Agrees) -> Tuned:
    speed = measure(tuning)
    if speed is None or speed <= BETTER * best.updates_per_second or not agrees(tuning):
        return best
    return Tuned(tuning, speed)
