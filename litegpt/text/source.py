"""Texts to clean: a plain file, a PDF or an EPUB, read line by line. A form feed marks the end of a page."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from litegpt.errors import InputError
from litegpt.files import opened
from litegpt.text.cleaning.lines import PAGE, read_lines
from litegpt.text.decoding import Encoding, detect, named_encoding
from litegpt.text.epub import read_epub

SourceKind = Literal["text", "pdf", "epub"]


@dataclass(frozen=True)
class TextSource:
    """A file that contains text."""

    path: Path
    kind: SourceKind
    encoding: Encoding | None  # of a plain file

    def lines(self) -> Iterator[str]:
        """Yield the lines without their line breaks. InputError: the file is damaged."""
        if self.kind == "pdf":
            return _pdf_lines(self.path)
        return read_epub(self.path) if self.kind == "epub" else self._text_lines()

    def _text_lines(self) -> Iterator[str]:
        assert self.encoding is not None
        with opened(self.path) as file:
            yield from read_lines(text for _, text in self.encoding.pieces(file, self.path))


def open_source(path: Path, encoding: str | None = None) -> TextSource:
    """Recognise a file by its content; a plain text may have a named encoding.

    InputError: the file cannot be read, is not a text, or its encoding is unknown.
    """
    # Path.is_dir would raise an error for a folder without permission.
    if os.path.isdir(path):
        raise InputError("expected a file, not a folder; clean the files one by one", path)
    with opened(path) as file:
        head = file.read(8)
        if head.startswith(b"%PDF-"):
            return TextSource(path, "pdf", None)
        if head.startswith(b"PK\x03\x04"):
            return TextSource(path, "epub", None)
        file.seek(0)
        if encoding is None:
            return TextSource(path, "text", detect(file, path))
        return TextSource(path, "text", named_encoding(encoding, file).checked(file, path))


def _pdf_lines(path: Path) -> Iterator[str]:
    # Only PDFs need pypdf, and importing it takes a while.
    from pypdf import PdfReader

    # pypdf's messages quote the file, escape sequences included.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    has_text = False
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError("the PDF is encrypted: save it without a password first", path)
        for page in reader.pages:
            text = _without_surrogates(page.extract_text())
            has_text |= not text.isspace() and bool(text)
            yield from text.split("\n")
            yield PAGE
    except InputError:
        raise
    # A damaged file can raise any exception inside pypdf.
    except Exception as error:
        reason = str(error) or type(error).__name__
        fix = ": pip install cryptography" if "cryptography" in reason else ""
        raise InputError(f"the PDF cannot be read: {reason}{fix}", path) from None
    if not has_text:
        raise InputError("the PDF contains no text, only pictures of it: it needs OCR", path)


def _without_surrogates(text: str) -> str:
    """Replace pairs of surrogates by the characters they encode, and single surrogates by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
