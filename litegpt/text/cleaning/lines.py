"""The lines of a text while it is cleaned, and a log of what the rules changed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

PAGE = "\f"
"""A line that marks the end of a page, as pdftotext writes it."""

LONGEST_LINE = 1 << 20  # characters

WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_CLOSING = "\"')]\u201d\u2019\u00bb*_ "
_ENDINGS = frozenset(".!?\u2026:")
_OPENING = " \"'(\u201c\u2018\u00ab"


class UnfinishedLine(str):
    """A piece of a line that is too long to hold in memory. The next piece continues the same line."""


@dataclass(slots=True)
class TextLine:
    """A line with its number in the original text, counted from 1."""

    number: int
    text: str
    joined: bool = False  # True for a paragraph joined from several lines

    @property
    def blank(self) -> bool:
        return not self.text.strip(" \t")


@dataclass
class ChangeLog:
    """Number of changes and one example per rule, and the lines that each rule changed."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    touched: defaultdict[int, set[str]] | None = None  # line number -> rules; None when they are not needed
    column_lines: int = 0  # lines with two columns of prose side by side, which are not joined

    def note(self, rule: str, line: TextLine, example: str = "", count: int = 1) -> None:
        """Record that a rule changed a line."""
        self.counts[rule] += count
        if example and rule not in self.examples:
            self.examples[rule] = example
        if self.touched is not None:
            self.touched[line.number].add(rule)


def read_lines(pieces: Iterable[str]) -> Iterator[str]:
    """Split a text that comes in pieces into lines; a line of several megabytes comes in parts cut between words."""
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        yield from lines
        while len(rest) > LONGEST_LINE:
            head = rest[:LONGEST_LINE]
            cut = len(head[: head.rfind(" ") + 1].rstrip()) or len(head)
            yield UnfinishedLine(rest[:cut])
            rest = rest[cut:]
    if rest:
        yield rest


def is_terminal(text: str) -> bool:
    """Whether a line ends like a sentence."""
    return text.rstrip(_CLOSING)[-1:] in _ENDINGS


def starts_lower(text: str) -> bool:
    """Whether a line starts with a small letter, as the middle of a sentence does."""
    return text.lstrip(_OPENING)[:1].islower()


def words_of(lines: Iterable[TextLine]) -> Counter[str]:
    """Count the words in small letters, without the two halves of a word broken at the end of a line."""
    counts: Counter[str] = Counter()
    broken = False
    for line in lines:
        words = WORD.findall(line.text.casefold())
        if broken and words:
            del words[0]
        if not line.blank:
            broken = line.text.rstrip().endswith("-")
            if broken and words:
                del words[-1]
        counts.update(words)
    return counts
