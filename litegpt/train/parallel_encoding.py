"""Encoding of a long text by several processes: words and byte pairs take minutes per gigabyte on one core."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection

import numpy as np

from litegpt.estimate.device import cores
from litegpt.processes import protect_pool
from litegpt.train.tokenizer import LearnedTokenizer, Tokenizer, cut_between_words

PROCESSES_MAX = 8  # each remembers the tokens of the words it has seen, in 100 MB at most
PARTS_WAITING = 2  # per process, so that a text larger than memory does not pile up


def encode_long(tokenizer: Tokenizer, parts: Iterable[str]) -> Generator[np.ndarray, None, None]:
    """Yield the tokens of a text that comes in parts, in order, as `encode_parts` does but sooner.

    If a process is killed (for its memory, perhaps) or cannot be started, this process encodes its parts.
    """
    processes = min(cores(), PROCESSES_MAX)
    if processes == 1 or not isinstance(tokenizer, LearnedTokenizer):
        yield from tokenizer.encode_parts(parts)
        return
    # This process has threads, locks and perhaps a GPU, which a forked copy could not use.
    protect_pool()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _start_process, (tokenizer.definition,))
    waiting: deque[tuple[str, Future[np.ndarray] | None]] = deque()
    try:
        for part in cut_between_words(parts):
            waiting.append((part, _submit(pool, part)))
            if len(waiting) > PARTS_WAITING * processes:
                yield _result(tokenizer, *waiting.popleft())
        while waiting:
            yield _result(tokenizer, *waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, part: str) -> Future[np.ndarray] | None:
    with contextlib.suppress(BrokenProcessPool, OSError):
        return pool.submit(_encode, part)
    return None


def _result(tokenizer: Tokenizer, part: str, future: Future[np.ndarray] | None) -> np.ndarray:
    if future is not None:
        with contextlib.suppress(BrokenProcessPool):
            return future.result()
    return tokenizer.encode(part)


def _start_process(definition: str) -> None:
    """Prepare a process of the pool, which exits when its parent does, even if the parent is killed."""
    global _tokenizer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()
    _tokenizer = LearnedTokenizer(definition)


def _exit_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _encode(part: str) -> np.ndarray:
    return _tokenizer.encode(part)


_tokenizer: LearnedTokenizer  # set in the processes of the pool
