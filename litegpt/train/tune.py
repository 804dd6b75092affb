"""Finding out how a shape trains fastest on this device: pack width, attention kernel, compilation.

What fails on the way (memory that runs out, a kernel that the device does not have) is an answer, not an error. Nothing
is tried that costs more than it can be expected to save.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from litegpt.estimate.tuning import Tuning
from litegpt.study.trial import Trial
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus

PLATEAU = 0.9  # of the best speed is as good as the best: narrower packs end and are evaluated more evenly
BETTER = 1.03  # times faster is more than noise
WARM_UP_STEPS, STEPS, SECONDS = 3, 50, 0.5  # a measurement: so many steps, or as many as fit into the time
WIDTH_GAIN, KERNEL_GAIN, COMPILE_GAIN = 0.25, 0.1, 0.2  # what a try may save of the time, at best
COMPILE_SECONDS = 60.0
KERNELS = ("flash", "efficient", "cudnn")

Measure = Callable[[Tuning], float | None]


@dataclass(frozen=True)
class Tuned:
    """The fastest way found, and its speed in updates of single trials a second."""

    tuning: Tuning
    updates_per_second: float


def tune(trials: Sequence[Trial], measure: Measure, clock: Callable[[], float] = time.perf_counter) -> Tuned | None:
    """Return how to train these trials of one shape; None where not even one of them could be tried.

    `measure` gives the updates of single trials a second under a tuning, None where it fails.
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
    """Return the updates of single trials a second of a pack as wide as the tuning says, None where it fails."""
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
    except Exception:  # a compiler or a kernel may fail in ways of its own
        return None
    finally:
        pack = None  # type: ignore[assignment]  # its memory is the next one's
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
