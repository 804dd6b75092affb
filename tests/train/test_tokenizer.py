"""Text to tokens and back: every tokenizer restores the text, also when it comes in parts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from litegpt.train import tokenizer as module
from litegpt.train.tokenizer import ByteTokenizer, CharacterTokenizer, LearnedTokenizer, Tokenizer, from_state
from litegpt.train.vocabulary import learn_byte_pairs, learn_words

NOVELLA = next((Path(__file__).parents[2] / "data").glob("*.txt")).read_text(encoding="utf-8")
WORDS = learn_words(iter([NOVELLA]), 600)
PAIRS = learn_byte_pairs(iter([NOVELLA]), 600)
ANY = st.text(st.characters(exclude_categories=["Cs"]))


def decoded(tokenizer: Tokenizer, tokens: np.ndarray) -> str:
    return "".join(tokenizer.decode(tokens.tolist()))


@given(ANY.filter(len))
def test_every_text_is_restored_by_its_character_tokenizer(text: str) -> None:
    tokenizer = CharacterTokenizer(tuple(sorted(set(text))))
    tokens = tokenizer.encode(text)
    assert tokens.max() < tokenizer.vocab_size == len(set(text))
    assert decoded(tokenizer, tokens) == text


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), WORDS, PAIRS], ids=["byte", "word", "bpe"])
@given(text=st.one_of(ANY, st.text("the ox's a\n\t\r  —é.", max_size=40)))
def test_every_text_is_restored_by_a_vocabulary_of_another_text(tokenizer: Tokenizer, text: str) -> None:
    """Words that a vocabulary lacks are spelled in bytes."""
    assert decoded(tokenizer, tokenizer.encode(text)) == text


def test_tokens_are_in_code_point_order() -> None:
    tokenizer = CharacterTokenizer("\nab€😀")
    assert tokenizer.encode("😀b\n€a").tolist() == [4, 2, 0, 3, 1]


@pytest.mark.parametrize("unknown", ["!", "~", "é", "😀"])
def test_an_unknown_character_is_named(unknown: str) -> None:
    with pytest.raises(ValueError, match=f"{unknown!r} is not in the vocabulary"):
        CharacterTokenizer("abc").encode(f"ab{unknown}c")


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer("abc"), ByteTokenizer(), WORDS, PAIRS])
def test_the_empty_text_has_no_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("").tolist() == []


@pytest.mark.parametrize(("vocab_size", "bits"), [(2, 8), (256, 8), (257, 16), (1 << 15, 16), (1 + (1 << 15), 32)])
def test_tokens_have_the_smallest_integer_type(vocab_size: int, bits: int) -> None:
    symbols = [chr(0x4E00 + number) for number in range(vocab_size)]
    assert CharacterTokenizer(tuple(symbols)).encode(symbols[-1]).dtype.itemsize == bits // 8


@pytest.mark.parametrize("learned", [WORDS, PAIRS], ids=["word", "bpe"])
def test_a_learned_tokenizer_equals_the_librarys(learned: LearnedTokenizer) -> None:
    """Encoding word by word gives the library's tokens, and the library can read the definition."""
    library = tokenizers.Tokenizer.from_str(learned.definition)
    tokens = learned.encode(NOVELLA).tolist()
    assert tokens == library.encode(NOVELLA).ids
    assert library.decode(tokens) == NOVELLA
    assert learned.vocab_size == library.get_vocab_size() == 600


@pytest.mark.parametrize("learned", [WORDS, PAIRS], ids=["word", "bpe"])
@given(
    text=st.one_of(
        ANY, st.text(st.sampled_from("a é'\u2019_!\n\r\t\x1c\x85\u3000\u0301\u0939\u093f\u0902\u200d❤\ufe0f👍𝑥²"))
    )
)
def test_any_text_is_split_as_the_library_splits_it(learned: LearnedTokenizer, text: str) -> None:
    """Combining marks, unusual digits and white space, which Python and the library classify differently."""
    library = tokenizers.Tokenizer.from_str(learned.definition)
    assert learned.encode(text).tolist() == library.encode(text).ids


@pytest.mark.parametrize("text", ["हिन्दी में", "ภาษาไทย", "cafe\u0301 cre\u0300me", "क्\u200dष", "it's", "₂x"])
def test_a_word_keeps_its_marks(text: str) -> None:
    words = learn_words(iter([f"{text}\n"]), 300)
    assert len(words.encode(text)) == len(text.split()), [*words.decode(words.encode(text).tolist())]


def test_symbols_are_words_of_their_own() -> None:
    """Emoji with variation selectors and sentence ends get one token each."""
    text = "है। no, ❤️ 👍🏽!\n"
    tokenizer = learn_words(iter([text]), 300)
    assert [*tokenizer.decode(tokenizer.encode(text).tolist())] == ["है", "।", " no", ",", " ❤️", " 👍🏽!", "\n"]


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), WORDS, PAIRS], ids=["byte", "word", "bpe"])
def test_a_lone_surrogate_becomes_a_question_mark(tokenizer: Tokenizer) -> None:
    """A command line that is not UTF-8 contains lone surrogates."""
    assert decoded(tokenizer, tokenizer.encode("the \udcff ox\udcfe")) == "the ? ox?"


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize("tokenizer", [CharacterTokenizer(sorted(set(NOVELLA))), ByteTokenizer(), WORDS, PAIRS])
def test_parts_have_the_tokens_of_the_whole_text(
    tokenizer: Tokenizer, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHARACTERS_AT_ONCE", at_once)
    text = NOVELLA[:5000]
    parts = [text[start : start + 97] for start in range(0, len(text), 97)]
    assert np.concatenate([*tokenizer.encode_parts(parts)]).tolist() == tokenizer.encode(text).tolist()


def test_a_text_without_spaces_is_cut_into_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHARACTERS_AT_ONCE", 10)
    text = "鲸鱼" * 50
    parts = np.concatenate([*PAIRS.encode_parts([text[:33], text[33:]])])
    assert decoded(PAIRS, parts) == text


def test_few_remembered_words_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = PAIRS.encode(NOVELLA[:5000]).tolist()
    monkeypatch.setattr(module, "REMEMBERED_WORDS", 3)
    forgetful = LearnedTokenizer(PAIRS.definition)
    assert forgetful.encode(NOVELLA[:5000]).tolist() == tokens


def test_a_character_is_yielded_with_its_last_byte() -> None:
    tokens = ByteTokenizer().encode("a€b")
    assert [*ByteTokenizer().decode(tokens)] == ["a", "€", "b"]
    assert [*ByteTokenizer().decode(tokens[:3])] == ["a", "�"], "the rest may never come"


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer("\nab€"), ByteTokenizer(), WORDS, PAIRS])
def test_the_state_restores_the_tokenizer(tokenizer: Tokenizer) -> None:
    again = from_state(json.loads(json.dumps(tokenizer.state())))
    assert again.vocab_size == tokenizer.vocab_size
    assert again.encode("ab\n€").tolist() == tokenizer.encode("ab\n€").tolist()
    assert again.opening == tokenizer.opening


@pytest.mark.parametrize(
    "damage",
    [
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"pattern": {"Regex": "("}}]}},
        {"decoder": 7},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "zzq"]]}},
    ],
    ids=str,
)
def test_a_definition_that_the_library_refuses_raises_one_line(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="its tokenizer is damaged") as refusal:
        LearnedTokenizer(json.dumps(json.loads(PAIRS.definition) | damage)).encode("a")
    assert "\n" not in str(refusal.value)
