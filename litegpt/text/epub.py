"""The text of an EPUB, with the standard library: a zip of XHTML, and a list that puts it in order."""

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
from litegpt.text.encoding import named_by_bom

FILE_BYTES = 1 << 26  # of one file in it, unpacked
BOOK_BYTES = 1 << 28  # of all that are read
CONTAINER = "META-INF/container.xml"
BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "dd", "div", "dl", "dt", "figcaption"),
        *("figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol"),
        *("option", "p", "pre", "section", "table", "tr", "ul"),
    )
)
CELLS = frozenset(("td", "th"))
SILENT = frozenset(("head", "script", "style", "svg", "math"))

_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<!\[CDATA\[(?P<verbatim>.*?)(?:\]\]>|\Z)"
    r"|<!DOCTYPE[^<>\[]*+\[.*?(?:\]\s*>|\Z)|<[!?][^<>]*+>"
    r"|<(?P<end>/?)(?P<tag>[a-zA-Z][^\s/<>]*+)(?:[^<>\"']|\"[^<\"]*+\"|'[^<']*+')*+>",
    re.DOTALL,
)
"""What is no text. Each ends at the next `<`, or at the end, and is not tried again in part: no page takes long."""
_DECLARED = re.compile(rb"\s*<\?xml[^>]*\bencoding\s*=\s*[\"']([\w.-]+)")
_SPACE = re.compile(r"[ \t\r\n\f]+")


def read_epub(path: Path) -> Iterator[str]:
    """Yield the lines of a book: a paragraph each, a blank line between. InputError: the file is no EPUB."""
    found = False
    unread = BOOK_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            for name in _reading_order(archive):
                data = _read(archive, name)
                unread -= len(data)
                if unread < 0:
                    raise RuntimeError(f"its files are larger than {BOOK_BYTES >> 20} MB together")
                for paragraph in _paragraphs(_decoded(data)):
                    found = True
                    yield from paragraph.split("\n")
                    yield ""
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, ElementTree.ParseError, EOFError) as error:
        raise InputError(f"this is no EPUB that can be read: {error}", path) from None
    except (LookupError, ValueError, OSError, RuntimeError) as error:
        raise InputError(f"this is no EPUB that can be read: {error}", path) from None
    if not found:
        raise InputError("the EPUB holds no text", path)


def _reading_order(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the files with text, in the order in which a reader meets them, each once."""
    container = ElementTree.fromstring(_read(archive, CONTAINER))
    root = next((e.get("full-path") for e in container.iter() if e.tag.endswith("}rootfile")), None)
    if root is None:
        raise KeyError(f"{CONTAINER} names no package")
    package = ElementTree.fromstring(_read(archive, root))
    items = {e.get("id"): e.get("href", "") for e in package.iter() if e.tag.endswith("}item")}
    spine = [e.get("idref") for e in package.iter() if e.tag.endswith("}itemref")]
    folder = posixpath.dirname(root)
    names = (posixpath.normpath(posixpath.join(folder, unquote(items[item]))) for item in spine if item in items)
    return list(dict.fromkeys(names))


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise RuntimeError(f"{name} is larger than {FILE_BYTES >> 20} MB")
    return data


def _decoded(data: bytes) -> str:
    """Return a page in the encoding that it names; UTF-8 where it names none."""
    declared = _DECLARED.match(data)
    encoding = named_by_bom(data) or (declared[1].decode("ascii") if declared else "utf-8")
    return data.decode(encoding, errors="replace")


def _paragraphs(page: str) -> list[str]:
    text = _Paragraphs()
    place = 0
    for markup in _MARKUP.finditer(page):
        text.add(html.unescape(page[place : markup.start()]))
        place = markup.end()
        if tag := markup["tag"]:
            text.mark(tag.lower(), ends=bool(markup["end"]), empty=markup[0].endswith("/>"))
        elif markup["verbatim"]:
            text.add(markup["verbatim"])
    text.add(html.unescape(page[place:]))
    text.end_paragraph()
    return text.found


class _Paragraphs:
    """Collects the text of block elements; a <br> is a line break, cells have a tab between, <pre> keeps its lines."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._text: list[str] = []
        self._silent = self._verbatim = 0

    def add(self, text: str) -> None:
        if not self._silent:
            self._text.append(text if self._verbatim else _SPACE.sub(" ", text))

    def mark(self, tag: str, *, ends: bool, empty: bool) -> None:
        """Take note of a tag that begins or ends an element, or is an empty one."""
        if tag in BLOCKS:
            self.end_paragraph()
        elif tag == "br":
            self._text.append("\n")
        elif tag in CELLS and ends:
            self._text.append("\t")
        if not empty:
            step = -1 if ends else 1
            self._silent = max(0, self._silent + step * (tag in SILENT))
            self._verbatim = max(0, self._verbatim + step * (tag == "pre"))

    def end_paragraph(self) -> None:
        text = "".join(self._text)
        lines = text.split("\n") if self._verbatim else [line.strip() for line in text.split("\n")]
        text = "\n".join(lines).strip("\n" if self._verbatim else None)
        if text:
            self.found.append(text)
        self._text.clear()
