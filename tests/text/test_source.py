"""Reading the lines of files: encodings, EPUBs and PDFs, damaged ones included."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.text import epub
from litegpt.text.source import open_source

Book = Callable[..., Path]


@pytest.mark.parametrize(
    ("content", "lines", "encoding", "strays"),
    [
        (b"\xe2\x80\x9cIt\xe2\x80\x99s\xe2\x80\x9d caf\xe9\n", ["\u201cIt\u2019s\u201d caf\u00e9"], "utf-8", 1),
        (b"caf\xe9 \x93au lait\x94\n", ["caf\u00e9 \u201cau lait\u201d"], "cp1252", 0),
        ("\ufffd\n".encode(), ["\ufffd"], "utf-8", 0),
    ],
    ids=["one bad byte", "another encoding", "U+FFFD in the text"],
)
def test_texts_in_other_encodings(tmp_path: Path, content: bytes, lines: list[str], encoding: str, strays: int) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    source = open_source(tmp_path / "a.txt")
    assert source.encoding is not None
    assert (source.encoding.name, source.encoding.invalid, list(source.lines())) == (encoding, strays, lines)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Write an EPUB of pages; the spine lists their numbers."""

    def write(pages: Sequence[str | bytes], spine: Sequence[int] | None = None) -> Path:
        path = tmp_path / "book.epub"
        items = "".join(f'<item id="{number}" href="{number}.xhtml"/>' for number in range(len(pages)))
        order = "".join(f'<itemref idref="{number}"/>' for number in (range(len(pages)) if spine is None else spine))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(
                epub.CONTAINER, '<c xmlns="urn:x"><rootfiles><rootfile full-path="c.opf"/></rootfiles></c>'
            )
            archive.writestr("c.opf", f'<p xmlns="urn:x"><manifest>{items}</manifest><spine>{order}</spine></p>')
            for number, page in enumerate(pages):
                archive.writestr(f"{number}.xhtml", page)
        return path

    return write


@pytest.mark.parametrize(
    ("page", "lines"),
    [
        ("<table><tr><td>a</td><td><b>b</b></td></tr><tr><th>c</th><td>d</td></tr></table>", ["a\tb", "", "c\td"]),
        ("<select><option>a</option><option>b</option></select>", ["a", "", "b"]),
        ("<p>Gr\u00fc\u00dfe</p>".encode("utf-16"), ["Gr\u00fc\u00dfe"]),
        ('<?xml version="1.0" encoding="iso-8859-1"?><p>Gr\u00fc\u00dfe</p>'.encode("latin-1"), ["Gr\u00fc\u00dfe"]),
        ("<p>a</p><![foo[ no ]]><?no no?><!-- > --><p>b &lt; <![CDATA[&amp;]]></p>", ["a", "", "b < &amp;"]),
        ("<!DOCTYPE html [<!ENTITY no 'no'> ]><p title='1 > 0'>a<br/>b</p>", ["a", "b"]),
        ("<head/><title>a</title><pre>b\n  c</pre>", ["a", "", "b", "  c"]),
    ],
)
def test_the_markup_of_an_epub_page_is_removed(book: Book, page: str | bytes, lines: list[str]) -> None:
    assert list(open_source(book([page])).lines()) == [*lines, ""]


@pytest.mark.parametrize("page", ['<a b="' * 50_000, "<!--" * 100_000, "<!-- >" * 100_000, "<" + "a" * 500_000])
def test_unfinished_tags_are_read_in_linear_time(book: Book, page: str) -> None:
    """An expression that backtracks would take minutes here."""
    first, *_ = open_source(book(["<p>a</p>", page])).lines()
    assert first == "a"


def test_each_page_of_an_epub_is_read_once(book: Book) -> None:
    assert list(open_source(book(["a", "b"], spine=[1, 0, 1, 1])).lines()) == ["b", "", "a", ""]


def test_the_size_of_an_epub_is_limited(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    for pages in (["<p>a</p>", "<p>b</p>" * 100_000], ["<p>a</p>" + " " * 63_000_000], ["<p>a</p>" * 10_000] * 200):
        path = book(pages)
        with monkeypatch.context() as patch:
            patch.setattr(epub, "SMALL_BYTES", 500_000)
            with pytest.raises(InputError, match="expand to more than 64 MB, or 50 times its size"):
                list(open_source(path).lines())
    for pages, spine in ((["<p>a</p>"], []), (["<p>a</p>"], [7]), (["<p/>"], None)):
        with pytest.raises(InputError, match="contains no text"):
            list(open_source(book(pages, spine)).lines())


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ("a\ud800b\ud83d\ude00", None),
        (ZeroDivisionError("integer modulo by zero"), "cannot be read: integer modulo by zero"),
        (AssertionError(), "cannot be read: AssertionError"),
        (RuntimeError("cryptography>=3.1 is required"), "pip install cryptography"),
    ],
)
def test_errors_of_pypdf_are_reported_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: str | Exception,
    part: str | None,
) -> None:
    pypdf = pytest.importorskip("pypdf")
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(tmp_path / "a.pdf")

    def extract_text(page: object) -> str:
        logging.getLogger("pypdf.page").warning("an escape sequence: \x1b[31m")
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(pypdf.PageObject, "extract_text", extract_text)
    source = open_source(tmp_path / "a.pdf")
    if part is None:
        assert next(source.lines()) == "a\ufffdb\U0001f600"
    else:
        with pytest.raises(InputError, match=part):
            list(source.lines())
    assert not caplog.records
