"""What a text is said to be like, against texts made to be so."""

from __future__ import annotations

import random
import string

from hypothesis import given
from hypothesis import strategies as st

from litegpt.text.describe import describe
from litegpt.text.duplicates import WINDOW, find_duplicates


def letters(count: int, seed: int) -> str:
    generator = random.Random(seed)
    return "".join(generator.choice(string.ascii_lowercase + " ") for _ in range(count))


def test_a_text_is_counted() -> None:
    about = describe("The cat's mat.\n\nThe half-way house\nis here.\n", 40)
    assert (about.characters, about.lines, about.paragraphs, about.longest_line) == (44, 4, 2, 18)
    assert (about.words, about.distinct_words) == (8, 7)
    assert next(iter(about.symbols.items())) == ("h", 5)
    assert about.cleaning == {}
    assert list(about.baselines) == ["unigram", "bigram", "trigram", "5-gram"]


def test_odd_characters_are_told_the_worst_first() -> None:
    text = "plain text in small letters \u00e9\u00e8\n" * 1000 + "\ufffd \x07 \u00a0 \u041f \u201c ~ \n"
    odd = {found.character: found for found in describe(text, len(text) * 9 // 10).odd}
    assert list(odd) == ["\ufffd", "\x07", "\u00a0", "\u041f", "\u201c", "~"]
    assert odd["\x07"].why == "invisible"
    assert odd["\u041f"].why == "another script"
    assert (odd["~"].why, odd["~"].count, odd["~"].line) == ("rare", 1, 1001)


def test_a_text_in_another_script_is_at_home_in_it() -> None:
    text = "мой дядя самых честных правил\n" * 500
    assert describe(text, len(text) * 9 // 10).odd == ()


def test_a_passage_that_is_there_twice_is_found_with_its_place() -> None:
    text = letters(2000, 1)
    twice = text[300:450]
    whole = text + "X" + twice + "Y" + letters(500, 2)
    found = find_duplicates(whole, 2000)
    assert [(p.start, p.earlier, p.length) for p in found.passages] == [(2001, 300, 150)]
    assert found.share == 150 / len(whole)
    assert found.validation_share == 150 / (len(whole) - 2000)
    assert find_duplicates(whole, 100).validation_share == 0, "both are in the validation split"


def test_less_than_a_window_is_no_passage() -> None:
    text = letters(1000, 3)
    assert find_duplicates(text + "X" + text[: WINDOW - 1], 900).share == 0
    assert find_duplicates("short", 2).passages == ()


@given(st.text(alphabet="ab", max_size=300), st.integers(0, 300))
def test_shares_are_those_of_the_definition(text: str, cut: int) -> None:
    cut = min(cut, len(text))
    again, copied = set(), set()
    for at in range(len(text) - WINDOW + 1):
        first = text.find(text[at : at + WINDOW])
        if first < at:
            again |= set(range(at, at + WINDOW))
            if first < cut:
                copied |= set(range(at, at + WINDOW))
    found = find_duplicates(text, cut)
    assert found.share == (len(again) / len(text) if text else 0)
    validation = {place for place in copied if place >= cut}
    assert found.validation_share == (len(validation) / (len(text) - cut) if cut < len(text) else 0)
