"""Memorisation: how much of a text stands word for word in another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from litegpt.text.split import SplitText

STRETCH = 8  # words: shorter ones are common turns of phrase
CHARACTERS_MAX = 1 << 24
"""Of a longer text nobody looks at what is copied from it: its index takes twenty bytes a character in every worker."""
WORD = re.compile(r"\S+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, of no pattern: Fibonacci hashing


@dataclass(frozen=True)
class Stretch:
    """A run of words found verbatim; `start` and `end` are characters of the sample."""

    start: int
    end: int
    words: int


@dataclass(frozen=True)
class Verbatim:
    """What of a sample is verbatim: stretches of 8 words and more, apart from each other and in order."""

    words: int  # in the sample
    copied: int  # of them, inside a stretch
    longest: int  # in words; 0 without a stretch
    stretches: tuple[Stretch, ...]

    @property
    def share(self) -> float:
        """The part of the words that is copied; 0 for an empty sample."""
        return self.copied / self.words if self.words else 0.0


class VerbatimIndex:
    """A text, prepared to look for stretches of it in samples. 10 MB take a few seconds once, samples no time.

    White space between words does not count: texts break lines where they like.
    """

    def __init__(self, text: str, stretch: int = STRETCH) -> None:
        self.stretch = stretch
        self._numbers: dict[str, int] = {}
        numbers = self._numbers
        words = np.fromiter((numbers.setdefault(word, len(numbers) + 1) for word in text.split()), dtype=np.uint64)
        self._words = words
        hashes = _hashes(words, stretch)
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]

    def measure(self, sample: str) -> Verbatim:
        """Return what of the sample stands in the text."""
        found = list(WORD.finditer(sample))
        words = np.array([self._numbers.get(match[0], 0) for match in found], dtype=np.uint64)
        hashes = _hashes(words, self.stretch)
        first = np.searchsorted(self._sorted, hashes, side="left")
        last = np.searchsorted(self._sorted, hashes, side="right")
        covered = np.zeros(len(words), dtype=bool)
        longest = 0
        places = np.zeros(0, dtype=np.int64)  # where in the text the window before this one stands
        lengths = np.zeros(0, dtype=np.int64)  # and how many words a stretch has that ends with it
        for start in range(len(hashes)):
            if first[start] == last[start]:
                places = places[:0]
                continue
            before, before_lengths = places + 1, lengths
            places = self._places(words[start : start + self.stretch], first[start], last[start])
            lengths = np.full(len(places), self.stretch)
            if not len(places):
                continue
            if len(before):
                nearest = np.minimum(np.searchsorted(before, places), len(before) - 1)
                goes_on = before[nearest] == places
                lengths[goes_on] = before_lengths[nearest[goes_on]] + 1
            covered[start : start + self.stretch] = True
            longest = max(longest, int(lengths.max()))
        return Verbatim(len(words), int(covered.sum()), longest, _stretches(covered, found))

    def _places(self, window: np.ndarray, first: int, last: int) -> np.ndarray:
        """Return where the window stands in the text, in order, among the places that have its hash."""
        places = self._order[first:last]
        for offset, word in enumerate(window):  # another window can have the hash
            places = places[self._words[places + offset] == word]
        return places


def _hashes(words: np.ndarray, width: int) -> np.ndarray:
    """Return one hash per window of `width` words."""
    count = max(0, len(words) - width + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(width):
            hashes = (hashes ^ words[offset : offset + count]) * _MULTIPLIER
            hashes ^= hashes >> np.uint64(29)
    return hashes


def _stretches(covered: np.ndarray, found: Sequence[re.Match[str]]) -> tuple[Stretch, ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]).astype(np.int8)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return tuple(Stretch(found[begin].start(), found[end - 1].end(), end - begin) for begin, end in pairs)


@dataclass(frozen=True)
class Memorisation:
    """A sample against the training text, and against the validation text as a control."""

    training: Verbatim
    validation: Verbatim

    def figures(self) -> dict[str, Any]:
        """Return what a sample's record keeps of it."""
        return {
            "share": round(self.training.share, 4),
            "longest": self.training.longest,
            "validation_share": round(self.validation.share, 4),
            "validation_longest": self.validation.longest,
        }


class CorpusIndex:
    """Both splits of a corpus, prepared."""

    @classmethod
    def of(cls, split: SplitText) -> CorpusIndex | None:
        """Prepare a text; None where it has more than CHARACTERS_MAX characters."""
        is_long = split.corpus.characters > CHARACTERS_MAX
        return None if is_long else cls(split.train_text, split.validation_text)

    def __init__(self, training: str, validation: str) -> None:
        """Prepare the texts of the splits."""
        self.training = VerbatimIndex(training)
        self.validation = VerbatimIndex(validation)

    def measure(self, sample: str) -> Memorisation:
        """Return how much of a sample is word for word in each split."""
        return Memorisation(self.training.measure(sample), self.validation.measure(sample))
