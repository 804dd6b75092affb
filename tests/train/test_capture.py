"""CUDA graphs and failing devices, with torch's CUDA functions replaced, so that no GPU is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from litegpt.estimate.packs import Tuning
from litegpt.study.trial import Trial
from litegpt.train import pack as pack_module
from litegpt.train.pack import (
    CaptureFailedError,
    Pack,
    configure_torch,
    device_has_failed,
    is_out_of_memory,
    limit_memory,
)
from litegpt.train.tokenized_corpus import TokenizedCorpus
from litegpt.train.tune import updates_per_second

CPU = torch.device("cpu")


class Stream:
    def wait_stream(self, other: Stream) -> None:
        pass


class FakeCuda:
    """Replaces the functions of torch.cuda that a capture calls. A replay repeats the captured pack's step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.streams: list[Stream] = []
        self.captured_on: list[Stream] = []
        self.replays = self.resets = 0
        self.failure: Exception | None = None
        cuda = self

        class Graph:
            def replay(self) -> None:
                cuda.replays += 1
                cuda.pack._make_step()

            def reset(self) -> None:
                cuda.resets += 1

        def stream(device: torch.device) -> Stream:
            cuda.streams.append(Stream())
            return cuda.streams[-1]

        @contextlib.contextmanager
        def graph(graph: Graph, stream: Stream) -> Iterator[None]:
            cuda.captured_on.append(stream)
            yield
            if cuda.failure is not None:
                raise cuda.failure

        monkeypatch.setattr(torch.cuda, "Stream", stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", graph)
        pack_module._capture_stream.cache_clear()
        self.pack: Pack

    def capturing(self, pack: Pack) -> Pack:
        """Let a pack on the CPU capture its step. Capturing runs it here, so its effects are undone."""
        self.pack = pack
        pack._can_capture = True
        return pack


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    yield FakeCuda(monkeypatch)
    pack_module._capture_stream.cache_clear()


def test_all_captures_of_a_process_share_one_stream(cuda: FakeCuda, pack_of, small: Trial) -> None:  # type: ignore[no-untyped-def]
    """torch keeps a workspace of 32 MB or more for each stream."""
    for seed in range(3):
        cuda.capturing(pack_of(replace(small, seed=seed))).advance()
    assert len(cuda.streams) == 1
    assert cuda.captured_on == cuda.streams * 3
    assert cuda.replays == 3


def test_a_narrowed_pack_frees_the_graph_of_the_old_one(cuda: FakeCuda, pack_of, small: Trial) -> None:  # type: ignore[no-untyped-def]
    pack = cuda.capturing(pack_of(small, replace(small, seed=2)))
    pack.advance()
    pack.keep([1])
    assert cuda.resets == 1


def test_a_capture_that_fails_is_an_error_and_not_slow_training(cuda: FakeCuda, pack_of, small: Trial) -> None:  # type: ignore[no-untyped-def]
    """torch may still believe that it is capturing, so later steps would fail, too."""
    cuda.failure = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    with pytest.raises(CaptureFailedError, match="previous error during capture"):
        cuda.capturing(pack_of(small)).advance()


def test_memory_that_runs_out_in_a_capture_is_recognised(cuda: FakeCuda, pack_of, small: Trial) -> None:  # type: ignore[no-untyped-def]
    cuda.failure = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    cuda.failure.__context__ = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(RuntimeError) as raised:
        cuda.capturing(pack_of(small)).advance()
    assert is_out_of_memory(raised.value)
    assert not isinstance(raised.value, CaptureFailedError)


def test_a_tuning_without_a_graph_does_not_capture(corpus: TokenizedCorpus, small: Trial, cuda: FakeCuda) -> None:
    Pack([small], corpus, "fp32", tuning=Tuning(graph=False)).advance()
    assert cuda.captured_on == []


def test_tuning_does_not_hide_a_failed_capture(
    corpus: TokenizedCorpus, small: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(pack: Pack) -> None:
        raise CaptureFailedError("a step cannot be captured")

    monkeypatch.setattr(Pack, "advance", fail)
    with pytest.raises(CaptureFailedError):
        updates_per_second([small], corpus, "fp32", Tuning(1))


@pytest.mark.parametrize(
    ("error", "has_failed"),
    [
        (None, False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), False),
    ],
)
def test_a_device_that_answers_no_more_has_failed(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, has_failed: bool
) -> None:
    zeros = torch.zeros

    def answer(*arguments: Any, **options: Any) -> torch.Tensor:
        if error is not None:
            raise error
        return zeros(*arguments, **options)

    monkeypatch.setattr(torch, "zeros", answer)
    assert device_has_failed(CPU) == has_failed


@pytest.mark.parametrize(("attention", "is_enabled"), [(None, False), ("cudnn", True), ("flash", False)])
def test_cudnn_attention_is_used_only_if_tuning_asks_for_it(
    corpus: TokenizedCorpus, small: Trial, monkeypatch: pytest.MonkeyPatch, attention: str | None, is_enabled: bool
) -> None:
    enabled = torch.backends.cuda.cudnn_sdp_enabled
    before, seen = enabled(), set()
    attend: Callable[..., torch.Tensor] = torch.nn.functional.scaled_dot_product_attention

    def record(*arguments: Any, **options: Any) -> torch.Tensor:
        seen.add(enabled())
        with sdpa_kernel(SDPBackend.MATH):  # a CPU has no cuDNN
            return attend(*arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", record)
    try:
        configure_torch()
        Pack([small], corpus, "fp32", tuning=Tuning(attention=attention)).advance()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
        torch.set_flush_denormal(False)
    assert seen == {is_enabled}


def test_a_gpu_of_wsl_is_limited_to_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise Windows would move tensors to the host's memory, and packs would become slow instead of narrow."""
    limits: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (6e9, 8e9))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *limit: limits.append(limit))
    limit_memory(CPU)
    assert limits == [(0.75, CPU)]
