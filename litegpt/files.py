"""Files on disk: reading them, compressed or not, and replacing them whole."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from litegpt.errors import InputError

LOCK_SECONDS = 10.0
LOCK_RETRY_SECONDS = 0.01


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read its bytes; a name that ends in `.gz` is decompressed.

    InputError: the file cannot be read or is damaged. The error may come at any read, not only at the first.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"not a complete gzip file: {error}", path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path) from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file that all its writers replace with `write_whole` under this lock.

    On a disk or a system without file locks, nothing is locked. InputError: another process holds the lock for longer
    than LOCK_SECONDS.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Another writer may have replaced the file before this lock was granted. Then the lock is on the old file.
            if _flock(descriptor) and _is_same_file(descriptor, path):
                yield
                return
        finally:
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise InputError("another process is writing this file", path)
        time.sleep(LOCK_RETRY_SECONDS)


def _flock(descriptor: int) -> bool:
    """Try to lock an open file; tell whether another process has no lock on it."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step: after a crash or on a full disk, the file is either the old one or the new one.

    The file keeps its permissions. Several processes and threads may write it at once. A symlink is replaced, not
    its target. A process that is killed during the call leaves a file that ends in `.tmp`.
    """
    unfinished = path.with_name(f"{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, unfinished)
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names of a folder's files are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
