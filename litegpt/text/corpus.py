"""The text a study trains on, as text: found, decoded and identified. Tokens are the training core's affair.

A text may be larger than memory: one pass over its files tells what it is, and its characters come in pieces.
"""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from litegpt.errors import InputError
from litegpt.files import opened

Range = tuple[int, int]
"""Characters of a text, from the first to the one after the last."""
PIECE_BYTES = 1 << 20
"""What is read at a time: a piece of text has as many characters, or fewer."""
BYTE_ORDER_MARK = "\ufeff"
"""What some programs write before UTF-8: it is no part of the text."""
TEXT_FILES = ("*.txt", "*.txt.gz")
"""What a folder's corpus consists of."""


@dataclass(frozen=True)
class FileScan:
    """Where a file's characters stand in a corpus, and how to come to them without reading what is before."""

    path: Path
    start: int  # its first character
    end: int
    characters: tuple[int, ...]  # where each piece begins: the place in the corpus
    offsets: tuple[int, ...]  # and the place in the file, in bytes, of a compressed file's content
    version: tuple[int, int] | None  # size and time of modification: whether it is still that file


@dataclass(frozen=True)
class Scan:
    """What one pass over a corpus tells."""

    symbols: tuple[str, ...]
    sha256: str
    files: tuple[FileScan, ...]


@dataclass(frozen=True)
class Corpus:
    """A corpus: `path` is what the study file names, `base` the folder it is relative to.

    Its files are joined by line breaks, and CRLF is a line break. What needs their content raises InputError where a
    file cannot be read, is not UTF-8 (naming the byte), or is no longer what it was at first.
    """

    path: str
    base: Path
    files: tuple[Path, ...]

    @cached_property
    def scan(self) -> Scan:
        """What the text is; a gigabyte takes a few seconds, and a few megabytes of memory."""
        digest, alphabet = hashlib.sha256(), _Alphabet()
        scans: list[FileScan] = []
        at = 0
        for path in self.files:
            if scans:
                digest.update(b"\n")
                alphabet.add(b"\n")
                at += 1
            start, characters, offsets = at, list[int](), list[int]()
            with opened(path) as file:
                version = _version(file.fileno())
                for offset, text in _pieces(file, path):
                    characters.append(at)
                    offsets.append(offset)
                    at += len(text)
                    data = text.encode()
                    digest.update(data)
                    alphabet.add(data)
            scans.append(FileScan(path, start, at, tuple(characters), tuple(offsets), version))
        return Scan(tuple(sorted(alphabet.symbols)), digest.hexdigest(), tuple(scans))

    @property
    def characters(self) -> int:
        """How many characters the text has."""
        return self.scan.files[-1].end

    @property
    def symbols(self) -> tuple[str, ...]:
        """The characters that occur, in code point order: the vocabulary of a character tokenizer."""
        return self.scan.symbols

    @property
    def sha256(self) -> str:
        """The digest, of the whole text in UTF-8, that tells whether results belong to this text."""
        return self.scan.sha256

    @property
    def text(self) -> str:
        """The whole text, for one that is known to be small."""
        return "".join(self.pieces())

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[str]:
        """Yield the text from character `start` to `end`, in pieces of a megabyte at most."""
        return self.read([(start, self.characters if end is None else end)])

    def read(self, ranges: Sequence[Range]) -> Iterator[str]:
        """Yield the text of ranges of characters, which are in order and apart; what is between is passed over."""
        ends = [end for _, end in ranges]
        self._check_unchanged()
        files = self.scan.files
        for file in files:
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
        """Raise InputError unless the text is what it was at first; files that were touched or moved may still be."""
        changed = [file.path for file in self.scan.files if _version(file.path) != file.version]
        if changed:
            again = Corpus(self.path, self.base, self.files)
            if again.sha256 != self.sha256:
                raise _changed(changed[0])
            vars(self)["scan"] = again.scan


