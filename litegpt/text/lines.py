"""The lines of a text on their way through the cleaning rules, and what the rules did to them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TextIO

PAGE = "\f"
"""A line that stands for the end of a page, as pdftotext writes it."""

LONGEST_LINE = 1 << 20  # characters

WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_CLOSING = "\"')]\u201d\u2019\u00bb*_ "
_ENDINGS = frozenset(".!?\u2026:")
_OPENING = " \"'(\u201c\u2018\u00ab"


class Unfinished(str):
    """A piece of a line that is too long to hold: the next piece goes on without a break."""


@dataclass(slots=True)
class Line:
    """A line and the number, from 1, of the line it began as."""

    number: int
    text: str
    joined: bool = False  # of several

    @property
    def blank(self) -> bool:
        return not self.text.strip(" \t")


@dataclass
class Log:
    """What the rules changed: how often, an example each, and which lines."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    touched: defaultdict[int, set[str]] | None = None  # the rules by line number; None: nobody asks

    def note(self, rule: str, line: Line, example: str = "", count: int = 1) -> None:
        """Record that a rule changed a line."""
        self.counts[rule] += count
        if example and rule not in self.examples:
            self.examples[rule] = example
        if self.touched is not None:
            self.touched[line.number].add(rule)


def read_lines(file: TextIO) -> Iterator[str]:
    """Yield a file's lines without their ends; one of megabytes comes in pieces, cut between words."""
    rest = ""
    while text := file.readline(LONGEST_LINE):
        text, rest = rest + text, ""
        if text.endswith("\n"):
            yield text[:-1]
        elif len(text) < LONGEST_LINE:
            yield text
        else:
            cut = len(text[: text.rfind(" ") + 1].rstrip()) or len(text)
            rest = text[cut:]
            yield Unfinished(text[:cut])
    if rest:
        yield rest


def is_terminal(text: str) -> bool:
    """Whether a line ends as a sentence does."""
    return text.rstrip(_CLOSING)[-1:] in _ENDINGS


def starts_lower(text: str) -> bool:
    """Whether a line begins as the middle of a sentence does: with a small letter."""
    return text.lstrip(_OPENING)[:1].islower()


def words_of(lines: Iterable[Line]) -> Counter[str]:
    """Return how often each word occurs, in small letters; what a line's end has broken is no word."""
    words: Counter[str] = Counter()
    broken = False
    for line in lines:
        found = WORD.findall(line.text.casefold())
        if broken and found:
            del found[0]
        if not line.blank:
            broken = line.text.rstrip().endswith("-")
            if broken and found:
                del found[-1]
        words.update(found)
    return words
