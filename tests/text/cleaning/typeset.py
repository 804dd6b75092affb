"""Typesetting a clean text as PDF extraction returns it: wrapped, hyphenated, with pages, headers and drop capitals."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

VOWELS = "aeiouy"
DROP_CAPITAL_CHARACTERS = 5  # the width of the large letter, in the first two lines


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of a book. Widths are in characters, the length of a page is in lines."""

    width: int
    page_lines: int
    paragraphs: Literal["indented", "spaced", "plain"]
    header: Literal["author and title", "title and number", "title over author", "none"]
    number: Literal["in the header", "at the foot", "roman, at the foot", "none"]
    drop_capital: Literal["before", "after the first line", "after the second line", "before the heading", "spaced"]
    ragged: int = 0  # variation of the line length in characters, as with proportional letters
    form_feeds: bool = False
    hyphenated: bool = True
    hyphen: str = "-"
    left_margin: int = 0
    gutter: int = 0  # additional margin on pages with even numbers
    footer: str = ""  # printed above the number
    justified: bool = False  # lines are filled up with blanks between words
    double_spaced: bool = False


def typeset(text: str, layout: Layout, author: str = "Isbel Tarn", seed: int = 0) -> str:
    """Typeset `text`. Blank lines separate its paragraphs; chapters begin with a line CHAPTER and a title."""
    generator = random.Random(seed)
    pages: list[tuple[list[str], str, bool]] = []  # lines, chapter title, whether a chapter begins
    for title, lines in _chapters(smart(text), layout, generator):
        for start in range(0, len(lines), layout.page_lines):
            pages.append((lines[start : start + layout.page_lines], title, start == 0))
    return "".join(_page(number, *page, layout, author) for number, page in enumerate(pages, start=1))


def smart(text: str) -> str:
    """Return text with typographic quotes and dashes."""
    text = text.replace("--", "\N{EM DASH}")
    text = re.sub('(^|[\\s(\N{EM DASH}])"', "\\1\N{LEFT DOUBLE QUOTATION MARK}", text)
    text = re.sub("(^|[\\s(\N{LEFT DOUBLE QUOTATION MARK}])'", "\\1\N{LEFT SINGLE QUOTATION MARK}", text)
    text = text.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}")
    return text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")


