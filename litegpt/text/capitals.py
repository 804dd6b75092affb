"""Drop capitals: the large first letter of a chapter, which a PDF gives apart from its word, or a line or two late."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from litegpt.text.lines import PAGE, Line, Log, is_terminal, starts_lower

LINE_MIN = 25  # characters of a line that begins a paragraph, not an entry of an index
SHORT = 0.6  # of the line that lacks the capital: shorter, and the line above is a heading
REACH = 4  # lines between a capital and the line it belongs to

_CAPITAL = re.compile(r"\s*([\"'\u201c\u2018\u00ab(]?[^\W\d_])\s*")
_SPACED = re.compile(r"\s*([\"'\u201c\u2018\u00ab(]?[^\W\d_])\s+([^\W\d_]+)(?=[\s,.;:!?'\u2019-])")
_FIRST_WORD = re.compile(r"\s*([^\W\d_]+)")


def restore_capitals(lines: Sequence[Line], words: Counter[str], log: Log) -> list[Line]:
    """Return the lines with every drop capital back at its word; `words` tells which words there are."""
    kept: list[Line | None] = list(lines)
    for i, line in enumerate(lines):
        capital = _CAPITAL.fullmatch(line.text)
        if capital and capital[1][-1].isupper():
            target = _opening(lines, i, capital[1], words)
            if target is not None:
                opening = lines[target]
                text = capital[1] + _glue(capital[1], opening.text, words) + opening.text.strip()
                log.note("capitals", line, f"{capital[1]} + {opening.text.strip()[:24]}")
                log.note("capitals", opening, count=0)
                kept[target] = Line(min(line.number, opening.number), text)
                kept[i] = None
        elif spaced := _SPACED.match(line.text):
            letter, rest = spaced.groups()
            if letter[-1].isupper() and _opens(lines, i) and _is_split(letter, rest, words):
                log.note("capitals", line, f"{letter} {rest}")
                kept[i] = Line(line.number, letter + line.text[spaced.start(2) :])
    return [line for line in kept if line is not None]


def _opening(lines: Sequence[Line], at: int, capital: str, words: Counter[str]) -> int | None:
    """Return the line that lacks the capital at `at`: the first near it that opens a paragraph with a small letter."""
    near = [i for i in range(max(0, at - REACH), min(len(lines), at + 2 * REACH)) if i != at and not _empty(lines[i])]
    after, before = [i for i in near if i > at], [i for i in near if i < at]
    for i in (*before[::-1], *after):
        if _opens(lines, i, skipped=at) and _fits(lines[i].text, capital, words, beside=abs(i - at) == 1):
            return i
    return None


def _opens(lines: Sequence[Line], at: int, skipped: int = -1) -> bool:
    """Whether a paragraph begins here: nothing, a blank line or a finished sentence is before it.

    Where a capital by itself is `skipped`, a heading may be too.
    """
    above = at - 1
    while above >= 0 and (above == skipped or lines[above].text == PAGE):
        above -= 1
    if above < 0 or lines[above].blank or is_terminal(lines[above].text):
        return True
    return skipped >= 0 and len(lines[above].text.strip()) < SHORT * len(lines[at].text.strip())


def _fits(text: str, capital: str, words: Counter[str], beside: bool) -> bool:
    """Whether a line can lack this capital: it begins small, or in small capitals, and the whole is a word.

    A word that the text has nowhere else will do for the line beside; so will `I`, before another word.
    """
    first = _FIRST_WORD.match(text)
    if first is None or not (starts_lower(text) or first[1].isupper()):
        return False
    rest = first[1].casefold()
    if words[capital[-1].casefold() + rest]:
        return True
    if first[1].isupper() and len(first[1]) == 1:
        return False
    return beside and len(text) >= LINE_MIN and (words[rest] <= 1 or capital[-1].casefold() in "aio")


def _glue(capital: str, text: str, words: Counter[str]) -> str:
    """Return what belongs between: nothing, or a blank where the letter is a word of its own."""
    return " " if _is_alone(capital, text, words) else ""


def _is_alone(capital: str, text: str, words: Counter[str]) -> bool:
    """Whether the letter is a word, as in `I am`."""
    first = _FIRST_WORD.match(text)
    rest = first[1].casefold() if first else ""
    return capital[-1].casefold() in "aio" and words[rest] > 1 and not words[capital[-1].casefold() + rest]


def _is_split(letter: str, rest: str, words: Counter[str]) -> bool:
    """Whether a letter and what follows it are one word: that word occurs, and more often than the rest alone."""
    whole = letter[-1].casefold() + rest.casefold()
    if letter[-1].casefold() in "aio":
        return words[whole] > 0 and words[rest.casefold()] <= 1
    return (words[whole] > 0 and not rest.isupper()) or (rest.isupper() and words[whole] > words[rest.casefold()])


def _empty(line: Line) -> bool:
    return line.blank or line.text == PAGE
