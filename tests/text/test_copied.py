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
    measured = VerbatimIndex(text, "words", passage_words).measure(sample)
    assert (measured.copied, measured.longest) == measure_slowly(text, sample, passage_words)
    assert sum(passage.units for passage in measured.passages) == measured.copied
    for passage in measured.passages:
        assert len(sample[passage.start : passage.end].split()) == passage.units


TEXT = "One two three four five six seven eight nine ten. Then came the wolves, and no one spoke of it again."


def test_white_space_is_ignored_and_seven_words_are_too_few() -> None:
    index = VerbatimIndex(TEXT)
    measured = index.measure("He said: two three\nfour five  six seven eight nine and left")
    assert (measured.units, measured.copied, measured.longest) == (12, 8, 8)
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
    assert unrelated.record() == {
        "unit": "words",
        "share": 0,
        "longest": 0,
        "validation_share": 1,
        "validation_longest": 14,
    }


def test_a_repetitive_text_is_measured() -> None:
    measured = VerbatimIndex("a b " * 20_000).measure("a b " * 50)
    assert (measured.copied, measured.longest) == (100, 100)


HAN = [chr(0x4E00 + i) for i in range(300)]


def chinese(seed: int, characters: int = 20_000) -> str:
    """Return random sentences without spaces, in lines of a paragraph each."""
    dice = random.Random(seed)
    return "".join("\u3002\n" if i % 90 == 89 else dice.choice(HAN) for i in range(characters))


@pytest.mark.parametrize(
    "text",
    [
        chinese(1),
        "\n".join("".join(random.Random(i).choices("ACGT", k=70)) for i in range(300)),
        "One short English sentence is here. " * 20 + chinese(2),
    ],
    ids=["Chinese", "DNA", "mixed"],
)
def test_characters_are_counted_without_spaces(text: str) -> None:
    index = VerbatimIndex(text)
    measured = index.measure(text[5000:5300].replace("\n", " "))
    assert (measured.unit, measured.share) == ("characters", 1)
    assert measured.longest == measured.units > 290
    partly = index.measure(chinese(3, 100) + text[6000:6100])
    assert 0.4 < partly.share < 0.6
    (passage,) = partly.passages
    assert 95 <= passage.units <= 101
    assert index.measure(text[5000:5030]).copied == 0, "thirty characters are too few"


def test_both_splits_are_measured_in_the_unit_of_the_training_text() -> None:
    index = CorpusIndex(chinese(1), "and an English text that ends it all " * 9)
    record = index.measure("an English text that ends it all and an English text that ends it all").record()
    assert record["unit"] == "characters"
    assert (record["share"], record["validation_share"]) == (0, 1)


@pytest.mark.parametrize("text", ["the quick brown fox " * 50, "", "  \n", "a https://" + "x" * 60 + " and so on" * 99])
def test_words_are_counted_with_spaces(text: str) -> None:
    assert VerbatimIndex(text).unit == "words"
