"""Tuning of a shape: the choice, candidates that cost too much, and failures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from litegpt.estimate.packs import Tuning
from litegpt.study.trial import Trial
from litegpt.train import pack as pack_module
from litegpt.train.pack import Pack
from litegpt.train.tokenized_corpus import TokenizedCorpus
from litegpt.train.tune import agrees_with_default, tune, updates_per_second


class FakeDevice:
    """A device with given speeds in updates per second; each measurement takes one second of its clock."""

    def __init__(self, speed: Callable[[Tuning], float | None]) -> None:
        self.speed, self.tried = speed, list[Tuning]()

    def __call__(self, tuning: Tuning) -> float | None:
        self.tried.append(tuning)
        return self.speed(tuning)

    def clock(self) -> float:
        return float(len(self.tried))


def always(tuning: Tuning) -> bool:
    return True


def trials_of(small: Trial, count: int, max_iters: int = 100_000) -> list[Trial]:
    return [replace(small, seed=seed, max_iters=max_iters) for seed in range(count)]


def test_the_narrowest_pack_near_the_best_speed_is_chosen(small: Trial) -> None:
    device = FakeDevice(lambda tuning: {8: 100.0, 4: 99.0, 2: 98.0, 1: 60.0}[tuning.width or 0])
    tuned = tune(trials_of(small, 8), device, always, device.clock)
    assert tuned is not None
    assert (tuned.tuning.width, tuned.updates_per_second) == (2, 98.0)
    assert [tuning.width for tuning in device.tried[:4]] == [8, 4, 2, 1]


def test_a_width_that_runs_out_of_memory_is_not_chosen(small: Trial) -> None:
    device = FakeDevice(lambda tuning: None if (tuning.width or 0) > 3 else 10.0 * (tuning.width or 0))
    tuned = tune(trials_of(small, 12), device, always, device.clock)
    assert tuned is not None
    assert tuned.tuning.width == 3


def test_a_device_on_which_everything_fails(small: Trial) -> None:
    device = FakeDevice(lambda tuning: None)
    assert tune(trials_of(small, 4), device, always, device.clock) is None


def test_a_faster_kernel_and_a_compiled_step_are_taken(small: Trial) -> None:
    def speed(tuning: Tuning) -> float | None:
        if tuning.attention == "efficient":
            return None
        return (30.0 if tuning.attention == "cudnn" else 20.0) * (2.0 if tuning.compiled else 1.0)

    device = FakeDevice(speed)
    tuned = tune(trials_of(small, 1), device, always, device.clock)
    assert tuned is not None
    assert tuned.tuning == Tuning(1, "cudnn", compiled=True)
    assert tuned.updates_per_second == 60.0


def test_a_faster_candidate_with_other_losses_is_rejected(small: Trial) -> None:
    device = FakeDevice(lambda tuning: {"flash": 30.0, "cudnn": 40.0}.get(tuning.attention or "", 20.0))
    tuned = tune(trials_of(small, 1), device, lambda tuning: tuning.attention != "cudnn", device.clock)
    assert tuned is not None
    assert tuned.tuning == Tuning(1, "flash")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_kernels_agree_with_the_default(corpus: TokenizedCorpus, small: Trial, precision: str) -> None:
    trials = [replace(small, seed=seed, dropout=0.2, max_iters=10) for seed in range(3)]
    assert agrees_with_default(trials, corpus, precision, Tuning(3, "math"))


@pytest.mark.parametrize("damage", [lambda y: y * 0.5, lambda y: y * float("nan")])
def test_a_kernel_with_wrong_results_does_not_agree(
    corpus: TokenizedCorpus, small: Trial, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Tensor], Tensor]
) -> None:
    @contextlib.contextmanager
    def wrong_kernel(backend: object) -> Iterator[None]:
        with monkeypatch.context() as patched:
            attention = F.scaled_dot_product_attention
            patched.setattr(F, "scaled_dot_product_attention", lambda *q, **rest: damage(attention(*q, **rest)))
            yield

    monkeypatch.setattr(pack_module, "sdpa_kernel", wrong_kernel)
    trials = [replace(small, seed=seed, max_iters=10) for seed in range(2)]
    assert not agrees_with_default(trials, corpus, "fp32", Tuning(2, "flash"))


def test_a_kernel_that_fails_does_not_agree(
    corpus: TokenizedCorpus, small: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(backend: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(pack_module, "sdpa_kernel", fail)
    assert not agrees_with_default([small], corpus, "fp32", Tuning(1, "flash"))


def test_a_candidate_that_costs_more_than_it_can_save_is_not_tried(small: Trial) -> None:
    short, long = FakeDevice(lambda tuning: 100.0), FakeDevice(lambda tuning: 100.0)
    tune(trials_of(small, 8, max_iters=10), short, always, short.clock)
    tune(trials_of(small, 8, max_iters=2000), long, always, long.clock)
    assert [tuning.width for tuning in short.tried] == [8], "0.8 seconds of training"
    assert {tuning.width for tuning in long.tried} == {8, 4, 2, 1}
    assert not any(tuning.compiled for tuning in long.tried), "compiling takes a minute"


@pytest.mark.parametrize("attention", [None, "flash", "math"])
def test_a_real_measurement(corpus: TokenizedCorpus, small: Trial, attention: str | None) -> None:
    trials = trials_of(small, 3, max_iters=1)
    tuning = Tuning(2, attention)
    speed = updates_per_second(trials, corpus, "fp32", tuning, seconds=0.02)
    assert speed is not None
    assert speed > 10


def test_a_failing_measurement_returns_none(
    corpus: TokenizedCorpus, small: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(pack: Pack) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Pack, "advance", out_of_memory)
    assert updates_per_second([small], corpus, "fp32", Tuning(1)) is None


@pytest.mark.slow
def test_a_compiled_pack_equals_one_that_is_not(corpus: TokenizedCorpus, small: Trial) -> None:
    """It is compiled for a CPU here, which takes about a minute."""
    trials = [replace(small, seed=seed, dropout=0.2) for seed in (1, 2)]
    plain, compiled = (Pack(trials, corpus, "fp32", tuning=Tuning(compiled=value)) for value in (False, True))
    for _ in range(10):
        plain.advance()
        compiled.advance()
        torch.testing.assert_close(compiled.minibatch_losses, plain.minibatch_losses, atol=1e-4, rtol=0)
