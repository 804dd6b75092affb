"""What a text is like: its length, its characters, what is odd about them, what it holds twice, what would clean it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from litegpt.text.baselines import baseline_losses
from litegpt.text.clean import PART_CHARACTERS, RULES, clean_part, split_lines
from litegpt.text.duplicates import Duplicates, find_duplicates
from litegpt.text.lines import Line, Log

RARE = 3  # times: a symbol of the vocabulary that a model cannot learn
LONG_TEXT = 10_000  # characters: in a shorter one everything is rare
SCRIPT_SHARE = 0.01  # of the letters: less, and a script is foreign to the text

ODDITIES = (
    UNDECODED := "not decoded",
    INVISIBLE := "invisible",
    SPACE := "another space",
    FOREIGN := "another script",
    UNTYPED := "not on a keyboard",
    INFREQUENT := "rare",
)
"""Why a character is odd, the worst first."""

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")


@dataclass(frozen=True)
class OddCharacter:
    """A character that takes a place in the vocabulary and may not deserve it."""

    character: str
    name: str
    why: str
    count: int
    line: int  # of the first


@dataclass(frozen=True)
class Description:
    """A text, described."""

    characters: int
    lines: int
    longest_line: int  # characters
    paragraphs: int
    words: int
    distinct_words: int
    symbols: Mapping[str, int]  # how often each character occurs, the most frequent first
    odd: tuple[OddCharacter, ...]
    duplicates: Duplicates
    cleaning: Mapping[str, int]  # what each rule would change in the first PART_CHARACTERS
    examples: Mapping[str, str]  # of that
    baselines: Mapping[str, float]  # nats a character; empty for a text too short to split


def describe(text: str, cut: int) -> Description:
    """Return what `text` is like; its validation split is from `cut` on."""
    symbols = dict(Counter(text).most_common())
    words = Counter(_WORD.findall(text.casefold()))
    lines = text.split("\n")
    log = Log()
    beginning = split_lines(text[:PART_CHARACTERS])
    clean_part([Line(number, line) for number, line in enumerate(beginning, 1)], tuple(RULES), log)
    return Description(
        characters=len(text),
        lines=len(lines) - (not lines[-1]),
        longest_line=max(map(len, lines)),
        paragraphs=sum(bool(paragraph.strip()) for paragraph in text.split("\n\n")),
        words=words.total(),
        distinct_words=len(words),
        symbols=symbols,
        odd=tuple(_odd_characters(text, symbols)),
        duplicates=find_duplicates(text, cut),
        cleaning={rule: log.counts[rule] for rule in RULES if log.counts[rule]},
        examples=log.examples,
        baselines=baseline_losses(text[:cut], text[cut:]) if 0 < cut < len(text) - 1 else {},
    )


def _odd_characters(text: str, symbols: Mapping[str, int]) -> list[OddCharacter]:
    scripts: Counter[str] = Counter()
    for character, count in symbols.items():
        if character.isalpha():
            scripts[_script(character)] += count
    at_home = {script for script, count in scripts.items() if count >= SCRIPT_SHARE * scripts.total()}
    found = []
    for character, count in symbols.items():
        why = _oddity(character, count, len(text), at_home)
        if why:
            name = unicodedata.name(character, "no name").lower()
            line = text.count("\n", 0, text.find(character)) + 1
            found.append(OddCharacter(character, name, why, count, line))
    return sorted(found, key=lambda odd: (ODDITIES.index(odd.why), -odd.count))


def _oddity(character: str, count: int, length: int, scripts: set[str]) -> str | None:
    """Return what is odd about a character, None for nothing."""
    category = unicodedata.category(character)
    if character == "\ufffd":
        return UNDECODED
    if category in ("Cc", "Cf", "Co", "Cs", "Cn") and character not in "\n\t":
        return INVISIBLE
    if character == "\t" or (category == "Zs" and character != " "):
        return SPACE
    if character.isalpha() and _script(character) not in scripts:
        return FOREIGN
    if not character.isascii() and not character.isalnum() and category[0] != "M":
        return UNTYPED
    return INFREQUENT if count <= RARE and length >= LONG_TEXT else None


def _script(character: str) -> str:
    """Return what a letter's name begins with: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(character, "").partition(" ")[0]
