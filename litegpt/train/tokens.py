"""Both splits as tokens: in memory for a short text, in memory-mapped files for a long one.

The files are a cache that all studies share. There is one set of files per text, split and tokenizer, and deleting or
damaging them costs only the time to write them again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from litegpt.text.split import SplitText
from litegpt.train.parallel_encoding import encode_long
from litegpt.train.tokenizer import Tokenizer, token_dtype

MAPPED_FROM = 1 << 24  # characters; a shorter text is tokenised within seconds
UNUSED_DAYS = 30  # files that were not used for so long are deleted
FORMAT = 1
FILES = ("train.bin", "validation.bin")
CHECKED_AT_ONCE = 1 << 24  # bytes; a gigabyte takes a second or less

Tokens = tuple[np.ndarray, np.ndarray]
"""The tokens of the training split and of the validation split, each [N] in the tokenizer's integer type."""


class CacheError(OSError):
    """The cache folder cannot be used; the message says what to do."""


def tokenised(text: SplitText, tokenizer: Tokenizer, cache: Path, beat: Callable[[], None] = lambda: None) -> Tokens:
    """Return the tokens of both splits.

    Each split is tokenised separately, so that no token spans both. A long text takes no more memory than a short one.
    `beat` is called often meanwhile, and an exception from it ends the work. Raises ValueError for a character without
    a token, and CacheError.
    """
    if text.corpus.characters < MAPPED_FROM:
        return _encode(tokenizer, text.train(), beat), _encode(tokenizer, text.validation(), beat)
    key = json.dumps([FORMAT, text.digest, tokenizer.state()], sort_keys=True)
    folder = cache / hashlib.sha256(key.encode()).hexdigest()[:32]
    dtype = token_dtype(tokenizer.vocab_size)
    tokens = _read(folder, dtype, beat)  # without the lock, because the cache may be read-only
    try:
        tokens = tokens or _create(text, tokenizer, folder, beat)
    except OSError as error:
        what = f"the tokens cannot be kept in {cache} ({error.strerror or error})"
        raise CacheError(f"{what}: make room there, or set XDG_CACHE_HOME") from error
    with contextlib.suppress(OSError):
        os.utime(folder)
    return tokens


def _encode(tokenizer: Tokenizer, parts: Iterable[str], beat: Callable[[], None]) -> np.ndarray:
    encoded = []
    for tokens in tokenizer.encode_parts(parts):
        encoded.append(tokens)
        beat()
    return np.concatenate(encoded)


def _read(folder: Path, dtype: type[np.integer[Any]], beat: Callable[[], None]) -> Tokens | None:
    """Return the tokens in a folder, or None if the files are missing or differ from what was written."""
    try:
        written = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        train, validation = (np.memmap(folder / name, dtype, mode="r") for name in FILES)
        for name, tokens in zip(FILES, (train, validation), strict=True):
            if written[name]["tokens"] != len(tokens) or written[name]["crc32"] != _checksum(folder / name, beat):
                return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # the folder may hold anything
        return None
    return train, validation


def _checksum(path: Path, beat: Callable[[], None]) -> int:
    """Return a file's checksum. It is read in pieces, because mapped pages would count as this process's memory."""
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while data := file.read(CHECKED_AT_ONCE):
            checksum = zlib.crc32(data, checksum)
            beat()
    return checksum


def _create(text: SplitText, tokenizer: Tokenizer, folder: Path, beat: Callable[[], None]) -> Tokens:
    """Write the tokens, unless another worker has written them meanwhile, and return them."""
    dtype = token_dtype(tokenizer.vocab_size)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock"), beat):
        tokens = _read(folder, dtype, beat)
        if tokens is None:
            _delete_unused(folder.parent)
            _delete(folder)
            _write(text, tokenizer, folder, beat)
            tokens = _read(folder, dtype, beat)
    if tokens is None:
        raise OSError(errno.EIO, "what was written cannot be read back")
    return tokens


@contextlib.contextmanager
def _locked(path: Path, beat: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file, so that only one of several workers writes the same tokens."""
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
    _delete(unfinished)  # a killed worker may have left it
    unfinished.mkdir()
    written: dict[str, dict[str, int]] = {}
    try:
        for name, parts in zip(FILES, (text.train(), text.validation()), strict=True):
            count = checksum = 0
            with _synced(unfinished / name) as file, contextlib.closing(encode_long(tokenizer, parts)) as encoded:
                for tokens in encoded:
                    file.write(tokens.data)
                    count, checksum = count + len(tokens), zlib.crc32(tokens.data, checksum)
                    beat()
            written[name] = {"tokens": count, "crc32": checksum}
        with _synced(unfinished / "meta.json") as file:
            file.write(json.dumps(written).encode())
        unfinished.rename(folder)
    except BaseException:  # the disk may be full, so the unfinished files must go
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


@contextlib.contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    """Open a new file and sync it to the disk at the end."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _delete(path: Path) -> None:
    """Delete a file, a link or a folder with its content."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _delete_unused(cache: Path) -> None:
    """Delete the tokens that were not used in UNUSED_DAYS."""
    for folder in cache.iterdir():
        with contextlib.suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > UNUSED_DAYS * 86400:
                shutil.rmtree(folder)
