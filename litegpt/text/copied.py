"""Memorisation: how much of a generated sample occurs word for word in a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from litegpt.text.split import SplitText

Unit = Literal["words", "characters"]
"""The unit in which copied passages are counted."""
PASSAGE_LENGTHS = {"words": 8, "characters": 40}
"""The shortest copied passage in each unit: shorter ones are common phrases."""
CHARACTERS_MAX = 1 << 24
"""Copies from a longer text are not measured: its index needs twenty bytes per character in every worker."""
LONG_WORD = 24  # characters between white space; words are shorter in languages that separate them
LONG_WORDS_SHARE = 0.25  # of the characters of a text; if more are in long words, characters are counted

_UNITS = {"words": re.compile(r"\S+"), "characters": re.compile(r"\S")}
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, with well mixed bits: Fibonacci hashing


@dataclass(frozen=True)
class CopiedPassage:
    """A passage of a sample that occurs in the text; `start` and `end` are characters of the sample."""

    start: int
    end: int
    units: int


@dataclass(frozen=True)
class Verbatim:
    """The copied passages of a sample, in order and without overlap."""

    unit: Unit
    units: int  # in the sample
    copied: int  # units inside copied passages
    longest: int  # units of the longest copied passage; 0 without any
    passages: tuple[CopiedPassage, ...]

    @property
    def share(self) -> float:
        """The copied share of the units; 0 for an empty sample."""
        return self.copied / self.units if self.units else 0.0


def unit_of(text: str) -> Unit:
    """Return the unit for a text: characters where white space does not separate words, as in Chinese or base64."""
    lengths = [len(word) for word in text.split()]
    long = sum(length for length in lengths if length > LONG_WORD)
    return "characters" if long > LONG_WORDS_SHARE * sum(lengths) else "words"


class VerbatimIndex:
    """An index of a text to find its passages in samples. Building it takes a few seconds for 10 MB.

    White space is ignored, because line breaks may differ.
    """

    def __init__(self, text: str, unit: Unit | None = None, passage_length: int | None = None) -> None:
        self.unit: Unit = unit or unit_of(text)
        self.passage_length = passage_length or PASSAGE_LENGTHS[self.unit]
        self._numbers: dict[str, int] = {}  # of words, from 1
        if self.unit == "words":
            numbers = self._numbers
            units = np.fromiter((numbers.setdefault(word, len(numbers) + 1) for word in text.split()), dtype=np.uint32)
        else:
            units = _code_points(text)
        self._units = units
        hashes = _window_hashes(units, self.passage_length)
        self._order = np.argsort(hashes, kind="stable").astype(np.uint32)
        self._sorted = hashes[self._order]

    def measure(self, sample: str) -> Verbatim:
        """Find the passages of the sample that occur in the text.

        A window of `passage_length` units slides over the sample. The positions in the text where the current window
        occurs are compared with those of the window before: if one of them moved by a single unit, a copied passage
        continues there, and its length grows by one.
        """
        matches = list(_UNITS[self.unit].finditer(sample))
        units = self._sample_units(matches)
        hashes = _window_hashes(units, self.passage_length)
        first = np.searchsorted(self._sorted, hashes, side="left")
        last = np.searchsorted(self._sorted, hashes, side="right")
        covered = np.zeros(len(units), dtype=bool)
        longest = 0
        positions = np.zeros(0, dtype=np.int64)  # where the current window occurs in the text, ascending
        lengths = np.zeros(0, dtype=np.int64)  # for each position, the units of the passage that ends with the window
        for start in range(len(hashes)):
            if first[start] == last[start]:
                positions = positions[:0]
                continue
            expected, previous_lengths = positions + 1, lengths
            positions = self._positions(units[start : start + self.passage_length], first[start], last[start])
            lengths = np.full(len(positions), self.passage_length)
            if not len(positions):
                continue
            if len(expected):
                nearest = np.minimum(np.searchsorted(expected, positions), len(expected) - 1)
                continues = expected[nearest] == positions
                lengths[continues] = previous_lengths[nearest[continues]] + 1
            covered[start : start + self.passage_length] = True
            longest = max(longest, int(lengths.max()))
        return Verbatim(self.unit, len(units), int(covered.sum()), longest, _passages(covered, matches))

    def _sample_units(self, matches: Sequence[re.Match[str]]) -> np.ndarray:
        if self.unit == "characters":
            return _code_points("".join(match[0] for match in matches))
        return np.array([self._numbers.get(match[0], 0) for match in matches], dtype=np.uint32)

    def _positions(self, window: np.ndarray, first: int, last: int) -> np.ndarray:
        """Return the positions of a window in the text, ascending, among those with its hash."""
        positions = self._order[first:last].astype(np.int64)
        # Different windows may have the same hash, so the units are compared as well.
        for offset, unit in enumerate(window):
            positions = positions[self._units[positions + offset] == unit]
        return positions


def _code_points(text: str) -> np.ndarray:
    """Return the characters of a text without white space, as numbers."""
    return np.frombuffer("".join(text.split()).encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)


def _window_hashes(units: np.ndarray, width: int) -> np.ndarray:
    """Return one hash per window of `width` units."""
    count = max(0, len(units) - width + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(width):
            hashes = (hashes ^ units[offset : offset + count]) * _MULTIPLIER
            hashes ^= hashes >> np.uint64(29)
    return hashes


def _passages(covered: np.ndarray, matches: Sequence[re.Match[str]]) -> tuple[CopiedPassage, ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]).astype(np.int8)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return tuple(CopiedPassage(matches[begin].start(), matches[end - 1].end(), end - begin) for begin, end in pairs)


@dataclass(frozen=True)
class Memorisation:
    """A sample compared with the training text, and with the validation text as a control."""

    training: Verbatim
    validation: Verbatim

    def record(self) -> dict[str, Any]:
        """Return the values that the record of a sample keeps."""
        return {
            "unit": self.training.unit,
            "share": round(self.training.share, 4),
            "longest": self.training.longest,
            "validation_share": round(self.validation.share, 4),
            "validation_longest": self.validation.longest,
        }


class CorpusIndex:
    """Indexes of both splits of a corpus."""

    @classmethod
    def of(cls, split: SplitText) -> CorpusIndex | None:
        """Index a corpus; None if it has more than CHARACTERS_MAX characters."""
        is_too_long = split.corpus.characters > CHARACTERS_MAX
        return None if is_too_long else cls(split.train_text, split.validation_text)

    def __init__(self, training: str, validation: str) -> None:
        """Index the texts of the two splits, both with the unit of the training text."""
        self.training = VerbatimIndex(training)
        self.validation = VerbatimIndex(validation, self.training.unit)

    def measure(self, sample: str) -> Memorisation:
        """Compare a sample with both splits."""
        return Memorisation(self.training.measure(sample), self.validation.measure(sample))
