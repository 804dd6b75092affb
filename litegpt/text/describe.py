"""Statistics of a text: its size, its characters, odd characters, repeated passages, and what cleaning would change."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from litegpt.text.cleaning.clean import RULES, cleaning_changes
from litegpt.text.cleaning.lines import WORD
from litegpt.text.corpus import Corpus, Range
from litegpt.text.duplicates import Duplicates, RepeatedPassage, find_duplicates
from litegpt.text.ngram import SplitContrast, contrast_with_blocks, ngram_losses
from litegpt.text.split import SplitText, cut, joined, spread

DESCRIBED_CHARACTERS = 1 << 24  # a longer text would take minutes and gigabytes
RARE = 3  # occurrences: too few for a model to learn the symbol
LONG_TEXT = 10_000  # characters; in a shorter text many characters are rare
SCRIPT_SHARE = 0.01  # of the letters; a script with a smaller share is foreign to the text

EAST_ASIAN_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL")
EAST_ASIAN_PUNCTUATION = "east asian punctuation"
"""Stands beside the scripts of a text that is mostly Chinese, Japanese or Korean."""

ODDITIES = (
    UNDECODED := "not decoded",
    INVISIBLE := "invisible",
    SPACE := "another space",
    FOREIGN := "another script",
    UNTYPED := "not on a keyboard",
    INFREQUENT := "rare",
)
"""The reasons why a character is odd, the worst first."""


@dataclass(frozen=True)
class OddCharacter:
    """A character that a user may want to remove, because it enlarges the vocabulary."""

    character: str
    name: str
    why: str
    count: int
    line: int  # of its first occurrence


@dataclass(frozen=True)
class Description:
    """Statistics of a text. For a long text, all but `characters` and the baselines describe a sample."""

    characters: int
    described: int  # characters of the sample
    lines: int
    longest_line: int  # characters
    paragraphs: int
    words: int
    distinct_words: int
    symbols: Mapping[str, int]  # occurrences of each character, the most frequent first
    odd: tuple[OddCharacter, ...]
    duplicates: Duplicates
    cleaning: Mapping[str, int]  # changes by rule in the first PART_CHARACTERS of the sample
    examples: Mapping[str, str]  # one change by rule
    baselines: Mapping[str, float]  # nats per character; empty for a text that is too short to split
    contrast: SplitContrast | None  # whether the end of the text differs from the rest


def describe(split: SplitText) -> Description:
    """Describe a text, or a sample of a text that has more than DESCRIBED_CHARACTERS."""
    corpus = split.corpus
    share = DESCRIBED_CHARACTERS / max(1, corpus.characters)
    training = spread(split.train_ranges, int(share * split.train_characters))
    validation = spread(split.validation_ranges, int(share * split.validation_characters))
    ranges = sorted(training + validation)
    text = "".join(corpus.read(ranges))
    symbols = dict(Counter(text).most_common())
    words = Counter(WORD.findall(text.casefold()))
    lines = text.split("\n")
    log = cleaning_changes(text)
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
        baselines=ngram_losses(split) if split.train_characters and split.validation_characters > 1 else {},
        contrast=contrast_with_blocks(split),
    )


def line_numbers(corpus: Corpus, positions: Iterable[int]) -> dict[int, int]:
    """Return the line number of each character position."""
    numbers: dict[int, int] = {}
    remaining = sorted(set(positions), reverse=True)
    line, piece_start = 1, 0
    for piece in corpus.pieces(end=remaining[0] + 1) if remaining else ():
        while remaining and remaining[-1] < piece_start + len(piece):
            position = remaining.pop()
            numbers[position] = line + piece.count("\n", 0, position - piece_start)
        line, piece_start = line + piece.count("\n"), piece_start + len(piece)
    return numbers


def _duplicates(corpus: Corpus, training: Sequence[Range], validation: Sequence[Range]) -> Duplicates:
    """Find the repeated passages of a sample, with their positions in the corpus."""
    text = "".join(corpus.read(training))
    ranges = joined([*training, *validation])
    joints = list(accumulate(end - start for start, end in ranges))[:-1]
    duplicates = find_duplicates(text + "".join(corpus.read(validation)), len(text), joints)
    passages = []
    for passage in duplicates.passages:
        one, other = (cut(ranges, start, start + 1)[0][0] for start in (passage.start, passage.earlier))
        passages.append(RepeatedPassage(max(one, other), min(one, other), passage.length))
    return replace(duplicates, passages=tuple(passages))


def _odd_characters(
    text: str, symbols: Mapping[str, int], corpus: Corpus, ranges: Sequence[Range]
) -> list[OddCharacter]:
    scripts: Counter[str] = Counter()
    for character, count in symbols.items():
        if character.isalpha():
            scripts[_script(character)] += count
    own_scripts = {script for script, count in scripts.items() if count >= SCRIPT_SHARE * scripts.total()}
    if sum(scripts[script] for script in EAST_ASIAN_SCRIPTS) > scripts.total() / 2:
        own_scripts.add(EAST_ASIAN_PUNCTUATION)
    reasons = {
        character: reason
        for character, count in symbols.items()
        if (reason := _oddity(character, count, len(text), own_scripts))
    }
    positions = {character: cut(ranges, first := text.index(character), first + 1)[0][0] for character in reasons}
    lines = line_numbers(corpus, positions.values())
    odd = [
        OddCharacter(
            character,
            unicodedata.name(character, "no name").lower(),
            reason,
            symbols[character],
            lines[positions[character]],
        )
        for character, reason in reasons.items()
    ]
    return sorted(odd, key=lambda character: (ODDITIES.index(character.why), -character.count))


def _oddity(character: str, count: int, length: int, scripts: set[str]) -> str | None:
    """Return why a character is odd; None if it is not."""
    category = unicodedata.category(character)
    if character == "\ufffd":
        return UNDECODED
    # Ideographic commas, brackets and spaces are wide. The width of quotes, dashes and ellipses is ambiguous.
    is_east_asian = unicodedata.east_asian_width(character) in "WFA" and not character.isalnum()
    if is_east_asian and category[0] in "PZS" and EAST_ASIAN_PUNCTUATION in scripts:
        return INFREQUENT if count <= RARE and length >= LONG_TEXT else None
    if category in ("Cc", "Cf", "Co", "Cs", "Cn") and character not in "\n\t":
        return INVISIBLE
    if character == "\t" or (category == "Zs" and character != " "):
        return SPACE
    if character.isalpha() and _script(character) not in scripts:
        return FOREIGN
    is_symbol = not character.isascii() and not character.isalnum() and category[0] != "M"
    if is_symbol and _script(character) not in scripts:
        return UNTYPED
    return INFREQUENT if count <= RARE and length >= LONG_TEXT else None


def _script(character: str) -> str:
    """Return the first word of a character's name, which names the script of letters: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(character, "").partition(" ")[0]
