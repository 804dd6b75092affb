"""Statistics of texts whose properties are known."""

# ruff: noqa: RUF001

from __future__ import annotations

import random
import string
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litegpt.study.split import SplitRule
from litegpt.text.corpus import read_corpus
from litegpt.text.describe import Description, describe
from litegpt.text.duplicates import WINDOW, find_duplicates
from litegpt.text.split import SplitText, spread

LAST = SplitRule()


def letters(count: int, seed: int) -> str:
    generator = random.Random(seed)
    return "".join(generator.choice(string.ascii_lowercase + " ") for _ in range(count))


@pytest.fixture
def described(tmp_path: Path) -> Callable[..., Description]:
    """Describe a text. By default, its last tenth is the validation split."""

    def describe_text(text: str, rule: SplitRule = LAST) -> Description:
        (tmp_path / "text.txt").write_text(text, encoding="utf-8")
        return describe(SplitText(read_corpus("text.txt", tmp_path), rule))

    return describe_text


def test_characters_lines_and_words_are_counted(described: Callable[..., Description]) -> None:
    about = described("The cat's mat.\n\nThe half-way house\nis here.\n")
    assert about.described == about.characters
    assert (about.characters, about.lines, about.paragraphs, about.longest_line) == (44, 4, 2, 18)
    assert (about.words, about.distinct_words) == (8, 7)
    assert next(iter(about.symbols.items())) == ("h", 5)
    assert about.cleaning == {}
    assert list(about.baselines) == ["unigram", "bigram", "trigram", "5-gram"]


def test_odd_characters_are_listed_the_worst_first(described: Callable[..., Description]) -> None:
    text = "plain text in small letters \u00e9\u00e8\n" * 1000 + "\ufffd \x07 \u00a0 \u041f \u201c ~ \n"
    odd = {character.character: character for character in described(text).odd}
    assert list(odd) == ["\ufffd", "\x07", "\u00a0", "\u041f", "\u201c", "~"]
    assert odd["\x07"].why == "invisible"
    assert odd["\u041f"].why == "another script"
    assert (odd["~"].why, odd["~"].count, odd["~"].line) == ("rare", 1, 1001)


def test_the_main_script_of_a_text_is_not_odd(described: Callable[..., Description]) -> None:
    text = "мой дядя самых честных правил\n" * 500
    assert described(text).odd == ()


@pytest.mark.parametrize(
    "text",
    [
        "\u3000\u3000灯塔的看守人，养了一只猫。“够了……”她说——《书》（一）：什么？！\n",
        "灯台守は、「もういい」と言った。カメラ・テレビ～\n",
        "مرحبا، كيف حالك؟ نعم؛\n",
        "यह किताब है। वह घर है॥\n",
    ],
    ids=["Chinese", "Japanese", "Arabic", "Hindi"],
)
def test_ordinary_punctuation_of_a_script_is_not_odd(described: Callable[..., Description], text: str) -> None:
    assert described(text * 300).odd == ()
    assert [odd.character for odd in described(text * 300 + "\u041f\ufffd").odd] == ["\ufffd", "\u041f"]


def test_a_repeated_passage_is_found() -> None:
    text = letters(2000, 1)
    twice = text[300:450]
    whole = text + "X" + twice + "Y" + letters(500, 2)
    duplicates = find_duplicates(whole, 2000)
    assert [(p.start, p.earlier, p.length) for p in duplicates.passages] == [(2001, 300, 150)]
    assert duplicates.share == 150 / len(whole)
    assert duplicates.validation_share == 150 / (len(whole) - 2000)
    assert find_duplicates(whole, 100).validation_share == 0, "both occurrences are in the validation split"


def test_positions_refer_to_the_text_under_every_split(described: Callable[..., Description]) -> None:
    text = letters(2000, 1)
    lines = [text[start : start + 50] for start in range(0, 2000, 50)]
    lines[30] = "~" + lines[30]
    whole = "\n".join([*lines, *lines[3:8], *lines[:1]]) + "\n" + letters(8000, 2)
    start = len("\n".join(lines)) + 1
    for rule in (SplitRule(), SplitRule("blocks", 0.3), SplitRule("blocks", 0.3, seed=2)):
        about = described(whole, rule)
        assert about.lines == whole.count("\n") + 1
        longest = about.duplicates.passages[0]
        assert whole[longest.start : longest.start + longest.length] == whole[longest.earlier :][: longest.length]
        assert start - 1 <= longest.start < start + 5 * 51
        assert [(odd.character, odd.line) for odd in about.odd if odd.character == "~"] == [("~", 31)]


def test_a_long_text_is_described_by_a_sample(described: Callable[..., Description], monkeypatch) -> None:
    monkeypatch.setattr("litegpt.text.describe.spread", partial(spread, part_length=500))
    monkeypatch.setattr("litegpt.text.describe.DESCRIBED_CHARACTERS", 5000)
    text = letters(20_000, 4)
    about = described(text + "~" * 5000, SplitRule(fraction=0.2))
    assert about.characters == 25_000
    assert about.described == 5000
    assert about.symbols.keys() == set(text) | {"~"}, "the sample includes the end"


def test_a_passage_has_at_least_the_length_of_a_window() -> None:
    text = letters(1000, 3)
    assert find_duplicates(text + "X" + text[: WINDOW - 1], 900).share == 0
    assert find_duplicates("short", 2).passages == ()


@given(st.text(alphabet="ab", max_size=300), st.integers(0, 300))
def test_shares_agree_with_their_definition(text: str, cut: int) -> None:
    cut = min(cut, len(text))
    repeated, copied = set(), set()
    for start in range(len(text) - WINDOW + 1):
        first = text.find(text[start : start + WINDOW])
        if first < start:
            repeated |= set(range(start, start + WINDOW))
            if first < cut:
                copied |= set(range(start, start + WINDOW))
    duplicates = find_duplicates(text, cut)
    assert duplicates.share == (len(repeated) / len(text) if text else 0)
    validation = {position for position in copied if position >= cut}
    assert duplicates.validation_share == (len(validation) / (len(text) - cut) if cut < len(text) else 0)
