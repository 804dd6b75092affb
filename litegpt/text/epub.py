"""The text of an EPUB, a zip of XHTML pages with a list of their order. Only the standard library is used."""

from __future__ import annotations

import html
import lzma
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from litegpt.errors import InputError
from litegpt.text.decoding import MARKS

BOOK_BYTES = 1 << 26
"""The largest book, unpacked. The longest novels have 10 MB with their markup."""
SMALL_BYTES = 1 << 22
"""A book that is not larger may be compressed to any degree."""
EXPANSION = 50
"""Unpacked bytes per byte of a larger EPUB, at most. Real books have 3 to 10; a zip bomb has up to 1,000."""
CONTAINER = "META-INF/container.xml"
BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "dd", "div", "dl", "dt", "figcaption"),
        *("figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol"),
        *("option", "p", "pre", "section", "table", "tr", "ul"),
    )
)
CELLS = frozenset(("td", "th"))
SKIPPED = frozenset(("head", "script", "style", "svg", "math"))

_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<!\[CDATA\[(?P<verbatim>.*?)(?:\]\]>|\Z)"
    r"|<!DOCTYPE[^<>\[]*+\[.*?(?:\]\s*>|\Z)|<[!?][^<>]*+>"
    r"|<(?P<end>/?)(?P<tag>[a-zA-Z][^\s/<>]*+)(?:[^<>\"']|\"[^<\"]*+\"|'[^<']*+')*+>",
    re.DOTALL,
)
"""Comments, declarations and tags.

Each alternative ends at the next `<` or at the end of the page, and never backtracks, so that the time stays linear.
"""
_DECLARED = re.compile(rb"\s*<\?xml[^>]*\bencoding\s*=\s*[\"']([\w.-]+)")
_SPACE = re.compile(r"[ \t\r\n\f]+")


def read_epub(path: Path) -> Iterator[str]:
    """Yield the paragraphs of a book with a blank line after each. InputError: the file is not a readable EPUB."""
    has_text = False
    try:
        allowed = min(BOOK_BYTES, max(SMALL_BYTES, EXPANSION * path.stat().st_size))
        with zipfile.ZipFile(path) as archive:
            for name in _reading_order(archive):
                data = _read(archive, name, allowed)
                allowed -= len(data)
                for paragraph in _paragraphs(_decoded(data)):
                    has_text = True
                    yield from paragraph.split("\n")
                    yield ""
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, ElementTree.ParseError, EOFError) as error:
        raise InputError(f"the EPUB cannot be read: {error}", path) from None
    except (LookupError, ValueError, OSError, RuntimeError) as error:
        raise InputError(f"the EPUB cannot be read: {error}", path) from None
    if not has_text:
        raise InputError("the EPUB contains no text", path)


def _reading_order(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the pages in reading order, without repetitions."""
    container = ElementTree.fromstring(_read(archive, CONTAINER, SMALL_BYTES))
    root = next((e.get("full-path") for e in container.iter() if e.tag.endswith("}rootfile")), None)
    if root is None:
        raise KeyError(f"{CONTAINER} names no package")
    package = ElementTree.fromstring(_read(archive, root, SMALL_BYTES))
    items = {e.get("id"): e.get("href", "") for e in package.iter() if e.tag.endswith("}item")}
    spine = [e.get("idref") for e in package.iter() if e.tag.endswith("}itemref")]
    folder = posixpath.dirname(root)
    names = (posixpath.normpath(posixpath.join(folder, unquote(items[item]))) for item in spine if item in items)
    return list(dict.fromkeys(names))


def _read(archive: zipfile.ZipFile, name: str, allowed: int) -> bytes:
    with archive.open(name) as file:
        data = file.read(allowed + 1)
    if len(data) > allowed:
        raise RuntimeError(f"its files expand to more than {BOOK_BYTES >> 20} MB, or {EXPANSION} times its size")
    return data


def _decoded(data: bytes) -> str:
    """Decode a page in the encoding that it names, or in UTF-8."""
    for mark, name in MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(name, errors="replace")
    declared = _DECLARED.match(data)
    return data.decode(declared[1].decode("ascii") if declared else "utf-8", errors="replace")


def _paragraphs(page: str) -> list[str]:
    text = _Paragraphs()
    end = 0
    for markup in _MARKUP.finditer(page):
        text.add(html.unescape(page[end : markup.start()]))
        end = markup.end()
        if tag := markup["tag"]:
            text.mark(tag.lower(), ends=bool(markup["end"]), empty=markup[0].endswith("/>"))
        elif markup["verbatim"]:
            text.add(markup["verbatim"])
    text.add(html.unescape(page[end:]))
    text.end_paragraph()
    return text.paragraphs


class _Paragraphs:
    """Collects the text of block elements.

    A <br> becomes a line break, a tab separates the cells of a table, and <pre> keeps its lines.
    """

    def __init__(self) -> None:
        self.paragraphs: list[str] = []
        self._text: list[str] = []
        self._skipped_depth = self._pre_depth = 0

    def add(self, text: str) -> None:
        if not self._skipped_depth:
            self._text.append(text if self._pre_depth else _SPACE.sub(" ", text))

    def mark(self, tag: str, *, ends: bool, empty: bool) -> None:
        """Handle a tag that starts or ends an element, or is an empty element."""
        if tag in BLOCKS:
            self.end_paragraph()
        elif tag == "br":
            self._text.append("\n")
        elif tag in CELLS and ends:
            self._text.append("\t")
        if not empty:
            step = -1 if ends else 1
            self._skipped_depth = max(0, self._skipped_depth + step * (tag in SKIPPED))
            self._pre_depth = max(0, self._pre_depth + step * (tag == "pre"))

    def end_paragraph(self) -> None:
        text = "".join(self._text)
        lines = text.split("\n") if self._pre_depth else [line.strip() for line in text.split("\n")]
        text = "\n".join(lines).strip("\n" if self._pre_depth else None)
        if text:
            self.paragraphs.append(text)
        self._text.clear()
