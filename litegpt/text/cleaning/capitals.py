"""Drop capitals: the large first letter of a chapter, which PDF extraction separates from its word.

The letter may stand alone on a line before the word, or one or two lines after it.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from litegpt.text.cleaning.lines import PAGE, ChangeLog, TextLine, is_terminal, starts_lower

LINE_MIN = 25  # characters; a shorter line may be an entry of an index
HEADING_SHARE = 0.6  # of the length of the line below: a shorter line above is a heading
LINES_BEFORE = 4  # how far above a capital its line is searched
LINES_AFTER = 8  # how far below

_CAPITAL = re.compile(r"\s*([\"'\u201c\u2018\u00ab(]?[^\W\d_])\s*")
_SPACED = re.compile(r"\s*([\"'\u201c\u2018\u00ab(]?[^\W\d_])\s+([^\W\d_]+)(?=[\s,.;:!?'\u2019-])")
_FIRST_WORD = re.compile(r"\s*([^\W\d_]+)")


def restore_capitals(lines: Sequence[TextLine], words: Counter[str], log: ChangeLog) -> list[TextLine]:
    """Put every drop capital back in front of its word. `words` counts the words of the text."""
    restored: list[TextLine | None] = list(lines)
    for i, line in enumerate(lines):
        capital = _CAPITAL.fullmatch(line.text)
        if capital and capital[1][-1].isupper():
            # The capital stands alone: it moves to the line that lacks it.
            target = _line_without_capital(lines, i, capital[1], words)
            if target is not None:
                opening = lines[target]
                gap = " " if _is_word_of_its_own(capital[1], opening.text, words) else ""
                log.note("capitals", line, f"{capital[1]} + {opening.text.strip()[:24]}")
                log.note("capitals", opening, count=0)
                number = min(line.number, opening.number)
                restored[target] = TextLine(number, capital[1] + gap + opening.text.strip())
                restored[i] = None
        elif spaced := _SPACED.match(line.text):
            # The capital stands before its word with a space between.
            letter, rest = spaced.groups()
            if letter[-1].isupper() and _opens(lines, i) and _is_one_word(letter, rest, words):
                log.note("capitals", line, f"{letter} {rest}")
                restored[i] = TextLine(line.number, letter + line.text[spaced.start(2) :])
    return [line for line in restored if line is not None]


def _line_without_capital(
    lines: Sequence[TextLine], capital_index: int, capital: str, words: Counter[str]
) -> int | None:
    """Return the index of the nearest line that lacks a capital: it opens a paragraph and fits the letter."""
    above = range(capital_index - 1, max(0, capital_index - LINES_BEFORE) - 1, -1)
    below = range(capital_index + 1, min(len(lines), capital_index + LINES_AFTER))
    for i in itertools.chain(above, below):
        if lines[i].blank or lines[i].text == PAGE:
            continue
        is_next = abs(i - capital_index) == 1
        if _opens(lines, i, skipped=capital_index) and _fits(lines[i].text, capital, words, is_next=is_next):
            return i
    return None


def _opens(lines: Sequence[TextLine], index: int, skipped: int = -1) -> bool:
    """Whether a paragraph begins here: the line above is missing, blank or the end of a sentence.

    When a capital that stands alone is `skipped`, the line above may also be a heading.
    """
    above = index - 1
    while above >= 0 and (above == skipped or lines[above].text == PAGE):
        above -= 1
    if above < 0 or lines[above].blank or is_terminal(lines[above].text):
        return True
    return skipped >= 0 and len(lines[above].text.strip()) < HEADING_SHARE * len(lines[index].text.strip())


def _fits(text: str, capital: str, words: Counter[str], is_next: bool) -> bool:
    """Whether a line can lack this capital: it starts with a small letter or small capitals, and both make a word.

    The line next to the capital may make a word that occurs nowhere else, or follow `I`, `A` or `O`.
    """
    first = _FIRST_WORD.match(text)
    if first is None or not (starts_lower(text) or first[1].isupper()):
        return False
    rest = first[1].casefold()
    if words[capital[-1].casefold() + rest]:
        return True
    if first[1].isupper() and len(first[1]) == 1:
        return False
    return is_next and len(text) >= LINE_MIN and (words[rest] <= 1 or capital[-1].casefold() in "aio")


def _is_word_of_its_own(capital: str, text: str, words: Counter[str]) -> bool:
    """Whether the letter is a word, as in `I am`."""
    first = _FIRST_WORD.match(text)
    rest = first[1].casefold() if first else ""
    return capital[-1].casefold() in "aio" and words[rest] > 1 and not words[capital[-1].casefold() + rest]


def _is_one_word(letter: str, rest: str, words: Counter[str]) -> bool:
    """Whether a letter and the next word form one word, which must be more frequent than the rest alone."""
    whole = letter[-1].casefold() + rest.casefold()
    if letter[-1].casefold() in "aio":
        return words[whole] > 0 and words[rest.casefold()] <= 1
    return (words[whole] > 0 and not rest.isupper()) or (rest.isupper() and words[whole] > words[rest.casefold()])
