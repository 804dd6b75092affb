"""Rules for the characters of a line, whatever line it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

LIGATURES = str.maketrans(
    dict(zip("\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True))
)
"""What a typesetter sets as one piece and a PDF gives as one character."""

QUOTES = str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"') | dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")
)
DASHES = str.maketrans(
    dict.fromkeys("\u2014\u2015", "--") | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-") | {"\u2026": "..."}
)

_INVISIBLE = re.compile(
    "[\x00-\x08\x0c\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffb]"
)
_BREAKS = re.compile("[\x0b\u2028\u2029]")
_PARTS = re.compile("[\x1c-\x1f\x85]")
_BROKEN = re.compile(r"(?<=\w)\u00ad\s*$")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_DOUBLE = re.compile(r"(?<=[.!?:;,\"')]) {2,3}(?=[A-Z\"'(])|(?<=[a-z]) {2}(?=[a-z])")
_TABULAR = re.compile(r"\S {4,}\S|\S {2,}\S+ {2,}\S|\t|\||^ {4}|^[^.!?:;,]{,40}$")
RUN = re.compile(r"(?<=\S) {2,}(?=\S)")

Counted = tuple[str, int]


def repair_mojibake(text: str) -> Counted:
    """Return text that was decoded wrongly as it was meant, and whether it was."""
    if text.isascii():
        return text, 0
    import ftfy  # here, because most lines of most texts need none

    fixed = ftfy.fix_encoding(text)
    return fixed, int(fixed != text)


def normalise_unicode(text: str) -> Counted:
    """Return text composed (NFC), ligatures as letters, without soft hyphens, invisible and control characters.

    A soft hyphen at the end is a hyphen: the line broke there. What separates lines is a line break, what separates
    records a blank.
    """
    found = 0
    if not text.isprintable():
        for pattern, meant in ((_BROKEN, "-"), (_BREAKS, "\n"), (_PARTS, " "), (_INVISIBLE, "")):
            text, count = pattern.subn(meant, text)
            found += count
    if text.isascii():
        return text, found
    text, replaced = _replace(text, LIGATURES)
    composed = unicodedata.normalize("NFC", text)
    if composed != text:
        lone = sum(unicodedata.normalize("NFC", character) != character for character in text)
        replaced += max(1, len(text) - len(composed) + lone)
    return composed, found + replaced


def straighten_quotes(text: str) -> Counted:
    """Return text with the quotes that a keyboard has."""
    return (text, 0) if text.isascii() else _replace(text, QUOTES)


def straighten_dashes(text: str) -> Counted:
    """Return text with hyphens for dashes, two for a long one, and three points for an ellipsis."""
    return (text, 0) if text.isascii() else _replace(text, DASHES)


def plain_spaces(text: str) -> Counted:
    """Return text with blanks for the spaces of other widths, and none at its end."""
    found = 0
    if not text.isascii():
        text, found = _SPACES.subn(" ", text)
    bare = text.rstrip(" \t\r")
    return bare, found + (len(bare) < len(text))


def single_spaces(text: str, *, prose: bool) -> Counted:
    """Return text with single blanks between words; columns, and what sets a line in, are kept.

    `prose` says that the line is a joined paragraph's: it has no columns.
    """
    if "  " not in text:
        return text, 0
    if prose:
        return RUN.subn(" ", text)
    return (text, 0) if _TABULAR.search(text) else _DOUBLE.subn(" ", text)


CHARACTER_RULES: Mapping[str, Callable[[str], Counted]] = {
    "mojibake": repair_mojibake,
    "unicode": normalise_unicode,
    "quotes": straighten_quotes,
    "dashes": straighten_dashes,
}


def _replace(text: str, table: Mapping[int, str]) -> Counted:
    found = sum(map(text.count, map(chr, table)))
    return (text.translate(table), found) if found else (text, 0)
