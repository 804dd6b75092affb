"""Lines as running headers, footers and page numbers have them: what recurs of a line, and the number at its edge."""

from __future__ import annotations

import re
from dataclasses import dataclass

from litegpt.text.lines import is_terminal, starts_lower

LONGEST = 80  # characters of a header

_NUMBER = r"(\d{1,4}|[clxvi]{1,9})"
_TOTAL = r"(?:\s*(?:/|of)\s*\d+)?"  # of the pages
_PARTED = r"[\s|\u2022\u00b7\u2013\u2014-]+"  # a number and its header; a PDF gives them without anything between, too
_ALONE = re.compile(rf"[\W_]*(?i:page\s+)?{_NUMBER}{_TOTAL}[\W_]*")
_FIRST = re.compile(rf"{_NUMBER}(?:{_PARTED}|(?<=\d)(?=[A-Z]))(\S.*)")
_LAST = re.compile(rf"(\S.*?)(?:{_PARTED}(?i:page\s+)?|(?<=[^\W\d_])(?=\d)){_NUMBER}{_TOTAL}")
_SPACE = re.compile(r"\s+")
_ROMAN = re.compile("(c{0,3})(xc|xl|l?x{0,3})(ix|iv|v?i{0,3})")
_DIGITS = {"c": 100, "l": 50, "x": 10, "v": 5, "i": 1}


@dataclass(frozen=True)
class Entry:
    """A line that is not blank: where it is, what recurs of it, and the number at its edge."""

    index: int
    text: str
    key: str  # without number and case; empty for a mere number, or what cannot be a header
    number: int | None
    is_sentence: bool = False  # or a part of one: no header, unless many pages begin or end with it


def read_entry(index: int, text: str) -> Entry:
    """Return the line at an index as an entry."""
    text = _SPACE.sub(" ", text.strip())
    if len(text) > LONGEST:
        return Entry(index, text, "", None)
    for pattern, number, key in ((_ALONE, 1, 0), (_FIRST, 1, 2), (_LAST, 2, 1)):
        matched = pattern.fullmatch(text)
        if matched and (value := _value(matched[number])) is not None:
            return Entry(index, text, _key(matched[key]) if key else "", value)
    return Entry(index, text, _key(text), None, starts_lower(text) or (is_terminal(text) and not text.isupper()))


def _value(number: str) -> int | None:
    """Return what a number means, which may be a roman one in small letters; None for what is a word."""
    if number.isdecimal():
        return int(number)
    if not _ROMAN.fullmatch(number):
        return None
    values = [_DIGITS[digit] for digit in number]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _key(text: str) -> str:
    """Return what recurs of a header; a single letter is none, it may be a drop capital."""
    key = text.casefold().strip(" -|\u2022\u00b7\u2013\u2014*_[](){}")
    return key if sum(character.isalpha() for character in key) > 1 else ""
