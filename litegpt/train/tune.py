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
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus

PLATEAU = 0.9  # the narrowest pack with this share of the best speed is chosen, because it ends more evenly
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
KERNELS = ("flash", "efficient", "cudnn")

Measure = Callable[[Tuning], float | None]


@dataclass(frozen=True)
class Tuned:
    """The fastest tuning and its speed, in updates of single trials per second."""

    tuning: Tuning
    updates_per_second: float


def tune(trials: Sequence[Trial], measure: Measure, clock: Callable[[], float] = time.perf_counter) -> Tuned | None:
    """Return the fastest way to train these trials of one shape, or None if not even a single trial could be tried.

    `measure` returns the updates of single trials per second under a tuning, or None if it fails.
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
            best = _better(best, replace(Tuning(width), attention=kernel), measure)
    if pays(COMPILE_SECONDS, COMPILE_GAIN):
        best = _better(best, replace(best.tuning, compiled=True), measure)
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
    except Exception:  # a compiler or a kernel can raise any exception
        return None
    finally:
        pack = None  # type: ignore[assignment]  # frees its memory for the next pack
        gc.collect()
        if corpus.device.type == "cuda":
            torch.cuda.empty_cache()


def _halved(width: int) -> Iterator[int]:
    while width > 1:
        yield width
        width = -(-width // 2)
    yield 1


def _better(best: Tuned, tuning: Tuning, measure: Measure) -> Tuned:
    speed = measure(tuning)
    return Tuned(tuning, speed) if speed is not None and speed > BETTER * best.updates_per_second else best
