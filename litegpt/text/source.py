"""Where text comes from: a plain file, a PDF, an EPUB. Lines, as they are asked for; a page's end is a form feed."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from litegpt.errors import InputError
from litegpt.files import opened
from litegpt.text.encoding import STRAYS, guess_encoding, named_by_bom
from litegpt.text.epub import read_epub
from litegpt.text.lines import PAGE, read_lines

Kind = Literal["text", "pdf", "epub"]

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """A file that holds text."""

    path: Path
    kind: Kind
    encoding: str | None  # of a plain file
    strays: int = 0  # characters of another encoding, Windows-1252

    def lines(self) -> Iterator[str]:
        """Yield the lines without their ends. InputError: the file does not hold what it claims to."""
        if self.kind == "pdf":
            return _pdf_lines(self.path)
        return read_epub(self.path) if self.kind == "epub" else self._text_lines()

    def _text_lines(self) -> Iterator[str]:
        with opened(self.path) as file:
            yield from read_lines(io.TextIOWrapper(file, self.encoding, STRAYS if self.strays else "replace"))


def open_source(path: Path) -> Source:
    """Return what a file is, by its first bytes. InputError: it cannot be read, or is no text."""
    if os.path.isdir(path):  # Path.is_dir raises where a folder may not be entered
        raise InputError("a folder, where a text is wanted; clean its files one by one", path)
    with opened(path) as file:
        head = file.read(8)
        if head.startswith(b"%PDF-"):
            return Source(path, "pdf", None)
        if head.startswith(b"PK\x03\x04"):
            return Source(path, "epub", None)
        if encoding := named_by_bom(head):
            return Source(path, "text", encoding)
        file.seek(0)
        return Source(path, "text", *guess_encoding(_text_blocks(file, path)))


def _text_blocks(file: BinaryIO, path: Path) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        if b"\0" in block:
            raise InputError("this is no text: it holds NUL bytes", path)
        yield block


def _pdf_lines(path: Path) -> Iterator[str]:
    try:
        from pypdf import PdfReader  # the extra `clean` installs it
    except ImportError:
        raise InputError("a PDF needs pypdf: pip install 'litegpt[clean]'", path) from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it quotes what the file holds, escape sequences too
    found = False
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError("the PDF is encrypted: save it without a password first", path)
        for page in reader.pages:
            text = _without_surrogates(page.extract_text())
            found |= not text.isspace() and bool(text)
            yield from text.split("\n")
            yield PAGE
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes of pypdf
        told = str(error) or type(error).__name__
        mend = ": pip install cryptography" if "cryptography" in told else ""
        raise InputError(f"the PDF cannot be read: {told}{mend}", path) from None
    if not found:
        raise InputError("the PDF holds no text, only pictures of it: it needs OCR", path)


def _without_surrogates(text: str) -> str:
    """Return text with the characters that pairs of surrogates stand for; lone ones stand for none."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
