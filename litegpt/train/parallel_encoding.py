"""A long text's tokens, one part after another: words and byte pairs take minutes a gigabyte, so every core helps."""

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
from litegpt.train.tokenizer import LearnedTokenizer, Tokenizer, cut_between_words

PROCESSES_MAX = 8  # each keeps the words that it has met, 100 MB at most
PARTS_WAITING = 2  # for each process: a text larger than memory must not pile up


def encode_long(tokenizer: Tokenizer, parts: Iterable[str]) -> Generator[np.ndarray, None, None]:
    """Yield the tokens of a text that comes in parts, in order: what `encode_parts` yields, sooner.

    Where a process is killed, for its memory perhaps, or none can be started, this one does what is left.
    """
    processes = min(cores(), PROCESSES_MAX)
    if processes == 1 or not isinstance(tokenizer, LearnedTokenizer):
        yield from tokenizer.encode_parts(parts)
        return
    # a fork would copy a process that has threads, locks and a GPU
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin, (tokenizer.definition,))
    waiting: deque[tuple[str, Future[np.ndarray] | None]] = deque()
    try:
        for part in cut_between_words(parts):
            waiting.append((part, _submitted(pool, part)))
            if len(waiting) > PARTS_WAITING * processes:
                yield _encoded(tokenizer, *waiting.popleft())
        while waiting:
            yield _encoded(tokenizer, *waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, part: str) -> Future[np.ndarray] | None:
    with contextlib.suppress(BrokenProcessPool, OSError):
        return pool.submit(_encode, part)
    return None


def _encoded(tokenizer: Tokenizer, part: str, future: Future[np.ndarray] | None) -> np.ndarray:
    if future is not None:
        with contextlib.suppress(BrokenProcessPool):
            return future.result()
    return tokenizer.encode(part)


def _begin(definition: str) -> None:
    """Prepare a process of the pool. It leaves with the one that started it, however that ends."""
    global _tokenizer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()
    _tokenizer = LearnedTokenizer(definition)


def _leave_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _encode(part: str) -> np.ndarray:
    return _tokenizer.encode(part)


_tokenizer: LearnedTokenizer  # in a process of the pool
