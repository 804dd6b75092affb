"""What a text is like: its length, its characters, what is odd about them, what it holds twice, what would clean it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from litegpt.text.baselines import split_baselines
from litegpt.text.clean import PART_CHARACTERS, RULES, clean_part, split_lines
from litegpt.text.corpus import Corpus, Range
from litegpt.text.duplicates import Duplicates, Passage, find_duplicates
from litegpt.text.lines import WORD, Line, Log
from litegpt.text.split import SplitText, cut, joined, spread

DESCRIBED_CHARACTERS = 1 << 24  # a longer text would take minutes, and gigabytes
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
    """A text, described: of a long one a sample, which all but `characters` and the baselines are of."""

    characters: int
    described: int  # characters, in the sample
    lines: int
    longest_line: int  # characters
    paragraphs: int
    words: int
    distinct_words: int
    symbols: Mapping[str, int]  # how often each character occurs, the most frequent first
    odd: tuple[OddCharacter, ...]
    duplicates: Duplicates
    cleaning: Mapping[str, int]  # what each rule would change in the first PART_CHARACTERS of the sample
    examples: Mapping[str, str]  # of that
    baselines: Mapping[str, float]  # nats a character; empty for a text too short to split


def describe(split: SplitText) -> Description:
    """Return what a text is like; of one that has more than DESCRIBED_CHARACTERS, what a sample of it is like."""
    corpus = split.corpus
    share = DESCRIBED_CHARACTERS / max(1, corpus.characters)
    training = spread(split.train_ranges, int(share * split.train_characters))
    validation = spread(split.validation_ranges, int(share * split.validation_characters))
    ranges = sorted(training + validation)
    text = "".join(corpus.read(ranges))
    symbols = dict(Counter(text).most_common())
    words = Counter(WORD.findall(text.casefold()))
    lines = text.split("\n")
    log = Log()
    beginning = split_lines(text[:PART_CHARACTERS])
    clean_part([Line(number, line) for number, line in enumerate(beginning, 1)], tuple(RULES), log)
    return Description(
        characters=corpus.characters,
        described=len(text),
        lines=len(lines) - (not lines[-1]),
        longest_line=max(map(len, lines)),
        paragraphs=sum(bool(paragraph.strip()) for paragraph in text.split("\n\n")),
        words=words.total(),
        distinct_words=len(words),
        symbols=symbols,
        odd=tuple(_odd_characters(text, symbols, corpus, ranges)),
        duplicates=_duplicates(corpus, training, validation),
        cleaning={rule: log.counts[rule] for rule in RULES if log.counts[rule]},
        examples=log.examples,
        baselines=split_baselines(split) if split.train_characters and split.validation_characters > 1 else {},
    )


def line_numbers(corpus: Corpus, places: Iterable[int]) -> dict[int, int]:
    """Return the number of the line that each character stands in."""
    numbers: dict[int, int] = {}
    wanted = sorted(set(places), reverse=True)
    line, at = 1, 0
    for piece in corpus.pieces(end=wanted[0] + 1) if wanted else ():
        while wanted and wanted[-1] < at + len(piece):
            place = wanted.pop()
            numbers[place] = line + piece.count("\n", 0, place - at)
        line, at = line + piece.count("\n"), at + len(piece)
    return numbers


def _duplicates(corpus: Corpus, training: Sequence[Range], validation: Sequence[Range]) -> Duplicates:
    """Return what a sample holds twice, and where in the corpus that stands."""
    text = "".join(corpus.read(training))
    ranges = joined([*training, *validation])
    joints = list(accumulate(end - start for start, end in ranges))[:-1]
    found = find_duplicates(text + "".join(corpus.read(validation)), len(text), joints)
    passages = []
    for passage in found.passages:
        here, there = (cut(ranges, place, place + 1)[0][0] for place in (passage.start, passage.earlier))
        passages.append(Passage(max(here, there), min(here, there), passage.length))
    return replace(found, passages=tuple(passages))


def _odd_characters(
    text: str, symbols: Mapping[str, int], corpus: Corpus, ranges: Sequence[Range]
) -> list[OddCharacter]:
    scripts: Counter[str] = Counter()
    for character, count in symbols.items():
        if character.isalpha():
            scripts[_script(character)] += count
    at_home = {script for script, count in scripts.items() if count >= SCRIPT_SHARE * scripts.total()}
    why = {character: _oddity(character, count, len(text), at_home) for character, count in symbols.items()}
    places = {
        character: cut(ranges, at := text.index(character), at + 1)[0][0] for character, reason in why.items() if reason
    }
    lines = line_numbers(corpus, places.values())
    found = [
        OddCharacter(character, unicodedata.name(character, "no name").lower(), reason, count, lines[places[character]])
        for character, count in symbols.items()
        if (reason := why[character])
    ]
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
