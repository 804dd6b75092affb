"""Blanks that say nothing: between the words of justified lines, between lines set double, in a book's gutter."""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Sequence

from litegpt.text.characters import RUN
from litegpt.text.lines import PAGE, Line, Log, is_terminal, starts_lower

FLOWING_MIN = 5  # lines that a sentence runs on from: fewer prove nothing
JUSTIFIED_SHARE = 0.5  # of them: filled up with blanks
TOGETHER_SHARE = 0.2  # lines without a blank one between, to each that has one
PAGES_MIN = 8  # fewer prove nothing
ALTERNATING_SHARE = 0.8  # of the pages: with the margin of their side
DOUBLE_SHARE = 0.4  # of the single blank lines: in the middle of a sentence

_FILLED = re.compile(r"(?<=[^\s.!?:]) {2,}(?=\S)")


def unjustified(lines: Sequence[Line], log: Log) -> Sequence[Line]:
    """Return justified lines with single blanks; others as they are."""
    texts = [line.text.rstrip() for line in lines]
    flowing = [above for above, below in itertools.pairwise(texts) if above and starts_lower(below)]
    filled = [text for text in flowing if _FILLED.search(text)]
    if len(filled) < max(FLOWING_MIN, JUSTIFIED_SHARE * len(flowing)):
        return lines
    width = sorted(map(len, filled))[len(filled) // 2]
    changed: list[Line] = []
    for line, text in zip(lines, texts, strict=True):
        if abs(len(text) - width) <= 1 and "  " in text:
            log.note("spaces", line)
            changed.append(Line(line.number, RUN.sub(" ", text)))
        else:
            changed.append(line)
    return changed


def single_spaced(lines: Sequence[Line]) -> Sequence[Line]:
    """Return lines that are set double without the blank lines between; others as they are."""
    gaps = [i for i in range(1, len(lines) - 1) if _is_gap(lines, i)]
    together = sum(not (above.blank or below.blank) for above, below in itertools.pairwise(lines))
    if together > TOGETHER_SHARE * len(gaps):
        return lines
    parting = sum(starts_lower(lines[i + 1].text) and not is_terminal(lines[i - 1].text) for i in gaps)
    if parting < max(FLOWING_MIN, DOUBLE_SHARE * len(gaps)):
        return lines
    dropped = set(gaps)
    return [line for i, line in enumerate(lines) if i not in dropped]


def without_gutter(lines: Sequence[Line]) -> Sequence[Line]:
    """Return lines of pages whose margins alternate, left and right, without them; others as they are."""
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
            moved[i] = Line(lines[i].number, text[min(sides[number % 2], _margin(text)) :])
    return moved


def _margin(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _is_gap(lines: Sequence[Line], i: int) -> bool:
    """Whether this is a blank line by itself."""
    above, below = lines[i - 1], lines[i + 1]
    return lines[i].blank and not (above.blank or below.blank) and PAGE not in (above.text, lines[i].text, below.text)
