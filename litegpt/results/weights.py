"""Verification of weights files without torch. A header is trusted only as far as the size of the file allows."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

from litegpt.files import open_regular
from litegpt.results import fields

HEADER_BYTES_MAX = 100_000_000  # safetensors' own limit
CHUNK_BYTES = 1 << 20


def weights_fault(path: Path) -> str | None:
    """Return the fault of a checkpoint or weights file; None if its checksum is right."""
    try:
        file = open_regular(path)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    with file:
        try:
            return _fault(file, os.fstat(file.fileno()).st_size)
        except (OSError, ValueError, RecursionError) as error:
            return f"is damaged: {error}"


def _fault(file: BinaryIO, size: int) -> str | None:
    header_bytes = int.from_bytes(file.read(8), "little")
    if size < 8 or header_bytes > min(HEADER_BYTES_MAX, size - 8):
        return "is damaged: its header is longer than the file"
    header = fields.mapping(json.loads(file.read(header_bytes)))
    metadata = fields.mapping(header.pop("__metadata__", None))
    state, expected = fields.text(metadata.get("state")), fields.text(metadata.get("sha256"))
    if state is None or expected is None:
        return "carries no checksum"
    digest = hashlib.sha256(state.encode())
    for name in sorted(header):
        shape, begin, end = _extent(header[name], size - 8 - header_bytes)
        digest.update(f"{name} {shape}".encode())
        file.seek(8 + header_bytes + begin)
        for position in range(begin, end, CHUNK_BYTES):
            digest.update(file.read(min(CHUNK_BYTES, end - position)))
    return None if digest.hexdigest() == expected else "is damaged: its checksum is wrong"


def _extent(entry: Any, data_bytes: int) -> tuple[tuple[int, ...], int, int]:
    """Return the shape of a tensor and the range of its bytes. ValueError: the range is not in the file."""
    values = fields.mapping(entry)
    shape, offsets = _counts(values.get("shape")), _counts(values.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2:
        raise ValueError("a tensor has no shape")
    begin, end = offsets
    if not 0 <= begin <= end <= data_bytes or math.prod(shape) > end - begin:
        raise ValueError("a tensor lies outside of the file")
    return shape, begin, end


def _counts(value: Any) -> tuple[int, ...] | None:
    whole = [fields.whole(item) for item in value] if isinstance(value, list) else [None]
    counts = tuple(item for item in whole if item is not None and item >= 0)
    return counts if len(counts) == len(whole) else None
