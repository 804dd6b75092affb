"""Append-only files of JSON lines with one writer and any number of readers. Incomplete lines are ignored."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from litegpt.display import HARMFUL
from litegpt.files import read_regular, sync_folder, write_whole

Record = dict[str, Any]

CHUNK_BYTES = 1 << 18
SORTED_BYTES_MAX = 1 << 30  # a larger file is not repaired, because it would fill the memory
LONGEST_LINE_BYTES = 1 << 24
TAIL_BYTES = 64

_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR)  # missing; a link, socket or folder
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)  # other programs write bare NaN tokens


class LineWriter:
    """The only writer of a file of JSON lines.

    A missing folder is created. If a crash left an incomplete last line, a newline ends it, so that no other line is
    lost. With `version`, the first line of a new file has it as `format`.
    """

    def __init__(self, path: Path, version: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._folder_to_sync = None if path.exists() else path.parent
        # O_APPEND, so that each write is one system call at the end of the file. Links are not followed.
        self._file: FileIO = open(path, "a+b", buffering=0, opener=_open_no_link)  # noqa: SIM115 - closed by close
        size = self._file.seek(0, os.SEEK_END)
        self._torn = size > 0 and os.pread(self._file.fileno(), 1, size - 1) != b"\n"
        if self._torn:
            self._write(b"")
        self._version = version if size == 0 else None

    def append(self, *records: Mapping[str, Any], sync: bool = False) -> None:
        """Append each record as one line, all in one write; with `sync`, return once they are on the disk.

        NaN and infinity are written as null. A batch is written completely or not at all. OSError: nothing was written,
        for example because the disk is full, and the same append may be tried again.
        """
        if self._version is not None and records:
            records = ({**records[0], "format": self._version}, *records[1:])
        data = b"".join(_line(record) for record in records)
        size = os.fstat(self._file.fileno()).st_size
        try:
            self._write(data)
            if sync:
                self.sync()
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(size)
                self._torn = False
            raise
        if data:
            self._version = None

    def sync(self) -> None:
        """Return once everything that was appended is on the disk."""
        os.fsync(self._file.fileno())
        if self._folder_to_sync is not None:
            sync_folder(self._folder_to_sync)
            self._folder_to_sync = None

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(b"\n" + data if self._torn else data)
        while rest:
            written = self._file.write(rest)
            self._torn = bytes(rest[written - 1 : written]) != b"\n"
            rest = rest[written:]


class LineReader:
    """Follow a file of JSON lines. A missing file reads as empty, and so does a link or a pipe.

    `damaged` counts the lines that are not JSON objects or are too long. `restarted` is True if the last `read` found
    another file in place of the earlier one and read it from its start: then the earlier records no longer count.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.restarted = False
        self._begin()

    def read(self) -> list[Record]:
        """Return the records appended since the last call. An incomplete last line is left for a later call."""
        self.restarted = False
        try:
            file = open(self.path, "rb", buffering=0, opener=_open_no_link)  # noqa: SIM115 - closed below
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            self._check_same(None, b"")
            return []
        with file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return []
            self._check_same((status.st_dev, status.st_ino), self._tail_of(file))
            before = self._offset
            records = self._records(file)
            if self._offset != before:
                self._tail = self._tail_of(file)
        return records

    @property
    def is_torn(self) -> bool:
        """True if the file continues after the last complete line."""
        try:
            return self.path.stat().st_size > self._offset
        except OSError:
            return False

    def _begin(self) -> None:
        self._offset = 0  # bytes consumed, up to and with a newline
        self._identity: tuple[int, int] | None = None
        # The bytes before the offset. An inode number is reused too soon to detect a replaced file.
        self._tail = b""
        self._in_overlong_line = False

    def _check_same(self, identity: tuple[int, int] | None, tail: bytes) -> None:
        if self._offset and (identity, tail) != (self._identity, self._tail):
            self._begin()
            self.damaged = 0
            self.restarted = True
        self._identity = identity

    def _tail_of(self, file: FileIO) -> bytes:
        start = max(0, self._offset - TAIL_BYTES)
        return os.pread(file.fileno(), self._offset - start, start)

    def _records(self, file: FileIO) -> list[Record]:
        records: list[Record] = []
        file.seek(self._offset)
        unfinished = b""
        while chunk := file.read(CHUNK_BYTES):
            *lines, unfinished = (unfinished + chunk).split(b"\n")
            for line in lines:
                self._offset += len(line) + 1
                if self._in_overlong_line:
                    self._in_overlong_line = False
                elif line and not line.isspace():
                    record = _record(line)
                    if record is None:
                        self.damaged += 1
                    else:
                        records.append(record)
            if self._in_overlong_line or len(unfinished) > LONGEST_LINE_BYTES:
                self.damaged += not self._in_overlong_line
                self._in_overlong_line = True
                self._offset = _next_data(file, self._offset + len(unfinished))
                file.seek(self._offset)
                unfinished = b""
        return records


def _next_data(file: FileIO, offset: int) -> int:
    """Return where the next written byte is: the holes of a sparse file hold no lines, but may claim terabytes."""
    try:
        return os.lseek(file.fileno(), offset, os.SEEK_DATA)
    except OSError as error:
        return os.fstat(file.fileno()).st_size if error.errno == errno.ENXIO else offset


def sort_out(path: Path) -> int:
    """Move the damaged lines of a file to a file with the ending .damaged; return their number.

    No process may be writing the file.
    """
    lines = [line for line in read_regular(path, SORTED_BYTES_MAX).split(b"\n") if line and not line.isspace()]
    is_whole = [len(line) <= LONGEST_LINE_BYTES and _record(line) is not None for line in lines]
    whole = [line for line, keep in zip(lines, is_whole, strict=True) if keep]
    damaged = [line for line, keep in zip(lines, is_whole, strict=True) if not keep]
    _append_bytes(path.with_name(path.name + ".damaged"), b"".join(line + b"\n" for line in damaged))
    write_whole(path, b"".join(line + b"\n" for line in whole))
    return len(damaged)


def _append_bytes(path: Path, data: bytes) -> None:
    with open(path, "ab", opener=_open_no_link) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _line(record: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(record), ensure_ascii=False, allow_nan=False)
    # Letters stay readable in `tail`. Characters that could act on a terminal are escaped.
    return HARMFUL.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode() + b"\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def _record(line: bytes) -> Record | None:
    try:
        record = _DECODER.decode(line.decode())
    except (ValueError, RecursionError):  # broken UTF-8, broken JSON, absurd numbers; absurd nesting
        return None
    return record if isinstance(record, dict) else None


def _open_no_link(path: str, flags: int) -> int:
    # O_NONBLOCK, so that opening a pipe does not wait.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
