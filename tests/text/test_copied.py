from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litegpt.text.copied import CorpusIndex, VerbatimIndex


def measure_slowly(text: str, sample: str, passage_words: int) -> tuple[int, int]:
    """Return (copied words, longest passage) by searching for every phrase of the sample."""
    haystack = f" {' '.join(text.split())} "
    words = sample.split()
    copied: set[int] = set()
    longest = 0
    for start in range(len(words)):
        for end in range(start + passage_words, len(words) + 1):
            if f" {' '.join(words[start:end])} " in haystack:
                copied.update(range(start, end))
                longest = max(longest, end - start)
    return len(copied), longest


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 4))
def test_the_index_finds_what_searching_every_phrase_finds(seed: int, letters: int, passage_words: int) -> None:
    draw = random.Random(seed)
    text = " ".join(draw.choice("abcd"[:letters]) for _ in range(60))
    sample = "\n".join(draw.choice("abcde"[: letters + 1]) for _ in range(25))
    measured = VerbatimIndex(text, passage_words).measure(sample)
    assert (measured.copied, measured.longest) == measure_slowly(text, sample, passage_words)
    assert sum(passage.words for passage in measured.passages) == measured.copied
    for passage in measured.passages:
        assert len(sample[passage.start : passage.end].split()) == passage.words


TEXT = "One two three four five six seven eight nine ten. Then came the wolves, and no one spoke of it again."


def test_white_space_is_ignored_and_seven_words_are_too_few() -> None:
    index = VerbatimIndex(TEXT)
    measured = index.measure("He said: two three\nfour five  six seven eight nine and left")
    assert (measured.words, measured.copied, measured.longest) == (12, 8, 8)
    assert measured.share == pytest.approx(8 / 12)
    assert index.measure("two three four five six seven eight").copied == 0
    assert index.measure("").share == 0
    assert VerbatimIndex("too short").measure(TEXT).copied == 0


def test_the_validation_text_is_a_control() -> None:
    unseen = " And this part of the story was never shown to any model at all."
    index = CorpusIndex(TEXT, unseen)
    seen = index.measure(TEXT[:60])
    assert seen.training.copied > 8
    assert seen.validation.copied == 0
    unrelated = index.measure(unseen)
    assert unrelated.training.copied == 0
    assert unrelated.validation.longest == 14
    assert unrelated.record() == {"share": 0, "longest": 0, "validation_share": 1, "validation_longest": 14}


def test_a_repetitive_text_is_measured() -> None:
    measured = VerbatimIndex("a b " * 20_000).measure("a b " * 50)
    assert (measured.copied, measured.longest) == (100, 100)
