"""How a text is wrapped: its width and what separates its paragraphs. Both are measured, never assumed."""

from __future__ import annotations

import itertools
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from litegpt.text.cleaning.lines import PAGE, TextLine, is_terminal, starts_lower

Style = Literal["indented", "spaced", "plain"]

WIDTH_MIN = 28  # characters; narrower lines are verse or the column of a table
WORDS_MIN = 4  # on a line of prose
FLOWING_MIN = 3  # line ends in the middle of a sentence; fewer are not enough evidence
NEAR = (0.72, 1.4)  # of the median length: the line ends of wrapped prose are within these bounds
NEAR_SHARE = 0.8
FLOWING_SHARE = 0.3  # of all line ends interrupt a sentence in wrapped prose
INDENT_MAX = 12
SYMBOL_SHARE = 0.02  # of the characters of a few lines
CODE_SHARE = 0.012  # of a whole text: novels have 0 to 0.001, licences 0.003, Python's library 0.014 to 0.08
PAGED_CODE_SHARE = 0.03  # of a text with pages: a manual contains examples of code

COLUMN_LINES_MIN = 12
COLUMN_SHARE = 0.4  # of the lines: with a second column that begins at the same position
COLUMN_WORDS_MIN = 3

_KEPT = re.compile(
    r"\S\t+\S|\S {3,}\S|\|.*\|"  # columns
    r"|^\s*(?:```|~~~|#|>|//|/\*|@@|\$ )|[{};]\s*$(?<!\w;)"  # markup and code
    r"|^\s*[-=+*_~]{3,}\s*$|(?:\. ?){4,}\s*\w+$"  # rules, and the dots in a table of contents
)
_GUTTER = re.compile(r"(?<=\S) {2,}(?=\S)")
_MARKS = ("\t", "   ", "|", "...", ". . .")
_ITEM = re.compile(
    r"\s*(?:[-*+\u2022\u2023\u25aa\u25cf\u2013]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxl]+)[.)]|\d+(?:\.\d+)+\.?)\s+\S"
)
_SYMBOL = re.compile(r"[{}\[\]<>=|\\$@^~]|\w_\w|\w\(|\w/\w|--?\w+=|^\$ ")
_FIRST_WORD = re.compile(r"\s*(\S+)")


@dataclass(frozen=True)
class Wrapping:
    """The measured layout of a wrapped text; lengths are in characters."""

    full: float  # a line was wrapped if it would be this long with the first word of the next line
    style: Style
    margin: int  # blanks before every line

    def is_full(self, line: str, following: str) -> bool:
        """Whether the first word of the next line did not fit on this line."""
        return reach(line[self.margin :], following) >= self.full

    def indent(self, text: str) -> int:
        """Return the number of blanks before a line, beyond the margin."""
        return len(text) - len(text.lstrip()) - self.margin


def measure(lines: Sequence[TextLine]) -> Wrapping | None:
    """Measure how the lines are wrapped; None if they are not wrapped, or too few to decide.

    In wrapped prose, the lines before a small letter have nearly the same length. In verse and code they do not.
    """
    texts = [line.text.rstrip() for line in lines if line.text != PAGE]
    margin = _margin(texts)
    pairs = [(a, b) for a, b in itertools.pairwise(texts) if a and b and not is_kept(a) and not is_kept(b)]
    flowing = [
        reach(a[margin:], b)
        for a, b in pairs
        if starts_lower(b) and not is_terminal(a) and len(a.split(maxsplit=WORDS_MIN)) >= WORDS_MIN
    ]
    if len(flowing) < FLOWING_MIN or len(flowing) < FLOWING_SHARE * len(pairs):
        return None
    middle = statistics.median(flowing)
    near = sorted(length for length in flowing if NEAR[0] * middle <= length <= NEAR[1] * middle)
    if middle < WIDTH_MIN or len(near) < NEAR_SHARE * len(flowing):
        return None
    full = near[len(near) // 50]
    return Wrapping(full, _style(texts, pairs, full, margin), margin)


def reach(line: str, following: str) -> int:
    """Return the length that a line would have with the first word of the next line."""
    first = _FIRST_WORD.match(following)
    return len(line) + 1 + (len(first[1]) if first else 0)


@lru_cache(maxsize=1 << 12)
def is_kept(text: str) -> bool:
    """Whether a line belongs to a table, code or markup, so that its line break must stay."""
    body = text.strip()
    # Most lines pass this check, which is ten times as fast as the regular expression.
    if body[:1].isalnum() and body[-1:].isalnum() and not any(mark in body for mark in _MARKS):
        return False
    return _KEPT.search(text) is not None


def is_code(texts: Iterable[str], share: float = SYMBOL_SHARE) -> bool:
    """Whether lines are code or a listing, judged by symbols that are rare in prose."""
    text = "\n".join(texts)
    return len(_SYMBOL.findall(text)) > share * len(text)


def has_two_columns(lines: Sequence[TextLine]) -> bool:
    """Whether the text is set in two columns of prose side by side, as PDF extraction with layout returns it.

    The right column begins at the same position in most lines, after at least two spaces. In a table, the cells have
    few words, or do not continue on the next line.
    """
    texts = [line.text for line in lines if not line.blank and line.text != PAGE]
    starts = Counter(match.end() for text in texts for match in _GUTTER.finditer(text))
    if len(texts) < COLUMN_LINES_MIN or not starts:
        return False
    column, count = starts.most_common(1)[0]
    if count < COLUMN_SHARE * len(texts):
        return False
    halves = [(text[:column], text[column:]) for text in texts if text[column - 2 : column] == "  "]
    words = [len(half.split()) for pair in halves for half in pair]
    continued = sum(
        starts_lower(below) and not is_terminal(above)
        for side in (0, 1)
        for above, below in itertools.pairwise(pair[side] for pair in halves)
        if above.strip() and below.strip()
    )
    return statistics.median(words) >= COLUMN_WORDS_MIN and continued > len(halves) / 2


def is_item(text: str) -> bool:
    """Whether the line begins an item of a list."""
    return _ITEM.match(text) is not None


def _margin(texts: Sequence[str]) -> int:
    """Return the indent that at least half of the lines have, or 0."""
    indents = Counter(len(text) - len(text.lstrip()) for text in texts if text)
    if not indents:
        return 0
    common, count = indents.most_common(1)[0]
    return common if count >= sum(indents.values()) / 2 else 0


def _style(texts: Sequence[str], pairs: Sequence[tuple[str, str]], full: float, margin: int) -> Style:
    """Return how most paragraphs begin: with an indent, after a blank line, or just after a short line."""
    begins: Counter[Style] = Counter()
    for above, below in pairs:
        if not is_terminal(above) or starts_lower(below):
            continue
        if 0 < len(below) - len(below.lstrip()) - margin <= INDENT_MAX:
            begins["indented"] += 1
        elif reach(above[margin:], below) < full:
            begins["plain"] += 1
    for above, gap, below in zip(texts, texts[1:], texts[2:], strict=False):
        if is_terminal(above) and not gap and below and not starts_lower(below):
            begins["spaced"] += 1
    return max(("spaced", "indented", "plain"), key=lambda style: begins[style])
