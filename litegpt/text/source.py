"""Where text comes from: a plain file, a PDF, an EPUB. Lines, as they are asked for; a page's end is a form feed."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from litegpt.plan.compressed import opened
from litegpt.plan.errors import InputError
from litegpt.text.epub import read_epub
from litegpt.text.lines import PAGE, read_lines

Kind = Literal["text", "pdf", "epub"]

BLOCK_BYTES = 1 << 20
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Source:
    """A file that holds text."""

    path: Path
    kind: Kind
    encoding: str | None  # of a plain file

    def lines(self) -> Iterator[str]:
        """Yield the lines without their ends. InputError: the file does not hold what it claims to."""
        if self.kind == "pdf":
            return _pdf_lines(self.path)
        return read_epub(self.path) if self.kind == "epub" else self._text_lines()

    def _text_lines(self) -> Iterator[str]:
        with opened(self.path) as file:
            yield from read_lines(io.TextIOWrapper(file, self.encoding, errors="replace"))


def open_source(path: Path) -> Source:
    """Return what a file is, by its first bytes. InputError: it cannot be read, or is no text.

    A plain file that is not UTF-8 is taken for Windows-1252, which every byte sequence can be.
    """
    if path.is_dir():
        raise InputError("a folder, where a text is wanted; clean its files one by one", path)
    with opened(path) as file:
        head = file.read(8)
        if head.startswith(b"%PDF-"):
            return Source(path, "pdf", None)
        if head.startswith(b"PK\x03\x04"):
            return Source(path, "epub", None)
        encoding = next((name for bom, name in BOMS.items() if head.startswith(bom)), None)
        if encoding is None:
            file.seek(0)
            decoder = codecs.getincrementaldecoder("utf-8")()
            encoding = "utf-8"
            while block := file.read(BLOCK_BYTES):
                if b"\0" in block:
                    raise InputError("this is no text: it holds NUL bytes", path)
                if encoding == "utf-8":
                    try:
                        decoder.decode(block)
                    except UnicodeDecodeError:
                        encoding = "cp1252"
        return Source(path, "text", encoding)


def _pdf_lines(path: Path) -> Iterator[str]:
    try:
        from pypdf import PdfReader  # the extra `clean` installs it
        from pypdf.errors import PyPdfError
    except ImportError:
        raise InputError("a PDF needs pypdf: pip install 'litegpt[clean]'", path) from None
    found = False
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError("the PDF is encrypted: save it without a password first", path)
        for page in reader.pages:
            text = page.extract_text()
            found |= not text.isspace() and bool(text)
            yield from text.split("\n")
            yield PAGE
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise InputError(f"the PDF cannot be read: {error}", path) from None  # pypdf lets much through
    if not found:
        raise InputError("the PDF holds no text, only pictures of it: it needs OCR", path)