def _chapters(text: str, layout: Layout, generator: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Yield the title and the lines of each chapter, with headings and drop capital. The title page comes first."""
    paragraphs = text.strip().split("\n\n")
    starts = [index for index, paragraph in enumerate(paragraphs) if paragraph.startswith("CHAPTER ")]
    yield "", [line for paragraph in paragraphs[: starts[0]] for line in (paragraph, "")]
    for start, end in zip(starts, [*starts[1:], len(paragraphs)], strict=True):
        heading, title, opening, *rest = paragraphs[start:end]
        lines = [heading, "", title, "", "", *_opening(opening, layout, generator)]
        if layout.drop_capital == "before the heading":
            lines = [heading, _capital(opening)[0], "", title, "", "", *_opening(opening, layout, generator)]
        for paragraph in rest:
            if layout.paragraphs == "spaced":
                lines.append("")
            lines += _wrap(paragraph, layout, generator, indent=4 if layout.paragraphs == "indented" else 0)
        yield title, lines


def _capital(paragraph: str) -> tuple[str, str]:
    """Split a paragraph after its first letter; a quote before the letter belongs to it."""
    length = 1 if paragraph[0].isalpha() else 2
    return paragraph[:length], paragraph[length:]


def _opening(paragraph: str, layout: Layout, generator: random.Random) -> list[str]:
    capital, rest = _capital(paragraph)
    if layout.drop_capital == "spaced":
        return _wrap(f"{capital} {rest}", layout, generator)
    lines = _wrap(rest, layout, generator, narrow=2)
    if layout.drop_capital != "before the heading":
        line_numbers = {"before": 0, "after the first line": 1, "after the second line": 2}
        lines.insert(line_numbers[layout.drop_capital], capital)
    return lines


def _wrap(paragraph: str, layout: Layout, generator: random.Random, indent: int = 0, narrow: int = 0) -> list[str]:
    """Wrap a paragraph. The first line is indented, and the first `narrow` lines leave space for a capital."""
    words = paragraph.split(" ")
    lines: list[str] = []
    line = " " * indent
    while words:
        word = words.pop(0)
        available = layout.width - (DROP_CAPITAL_CHARACTERS if len(lines) < narrow else 0)
        available += generator.randint(-layout.ragged, layout.ragged)
        glue = " " if line.strip() else ""
        if len(line) + len(glue) + len(word) <= available:
            line += glue + word
            continue
        split = _break(word, available - len(line) - len(glue), layout) if glue else 0
        if split:
            head, tail = word[:split], word[split:]
            line += glue + head + ("" if head[-1] in "-\N{EM DASH}" else layout.hyphen)
            words.insert(0, tail)
        elif not glue:
            line += word
            continue
        else:
            words.insert(0, word)
        lines.append(_fill(line, available) if layout.justified else line)
        line = ""
    return [*lines, line] if line else lines


def _fill(line: str, width: int) -> str:
    """Widen the blanks of a line from the left until it is full."""
    indent = len(line) - len(line.lstrip())
    words = line.split()
    missing = width - len(line)
    gaps = len(words) - 1
    if gaps < 1:
        return line
    each, remainder = divmod(missing, gaps)
    filled = "".join(word + " " * (1 + each + (i < remainder)) for i, word in enumerate(words[:-1]))
    return " " * indent + filled + words[-1]


def _break(word: str, available: int, layout: Layout) -> int:
    """Return where to break a word so that its start fits into `available` characters; 0 if it cannot be broken."""
    for index in range(min(available, len(word) - 1), 1, -1):
        if word[index - 1] in "-\N{EM DASH}" and word[index].isalpha():
            return index
    if not layout.hyphenated or not word.isalpha():
        return 0
    for index in range(min(available - 1, len(word) - 3), 2, -1):
        if word[index - 1] in VOWELS and word[index] not in VOWELS and word[index + 1] in VOWELS:
            return index
        if (
            word[index - 1] not in VOWELS
            and word[index] not in VOWELS
            and word[index + 1] in VOWELS
            and word[index - 2] in VOWELS
        ):
            return index
    return 0


def _page(number: int, lines: list[str], title: str, begins: bool, layout: Layout, author: str) -> str:
    """Return a page. The first page of a chapter has no header; the title page has neither header nor number."""
    head, foot = [], []
    if title:
        numbered = layout.number == "in the header"
        running = author if number % 2 else title
        if layout.header == "title and number":
            running = "TWO FLASHES AND A WAIT" if number % 2 else title.upper()
        if layout.header == "title over author" and not begins:
            head = ["Two Flashes and a Wait", author, *([f"- {number} -"] if numbered else []), ""]
        elif layout.header != "none" and not begins:
            number_text = str(number) if numbered else ""
            left, right = (running, number_text) if number % 2 else (number_text, running)
            head = [f"{left}   {right}".strip(), ""]
        if (numbered and begins) or layout.number.endswith("at the foot"):
            foot = ["", layout.footer, _roman(number) if layout.number.startswith("roman") else str(number)]
            foot = [line for index, line in enumerate(foot) if line or not index]
    margin = " " * (layout.left_margin + layout.gutter * (number % 2 == 0))
    page = [margin + line if line else line for line in [*head, *lines, *foot]]
    if layout.double_spaced:
        page = [spaced for line in page for spaced in (line, "")]
    return "\n".join(page) + ("\n\f" if layout.form_feeds else "\n")


def _roman(number: int) -> str:
    """Return a number below a hundred in small roman letters."""
    tens, ones = divmod(number, 10)
    units = ["", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"]
    return units[tens].translate(str.maketrans("xvi", "clx")) + units[ones]
