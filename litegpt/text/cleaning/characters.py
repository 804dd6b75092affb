"""Rules that change single characters of a line, independent of the lines around it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

LIGATURES = str.maketrans(
    dict(zip("\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True))
)
"""Letters that a typesetter joins and that a PDF returns as one character."""

QUOTES = str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"') | dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")
)
DASHES = str.maketrans(
    dict.fromkeys("\u2014\u2015", "--") | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-") | {"\u2026": "..."}
)

_INVISIBLE = re.compile(
    "[\x00-\x08\x0c\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffb]"
)
_IRC_COLOUR = re.compile("\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?")
_LINE_SEPARATORS = re.compile("[\x0b\u2028\u2029]")
_RECORD_SEPARATORS = re.compile("[\x1c-\x1f\x85]")
_FINAL_SOFT_HYPHEN = re.compile(r"(?<=\w)\u00ad\s*$")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_DOUBLE = re.compile(r"(?<=[.!?:;,\"')]) {2,3}(?=[A-Z\"'(])|(?<=[a-z]) {2}(?=[a-z])")
_TABULAR = re.compile(r"\S {4,}\S|\S {2,}\S+ {2,}\S|\t|\||^ {4}|^[^.!?:;]{,40}$")
RUN = re.compile(r"(?<=\S) {2,}(?=\S)")

_REPLACEMENTS = (
    (_IRC_COLOUR, ""),
    (_FINAL_SOFT_HYPHEN, "-"),
    (_LINE_SEPARATORS, "\n"),
    (_RECORD_SEPARATORS, " "),
    (_INVISIBLE, ""),
)

Counted = tuple[str, int]
"""The changed text and the number of changes."""


def repair_mojibake(text: str) -> Counted:
    """Repair text that was decoded with the wrong encoding."""
    if text.isascii():
        return text, 0
    # Most texts never get here, so ftfy is imported late.
    import ftfy

    repaired = ftfy.fix_encoding(text)
    return repaired, int(repaired != text)


def normalise_unicode(text: str) -> Counted:
    """Compose letters (NFC), split ligatures and remove soft hyphens, invisible and control characters.

    A soft hyphen at the end of a line becomes a hyphen, because the line was broken there. A line separator becomes
    a line break, and a record separator becomes a space.
    """
    changes = 0
    if not text.isprintable():
        for pattern, replacement in _REPLACEMENTS:
            text, count = pattern.subn(replacement, text)
            changes += count
    if text.isascii():
        return text, changes
    text, replaced = _replace(text, LIGATURES)
    composed = unicodedata.normalize("NFC", text)
    if composed != text:
        single = sum(unicodedata.normalize("NFC", character) != character for character in text)
        replaced += max(1, len(text) - len(composed) + single)
    return composed, changes + replaced


def straighten_quotes(text: str) -> Counted:
    """Replace typographic quotes by those of a keyboard."""
    return (text, 0) if text.isascii() else _replace(text, QUOTES)


def straighten_dashes(text: str) -> Counted:
    """Write a long dash as two hyphens, other dashes as one, and an ellipsis as three full stops."""
    return (text, 0) if text.isascii() else _replace(text, DASHES)


def plain_spaces(text: str) -> Counted:
    """Replace spaces of other widths by plain ones, and remove white space at the end of the line."""
    changes = 0
    if not text.isascii():
        text, changes = _SPACES.subn(" ", text)
    stripped = text.rstrip(" \t\r")
    return stripped, changes + (len(stripped) < len(text))


def single_spaces(text: str, *, prose: bool) -> Counted:
    """Replace double spaces between words by single ones; indents and the columns of tables are kept.

    `prose` says that the line is a joined paragraph, which cannot have columns.
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
    count = sum(map(text.count, map(chr, table)))
    return (text.translate(table), count) if count else (text, 0)
