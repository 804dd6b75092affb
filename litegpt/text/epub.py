"""The text of an EPUB, with the standard library: a zip of XHTML, and a list that puts it in order."""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from litegpt.plan.errors import InputError

FILE_BYTES = 1 << 26  # of one file in it, unpacked
CONTAINER = "META-INF/container.xml"
BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "dd", "div", "dl", "dt", "figcaption"),
        *("figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p"),
        *("pre", "section", "table", "tr", "ul"),
    )
)
SILENT = frozenset(("head", "script", "style", "svg", "math"))

_SPACE = re.compile(r"[ \t\r\n\f]+")


def read_epub(path: Path) -> Iterator[str]:
    """Yield the lines of a book: a paragraph each, a blank line between. InputError: the file is no EPUB."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in _reading_order(archive):
                for paragraph in _paragraphs(_read(archive, name).decode("utf-8", errors="replace")):
                    yield from paragraph.split("\n")
                    yield ""
    except (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, KeyError, OSError, RuntimeError) as error:
        raise InputError(f"this is no EPUB that can be read: {error}", path) from None


def _reading_order(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the files with text, in the order in which a reader meets them."""
    container = ElementTree.fromstring(_read(archive, CONTAINER))
    root = next((e.get("full-path") for e in container.iter() if e.tag.endswith("}rootfile")), None)
    if root is None:
        raise KeyError(f"{CONTAINER} names no package")
    package = ElementTree.fromstring(_read(archive, root))
    items = {e.get("id"): e.get("href", "") for e in package.iter() if e.tag.endswith("}item")}
    spine = [e.get("idref") for e in package.iter() if e.tag.endswith("}itemref")]
    folder = posixpath.dirname(root)
    return [posixpath.normpath(posixpath.join(folder, unquote(items[item]))) for item in spine if item in items]


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise RuntimeError(f"{name} is larger than {FILE_BYTES >> 20} MB")
    return data


def _paragraphs(page: str) -> list[str]:
    parser = _Paragraphs()
    parser.feed(page)
    parser.close()
    parser.end_paragraph()
    return parser.found


class _Paragraphs(HTMLParser):
    """Collects the text of block elements; a <br> is a line break, and <pre> keeps its own."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._text: list[str] = []
        self._silent = self._verbatim = 0

    def end_paragraph(self) -> None:
        text = "".join(self._text)
        lines = text.split("\n") if self._verbatim else [line.strip() for line in text.split("\n")]
        text = "\n".join(lines).strip("\n" if self._verbatim else None)
        if text:
            self.found.append(text)
        self._text.clear()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:
            self.end_paragraph()
        self._silent += tag in SILENT
        self._verbatim += tag == "pre"
        if tag == "br":
            self._text.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in BLOCKS:
            self.end_paragraph()
        self._silent = max(0, self._silent - (tag in SILENT))
        self._verbatim = max(0, self._verbatim - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text.append(data if self._verbatim else _SPACE.sub(" ", data))
