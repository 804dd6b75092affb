"""Files that are replaced whole: written beside, then renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step: after a crash, or on a full disk, it is the old one or the new one, whole.

    It keeps its permissions, and any number of processes and threads may write it at once. A link is replaced, not
    what it points to. A process that is killed meanwhile leaves a file that ends in `.tmp`.
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
    """Return once the names of a folder's files are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
