"""Blanks that only a layout needs: in justified lines, between double-spaced lines, and in alternating margins."""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Sequence

from litegpt.text.cleaning.characters import RUN
from litegpt.text.cleaning.lines import PAGE, ChangeLog, TextLine, is_terminal, starts_lower

FLOWING_MIN = 5  # lines that end in the middle of a sentence; fewer are not enough evidence
JUSTIFIED_SHARE = 0.5  # of these lines must be filled up with blanks
TOGETHER_SHARE = 0.2  # most pairs of adjacent lines, per pair with a blank line between
PAGES_MIN = 8  # fewer are not enough evidence
ALTERNATING_SHARE = 0.8  # of the pages must have the margin of their side
DOUBLE_SHARE = 0.4  # of the single blank lines must interrupt a sentence

_FILLED = re.compile(r"(?<=[^\s.!?:]) {2,}(?=\S)")


def unjustified(lines: Sequence[TextLine], log: ChangeLog) -> Sequence[TextLine]:
    """Replace the double blanks of justified lines by single ones; other texts stay unchanged."""
    texts = [line.text.rstrip() for line in lines]
    flowing = [above for above, below in itertools.pairwise(texts) if above and starts_lower(below)]
    filled = [text for text in flowing if _FILLED.search(text)]
    if len(filled) < max(FLOWING_MIN, JUSTIFIED_SHARE * len(flowing)):
        return lines
    width = sorted(map(len, filled))[len(filled) // 2]
    changed: list[TextLine] = []
    for line, text in zip(lines, texts, strict=True):
        if abs(len(text) - width) <= 1 and "  " in text:
            log.note("spaces", line)
            changed.append(TextLine(line.number, RUN.sub(" ", text)))
        else:
            changed.append(line)
    return changed


def single_spaced(lines: Sequence[TextLine]) -> Sequence[TextLine]:
    """Remove the blank lines of a double-spaced text; other texts stay unchanged."""
    gaps = [i for i in range(1, len(lines) - 1) if _is_gap(lines, i)]
    adjacent = sum(not (above.blank or below.blank) for above, below in itertools.pairwise(lines))
    if adjacent > TOGETHER_SHARE * len(gaps):
        return lines
    interrupting = sum(starts_lower(lines[i + 1].text) and not is_terminal(lines[i - 1].text) for i in gaps)
    if interrupting < max(FLOWING_MIN, DOUBLE_SHARE * len(gaps)):
        return lines
    removed = set(gaps)
    return [line for i, line in enumerate(lines) if i not in removed]


def without_gutter(lines: Sequence[TextLine]) -> Sequence[TextLine]:
    """Remove the margins of pages whose margins alternate between left and right; other texts stay unchanged."""
    pages: list[list[int]] = [[]]
    for i, line in enumerate(lines):
        if line.text == PAGE:
            pages.append([])
        elif not line.blank:
            pages[-1].append(i)
    pages = [page for page in pages if page]
    if len(pages) < PAGES_MIN:
        return lines
    margins = [statistics.mode(_margin(lines[i].text) for i in page) for page in pages]
    sides = [statistics.mode(margins[side::2]) for side in (0, 1)]
    alternating = sum(margin == sides[number % 2] for number, margin in enumerate(margins))
    if sides[0] == sides[1] or alternating < ALTERNATING_SHARE * len(pages):
        return lines
    moved = list(lines)
    for number, page in enumerate(pages):
        for i in page:
            text = lines[i].text
            moved[i] = TextLine(lines[i].number, text[min(sides[number % 2], _margin(text)) :])
    return moved


def _margin(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _is_gap(lines: Sequence[TextLine], i: int) -> bool:
    """Whether this is a single blank line between two lines of text."""
    above, below = lines[i - 1], lines[i + 1]
    return lines[i].blank and not (above.blank or below.blank) and PAGE not in (above.text, lines[i].text, below.text)
