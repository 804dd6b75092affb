from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litegpt.text.copied import CorpusIndex, VerbatimIndex


def by_hand(text: str, sample: str, stretch: int) -> tuple[int, int]:
    """Return (copied words, longest stretch) by trying every stretch of the sample as a phrase."""
    haystack = f" {' '.join(text.split())} "
    words = sample.split()
    copied: set[int] = set()
    longest = 0
    for start in range(len(words)):
        for end in range(start + stretch, len(words) + 1):
            if f" {' '.join(words[start:end])} " in haystack:
                copied.update(range(start, end))
                longest = max(longest, end - start)
    return len(copied), longest


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 4))
def test_it_is_what_trying_every_phrase_finds(seed: int, letters: int, stretch: int) -> None:
    draw = random.Random(seed)
    text = " ".join(draw.choice("abcd"[:letters]) for _ in range(60))
    sample = "\n".join(draw.choice("abcde"[: letters + 1]) for _ in range(25))
    found = VerbatimIndex(text, stretch).measure(sample)
    assert (found.copied, found.longest) == by_hand(text, sample, stretch)
    assert sum(run.words for run in found.stretches) == found.copied
    for run in found.stretches:
        assert len(sample[run.start : run.end].split()) == run.words


TEXT = "One two three four five six seven eight nine ten. Then came the wolves, and nobody spoke of it again."


def test_white_space_does_not_count_and_seven_words_are_no_stretch() -> None:
    index = VerbatimIndex(TEXT)
    found = index.measure("He said: two three\nfour five  six seven eight nine and left")
    assert (found.words, found.copied, found.longest) == (12, 8, 8)
    assert found.share == pytest.approx(8 / 12)
    assert index.measure("two three four five six seven eight").copied == 0
    assert index.measure("").share == 0
    assert VerbatimIndex("too short").measure(TEXT).copied == 0


def test_the_control_is_the_other_split() -> None:
    unseen = " And this part of the story was never shown to any model at all."
    index = CorpusIndex(TEXT, unseen)
    seen = index.measure(TEXT[:60])
    assert seen.training.copied > 8
    assert seen.validation.copied == 0
    lucky = index.measure(unseen)
    assert lucky.training.copied == 0
    assert lucky.validation.longest == 14
    assert lucky.figures() == {"share": 0, "longest": 0, "validation_share": 1, "validation_longest": 14}


def test_a_text_that_repeats_itself_is_no_trap() -> None:
    found = VerbatimIndex("a b " * 20_000).measure("a b " * 50)
    assert (found.copied, found.longest) == (100, 100)
