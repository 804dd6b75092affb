"""The splits as tokens: in memory where a text is short, else in files that are mapped into it.

The files are made once for a text, its split and a tokenizer, whichever study asks first. They are a cache: whoever
deletes them loses the time that it takes to make them again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from litegpt.plan.split import SplitText
from litegpt.train.encoding import encode_long
from litegpt.train.tokenizer import Tokenizer, token_dtype

MAPPED_FROM = 1 << 24  # characters; a shorter text is tokenised in a moment
UNUSED_DAYS = 30  # after which a text's tokens are deleted
FORMAT = 1

Tokens = tuple[np.ndarray, np.ndarray]
"""The training split and the validation split [N], each in the tokenizer's integers."""


def tokenised(text: SplitText, tokenizer: Tokenizer, cache: Path, beat: Callable[[], None] = lambda: None) -> Tokens:
    """Return the tokens of both splits; each is tokenised by itself, so nothing of one is in a token of the other.

    `beat` is called every now and then while a long text is tokenised, which takes no more memory than a short one.
    Raises ValueError for a character that there is no token for, OSError where the cache cannot be written.
    """
    if text.corpus.characters < MAPPED_FROM:
        train, validation = (
            np.concatenate([*tokenizer.encode_parts(parts)]) for parts in (text.train(), text.validation())
        )
        return train, validation
    key = json.dumps([FORMAT, text.digest, tokenizer.state()], sort_keys=True)
    folder = cache / hashlib.sha256(key.encode()).hexdigest()[:32]
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock"), beat):
        if not folder.is_dir():
            _delete_unused(cache)
            _write(text, tokenizer, folder, beat)
        os.utime(folder)
        dtype = token_dtype(tokenizer.vocab_size)
        train, validation = (np.memmap(folder / name, dtype, mode="r") for name in ("train.bin", "validation.bin"))
    return train, validation


@contextlib.contextmanager
def _locked(path: Path, beat: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file: of several workers that want the same tokens one makes them."""
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                beat()
                time.sleep(0.2)
        yield


def _write(text: SplitText, tokenizer: Tokenizer, folder: Path, beat: Callable[[], None]) -> None:
    unfinished = folder.with_suffix(".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a worker that was killed
    unfinished.mkdir()
    try:
        for name, parts in (("train.bin", text.train()), ("validation.bin", text.validation())):
            with (unfinished / name).open("wb") as file:
                for tokens in encode_long(tokenizer, parts):
                    file.write(tokens.data)
                    beat()
                file.flush()
                os.fsync(file.fileno())
        unfinished.rename(folder)
    except BaseException:  # the disk may be full: what is half done is in the way
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _delete_unused(cache: Path) -> None:
    """Delete what nobody has asked for in a long time."""
    for folder in cache.iterdir():
        with contextlib.suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > UNUSED_DAYS * 86400:
                shutil.rmtree(folder)