def read_corpus(path: str, base: Path) -> Corpus:
    """Return a corpus: a file, every `.txt` and `.txt.gz` file below a folder, or a glob, in name order.

    A file whose name ends in `.gz` is decompressed. InputError: nothing is found.
    """
    return Corpus(path, base, tuple(_files(path, base)))


def _files(path: str, base: Path) -> list[Path]:
    named = base / path
    try:
        if named.is_file():
            return [named]
        is_folder = named.is_dir()
        found = _below(named) if is_folder else _matching(path, base)
        files = sorted(file for file in found if file.is_file())
    except OSError as error:
        raise InputError(f"the corpus cannot be read: {error.strerror}", named) from None
    if not files and is_folder:
        raise InputError("the corpus folder holds no .txt file; name a file, or a glob such as 'texts/*.md'", named)
    if not files:
        raise InputError("no such corpus; the path in [study] is relative to the study file", named)
    return files


def _below(folder: Path) -> list[Path]:
    return [file for pattern in TEXT_FILES for file in folder.rglob(pattern)]


def _matching(pattern: str, base: Path) -> list[Path]:
    return [Path(found) for found in glob.glob(os.path.join(glob.escape(str(base)), pattern), recursive=True)]


def _version(file: Path | int) -> tuple[int, int] | None:
    """Return what changes with a file, which is a path or open; None where there is none."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _pieces(file: BinaryIO, path: Path, offset: int = 0) -> Iterator[tuple[int, str]]:
    """Yield what a file holds from byte `offset` on, where it stands: where each piece begins, and its text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    held = ""  # a carriage return, until it is known what follows it
    data = b"\n"
    while data:
        data = file.read(PIECE_BYTES)
        undecoded = offset - len(decoder.getstate()[0])
        begin = undecoded - len(held)
        try:
            text = held + decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise InputError(
                f"the corpus is not UTF-8: byte 0x{error.object[error.start]:02x} at offset "
                f"{undecoded + error.start:,}; convert it first, for example with iconv -f latin1 -t utf-8",
                path,
            ) from None
        offset += len(data)
        if begin == 0:
            text = text.removeprefix(BYTE_ORDER_MARK)
        held = "\r" if data and text.endswith("\r") else ""
        text = text.removesuffix(held)
        if text:
            yield begin, text.replace("\r\n", "\n") if "\r" in text else text


def _read_parts(file: FileScan, parts: Sequence[Range]) -> Iterator[str]:
    """Yield parts of a file, which are in order; it is read forward only, because gzip cannot go back."""
    with opened(file.path) as content:
        if _version(content.fileno()) != file.version:
            raise _changed(file.path)
        pieces = _pieces(content, file.path)
        text, at = "", file.start  # the piece at hand, and where it begins
        for start, end in parts:
            if start > at + len(text) + 2 * PIECE_BYTES:
                piece = bisect_right(file.characters, start) - 1
                content.seek(file.offsets[piece])
                pieces = _pieces(content, file.path, file.offsets[piece])
                text, at = "", file.characters[piece]
            while start < end:
                while start >= at + len(text):
                    at += len(text)
                    _, text = next(pieces, (0, ""))
                    if not text:
                        raise _changed(file.path)
                yield text[start - at : end - at]
                start = at + len(text)


def _changed(path: Path) -> InputError:
    return InputError("the corpus has changed since it was read first", path)


class _Alphabet:
    """The characters that occur in a text, seen piece by piece: what is known is taken out of a piece at C's speed."""

    def __init__(self) -> None:
        self.symbols: set[str] = set()
        self._ascii = b""
        self._others = re.compile("(?!)")  # nothing

    def add(self, data: bytes) -> None:
        """Add the characters of a piece in UTF-8."""
        unknown = data.translate(None, self._ascii).decode()
        if not unknown.isascii():
            unknown = self._others.sub("", unknown)
        if unknown:
            self.symbols.update(unknown)
            self._ascii = "".join(filter(str.isascii, self.symbols)).encode()
            self._others = re.compile(f"[{re.escape(''.join(self.symbols))}]+")
