"""The text a study trains on: its files are found, decoded and identified here. Tokens are made in `litegpt.train`.

A text may be larger than memory. One pass over its files measures it, and its characters are read in pieces.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from litegpt.errors import InputError
from litegpt.files import opened
from litegpt.text import decoding
from litegpt.text.decoding import Encoding, named_encoding, recognise_unicode

Range = tuple[int, int]
"""The characters of a text from the first to just before the second."""
TEXT_FILES = ("*.txt", "*.txt.gz")
"""The files that are read from a folder."""


@dataclass(frozen=True)
class FileScan:
    """The position of a file in a corpus, and offsets that allow reading it from the middle."""

    path: Path
    start: int  # the position of its first character in the corpus
    end: int
    piece_starts: tuple[int, ...]  # the position of each piece's first character in the corpus
    offsets: tuple[int, ...]  # the position of each piece in the file, in (decompressed) bytes
    encoding: Encoding
    version: tuple[int, int] | None  # size and time of modification, to notice a change


@dataclass(frozen=True)
class Scan:
    """The results of one pass over a corpus."""

    symbols: tuple[str, ...]
    sha256: str
    files: tuple[FileScan, ...]


@dataclass(frozen=True)
class Corpus:
    """A text in one or more files. `path` is the corpus named in the study file, relative to the folder `base`.

    The files are joined by line breaks. They are read as Unicode, or in a named `encoding`. Everything that needs the
    content raises InputError if a file cannot be read, is not a text in this encoding, or has changed since its scan.
    """

    path: str
    base: Path
    files: tuple[Path, ...]
    encoding: str | None = None

    @cached_property
    def scan(self) -> Scan:
        """Read the text once to measure it. A gigabyte takes a few seconds and a few megabytes of memory."""
        digest, symbols = hashlib.sha256(), _SymbolCollector()
        scans: list[FileScan] = []
        position = 0
        for path in self.files:
            if scans:
                digest.update(b"\n")
                symbols.add(b"\n")
                position += 1
            start, piece_starts, offsets = position, list[int](), list[int]()
            with opened(path) as file:
                version = _version(file.fileno())
                encoding = named_encoding(self.encoding, file) if self.encoding else recognise_unicode(file)
                for offset, text in encoding.pieces(file, path):
                    piece_starts.append(position)
                    offsets.append(offset)
                    position += len(text)
                    data = text.encode()
                    digest.update(data)
                    symbols.add(data)
            scans.append(FileScan(path, start, position, tuple(piece_starts), tuple(offsets), encoding, version))
        return Scan(tuple(sorted(symbols.symbols)), digest.hexdigest(), tuple(scans))

    @property
    def characters(self) -> int:
        """The number of characters."""
        return self.scan.files[-1].end

    @property
    def symbols(self) -> tuple[str, ...]:
        """The distinct characters in code point order: the vocabulary of a character tokenizer."""
        return self.scan.symbols

    @property
    def sha256(self) -> str:
        """The digest of the whole text in UTF-8. It identifies the text that results belong to."""
        return self.scan.sha256

    @property
    def text(self) -> str:
        """The whole text; use it only for texts that fit in memory."""
        return "".join(self.pieces())

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[str]:
        """Yield the text from character `start` to `end`, in pieces of at most a megabyte."""
        return self.read([(start, self.characters if end is None else end)])

    def read(self, ranges: Sequence[Range]) -> Iterator[str]:
        """Yield the text of several ranges, which must be ascending and must not overlap; gaps are skipped."""
        ends = [end for _, end in ranges]
        self._check_unchanged()
        files = self.scan.files
        for file in files:
            # The parts of the ranges in this file, and the line break after it if a range continues in the next one.
            parts: list[Range] = []
            joint = ""
            for index in range(bisect_right(ends, file.start), len(ranges)):
                start, end = ranges[index]
                if start > file.end:
                    break
                parts.append((max(start, file.start), min(end, file.end)))
                joint = "\n" if end > file.end and file is not files[-1] else ""
            if any(start < end for start, end in parts):
                yield from _read_parts(file, parts)
            if joint:
                yield joint

    def _check_unchanged(self) -> None:
        """Raise InputError if the text has changed. Files that were touched or moved may still have the same text."""
        changed = [file.path for file in self.scan.files if _version(file.path) != file.version]
        if changed:
            current = replace(self)
            if current.sha256 != self.sha256:
                raise _changed(changed[0])
            vars(self)["scan"] = current.scan


def read_corpus(path: str, base: Path, encoding: str | None = None) -> Corpus:
    """Find a corpus: a file, all `.txt` and `.txt.gz` files below a folder, or a glob, sorted by name.

    Files whose names end in `.gz` are decompressed. InputError: no file matches.
    """
    return Corpus(path, base, tuple(_files(path, base)), encoding)


def _files(path: str, base: Path) -> list[Path]:
    named = base / path
    try:
        if named.is_file():
            return [named]
        is_folder = named.is_dir()
        candidates = _below(named) if is_folder else _matching(path, base)
        files = sorted(file for file in candidates if file.is_file())
    except OSError as error:
        raise InputError(f"the corpus cannot be read: {error.strerror}", named) from None
    if not files and is_folder:
        raise InputError("the corpus folder contains no .txt file; name a file, or a glob such as 'texts/*.md'", named)
    if not files:
        raise InputError("no such corpus; the path in [study] is relative to the study file", named)
    return files


def _below(folder: Path) -> list[Path]:
    return [file for pattern in TEXT_FILES for file in folder.rglob(pattern)]


def _matching(pattern: str, base: Path) -> list[Path]:
    return [Path(path) for path in glob.glob(os.path.join(glob.escape(str(base)), pattern), recursive=True)]


def _version(file: Path | int) -> tuple[int, int] | None:
    """Return size and time of modification of a path or an open file; None if the file is missing."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _read_parts(file: FileScan, parts: Sequence[Range]) -> Iterator[str]:
    """Yield ascending parts of a file, which is read forward only, because gzip cannot seek backward."""
    with opened(file.path) as content:
        if _version(content.fileno()) != file.version:
            raise _changed(file.path)
        pieces = file.encoding.pieces(content, file.path)
        # The current piece, and the position of its first character in the corpus.
        piece, piece_start = "", file.start
        for start, end in parts:
            # A distant part is reached with a seek to the piece that contains its first character.
            # A near one is reached by reading on, which is faster.
            is_distant = start > piece_start + len(piece) + 2 * decoding.PIECE_BYTES
            if is_distant and file.encoding.is_seekable:
                index = bisect_right(file.piece_starts, start) - 1
                pieces = file.encoding.pieces(content, file.path, file.offsets[index])
                piece, piece_start = "", file.piece_starts[index]
            # Pieces before `start` are skipped. Then each piece is cut to the part, until the part ends.
            while start < end:
                while start >= piece_start + len(piece):
                    piece_start += len(piece)
                    _, piece = next(pieces, (0, ""))
                    if not piece:
                        raise _changed(file.path)
                yield piece[start - piece_start : end - piece_start]
                start = piece_start + len(piece)


def _changed(path: Path) -> InputError:
    return InputError("the corpus has changed since it was first read", path)


class _SymbolCollector:
    """Collects the distinct characters of a text, piece by piece.

    Characters that were seen before are removed from a piece with C functions, so that Python only sees new ones.
    """

    def __init__(self) -> None:
        self.symbols: set[str] = set()
        self._ascii = b""  # the ASCII characters seen so far
        self._others = re.compile("(?!)")  # matches the characters seen so far; at first, nothing

    def add(self, data: bytes) -> None:
        """Add the characters of a piece in UTF-8."""
        unseen = data.translate(None, self._ascii).decode()
        if not unseen.isascii():
            unseen = self._others.sub("", unseen)
        if unseen:
            self.symbols.update(unseen)
            self._ascii = "".join(filter(str.isascii, self.symbols)).encode()
            self._others = re.compile(f"[{re.escape(''.join(self.symbols))}]+")
