"""Files on disk: reading them within bounds, compressed or not, and replacing them whole."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import shutil
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from litegpt.errors import InputError

LOCK_SECONDS = 10.0
LOCK_RETRY_SECONDS = 0.01
INTEGER_DIGITS_MAX = 20  # those of a 64-bit integer


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
    """Try to lock an open file; return False if another process has locked it."""
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


# Windows has none of these flags. There studies can still be planned.
_NONBLOCK, _CLOEXEC, _NOFOLLOW = (getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW"))

SMALL_FILE_BYTES = 1 << 20
"""A limit for files that are small by nature, such as a lock or a request."""


def open_regular(path: Path, *, follow_links: bool = False) -> BinaryIO:
    """Open a file that may come from a stranger. OSError: missing, a symlink, a pipe, a device or a folder.

    A link could publish a private file, and a pipe or a device would block the reader or fill its memory. Everything
    in a results folder is read through this function.
    """
    flags = os.O_RDONLY | _NONBLOCK | _CLOEXEC | (0 if follow_links else _NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:
        # A name with a null character.
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "is a symlink, which is not followed here", str(path)) from None
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, limit: int, *, follow_links: bool = False) -> bytes:
    """Return the content of a file that may come from a stranger.

    OSError: as `open_regular`, or the file is larger than `limit` bytes.
    """
    with open_regular(path, follow_links=follow_links) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"is larger than {limit:,} bytes", str(path))
    return data


def read_json(path: Path, limit: int = SMALL_FILE_BYTES) -> Any:
    """Return the value in a JSON file that may come from a stranger.

    OSError: as `read_regular`. ValueError: not JSON, nested too deeply, or with numbers of absurd length.
    """
    try:
        return json.loads(read_regular(path, limit), parse_int=_bounded_int)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _bounded_int(digits: str) -> int:
    if len(digits) > INTEGER_DIGITS_MAX:
        raise ValueError("a number has too many digits")
    return int(digits)


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
