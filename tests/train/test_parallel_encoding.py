"""A long text encoded by several processes: the same tokens in order, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from litegpt.train import parallel_encoding, tokenizer
from litegpt.train.parallel_encoding import encode_long
from litegpt.train.vocabulary import learn_byte_pairs

TEXT = "the quick brown fox — jumps over the lazy dog\n" * 400
PAIRS = learn_byte_pairs(iter([TEXT]), 300)

ENCODE_FOR_EVER = """
import itertools, sys
from litegpt.train import parallel_encoding
from litegpt.train.vocabulary import learn_words
parallel_encoding.cores = lambda: 2
for tokens in parallel_encoding.encode_long(learn_words(iter(["a b"]), 260), itertools.repeat("word " * 100_000)):
    print(len(tokens), flush=True)
"""


@pytest.mark.parametrize("cores", [1, 2])
def test_the_tokens_of_a_text_in_order(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(parallel_encoding, "cores", lambda: cores)
    monkeypatch.setattr(tokenizer, "CHARACTERS_AT_ONCE", 500)
    taken = 0

    def parts() -> Iterator[str]:
        nonlocal taken
        for start in range(0, len(TEXT), 500):
            taken += 1
            yield TEXT[start : start + 500]

    tokens = encode_long(PAIRS, parts())
    first = next(tokens)
    assert taken <= 8, "a text is not read ahead of its tokens"
    assert np.concatenate([first, *tokens]).tolist() == PAIRS.encode(TEXT).tolist()


def test_this_process_encodes_the_parts_of_killed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system kills processes when memory runs out."""
    monkeypatch.setattr(parallel_encoding, "cores", lambda: 2)
    monkeypatch.setattr(tokenizer, "CHARACTERS_AT_ONCE", 500)
    tokens = encode_long(PAIRS, (TEXT[start : start + 500] for start in range(0, len(TEXT), 500)))
    first = next(tokens)
    for child in multiprocessing.active_children():
        child.kill()
    assert np.concatenate([first, *tokens]).tolist() == PAIRS.encode(TEXT).tolist()


def test_this_process_encodes_everything_if_others_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(parallel_encoding, "cores", lambda: 2)
    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", refuse)
    assert np.concatenate([*encode_long(PAIRS, [TEXT])]).tolist() == PAIRS.encode(TEXT).tolist()


def test_processes_exit_when_their_parent_is_killed() -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", ENCODE_FOR_EVER], cwd=root, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        children = psutil.Process(process.pid).children()
        assert len(children) >= 2
        os.kill(process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=20)
        deadline = time.monotonic() + 5
        while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in alive):
            assert time.monotonic() < deadline
            time.sleep(0.1)
