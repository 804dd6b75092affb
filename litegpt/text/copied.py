"""Memorisation: how much of a generated sample occurs word for word in a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from litegpt.text.split import SplitText

PASSAGE_WORDS = 8
"""The shortest copied passage: shorter ones are common phrases."""
CHARACTERS_MAX = 1 << 24
"""Copies from a longer text are not measured: its index needs twenty bytes per character in every worker."""
WORD = re.compile(r"\S+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, with well mixed bits: Fibonacci hashing


@dataclass(frozen=True)
class CopiedPassage:
    """A passage of a sample that occurs in the text; `start` and `end` are characters of the sample."""

    start: int
    end: int
    words: int


@dataclass(frozen=True)
class Verbatim:
    """The copied passages of a sample, in order and without overlap."""

    words: int  # in the sample
    copied: int  # words inside copied passages
    longest: int  # words of the longest copied passage; 0 without any
    passages: tuple[CopiedPassage, ...]

    @property
    def share(self) -> float:
        """The copied share of the words; 0 for an empty sample."""
        return self.copied / self.words if self.words else 0.0


class VerbatimIndex:
    """An index of a text to find its passages in samples. Building it takes a few seconds for 10 MB.

    White space between words is ignored, because line breaks may differ.
    """

    def __init__(self, text: str, passage_words: int = PASSAGE_WORDS) -> None:
        self.passage_words = passage_words
        self._numbers: dict[str, int] = {}
        numbers = self._numbers
        words = np.fromiter((numbers.setdefault(word, len(numbers) + 1) for word in text.split()), dtype=np.uint64)
        self._words = words
        hashes = _window_hashes(words, passage_words)
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]

    def measure(self, sample: str) -> Verbatim:
        """Find the passages of the sample that occur in the text.

        A window of `passage_words` words slides over the sample. The positions in the text where the current window
        occurs are compared with those of the window before: if one of them moved by a single word, a copied passage
        continues there, and its length grows by one.
        """
        matches = list(WORD.finditer(sample))
        words = np.array([self._numbers.get(match[0], 0) for match in matches], dtype=np.uint64)
        hashes = _window_hashes(words, self.passage_words)
        first = np.searchsorted(self._sorted, hashes, side="left")
        last = np.searchsorted(self._sorted, hashes, side="right")
        covered = np.zeros(len(words), dtype=bool)
        longest = 0
        positions = np.zeros(0, dtype=np.int64)  # where the current window occurs in the text, ascending
        lengths = np.zeros(0, dtype=np.int64)  # for each position, the words of the passage that ends with the window
        for start in range(len(hashes)):
            if first[start] == last[start]:
                positions = positions[:0]
                continue
            expected, previous_lengths = positions + 1, lengths
            positions = self._positions(words[start : start + self.passage_words], first[start], last[start])
            lengths = np.full(len(positions), self.passage_words)
            if not len(positions):
                continue
            if len(expected):
                nearest = np.minimum(np.searchsorted(expected, positions), len(expected) - 1)
                continues = expected[nearest] == positions
                lengths[continues] = previous_lengths[nearest[continues]] + 1
            covered[start : start + self.passage_words] = True
            longest = max(longest, int(lengths.max()))
        return Verbatim(len(words), int(covered.sum()), longest, _passages(covered, matches))

    def _positions(self, window: np.ndarray, first: int, last: int) -> np.ndarray:
        """Return the positions of a window in the text, ascending, among those with its hash."""
        positions = self._order[first:last]
        # Different windows may have the same hash, so the words are compared as well.
        for offset, word in enumerate(window):
            positions = positions[self._words[positions + offset] == word]
        return positions


def _window_hashes(words: np.ndarray, width: int) -> np.ndarray:
    """Return one hash per window of `width` words."""
    count = max(0, len(words) - width + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(width):
            hashes = (hashes ^ words[offset : offset + count]) * _MULTIPLIER
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
        """Index the texts of the two splits."""
        self.training = VerbatimIndex(training)
        self.validation = VerbatimIndex(validation)

    def measure(self, sample: str) -> Memorisation:
        """Compare a sample with both splits."""
        return Memorisation(self.training.measure(sample), self.validation.measure(sample))
