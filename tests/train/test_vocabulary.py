"""Learned vocabularies: their content, and that a study keeps the one it started with."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from litegpt.study.split import SplitRule
from litegpt.study.trial import Trial
from litegpt.text.corpus import read_corpus
from litegpt.text.split import SplitText
from litegpt.train import vocabulary
from litegpt.train.tokenizer import ByteTokenizer, CharacterTokenizer, LearnedTokenizer
from litegpt.train.vocabulary import learn_byte_pairs, learn_words, tokenizer_for

TEXT = "the cat and the dog and the bird\n" * 30 + "hapax " * 1
UNSEEN = " zebra" * 40


@pytest.fixture
def split(tmp_path: Path) -> SplitText:
    """A text whose validation split has a word that the training split lacks."""
    (tmp_path / "text.txt").write_text(TEXT + UNSEEN)
    return SplitText(read_corpus("text.txt", tmp_path), SplitRule(fraction=len(UNSEEN) / len(TEXT + UNSEEN)))


def pieces(tokenizer: LearnedTokenizer) -> set[str]:
    return {"".join(tokenizer.decode([token])) for token in range(256, tokenizer.vocab_size)}


def test_words_are_the_most_frequent_ones() -> None:
    counts = Counter({" the": 60, " and": 60, "the": 30, " cat": 30, " dog": 30, " bird": 30})
    assert pieces(learn_words(iter([TEXT]), 256 + len(counts))) == set(counts)


def test_byte_pairs_are_merged_by_frequency() -> None:
    """Counted by hand: "ab" occurs 5 times, " ab" 4 times, " abc" twice."""
    assert pieces(learn_byte_pairs(iter(["abc abc abc ab ab"]), 259)) == {"ab", " ab", " abc"}


@pytest.mark.parametrize("learn", [learn_words, learn_byte_pairs])
@pytest.mark.parametrize("text", ["x" * 1000, "=" * 1000, "a" + " " * 1000, "x" + "'x" * 1000, "天地" * 500])
def test_no_token_is_longer_than_the_longest_word(learn, text: str) -> None:
    """A text without spaces would be one word, and learning its byte pairs would take quadratic time."""
    tokenizer = learn(iter([text]), 300)
    assert max(map(len, pieces(tokenizer))) <= vocabulary.WORD_CHARACTERS + 1
    assert "".join(tokenizer.decode(tokenizer.encode(text))) == text


def test_a_definition_without_a_longest_word_still_gives_its_tokens() -> None:
    """Files written by earlier versions have the old pattern, and words of ordinary text have not changed."""
    text = next(Path("data").glob("*.txt")).read_text(encoding="utf-8")
    tokenizer = learn_byte_pairs(iter([text]), 500)
    unbounded = tokenizer.definition.replace("{1,64}", "+").replace("{0,8}", "*")
    assert unbounded != tokenizer.definition
    earlier = LearnedTokenizer(unbounded)
    assert earlier.encode(text).tolist() == tokenizer.encode(text).tolist()
    assert "".join(earlier.decode(earlier.encode("x" * 300))) == "x" * 300


class StoppedError(Exception):
    pass


def test_learning_byte_pairs_stops_when_beat_raises() -> None:
    """The library is in the middle of its work then: it waits for a part that comes only after the test."""
    released, beats = threading.Event(), 0

    def parts() -> Iterator[str]:
        yield "ab ab"
        released.wait()

    def beat() -> None:
        nonlocal beats
        beats += 1
        if beats == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        learn_byte_pairs(parts(), 260, beat)
    released.set()
    assert beats == 3


def test_a_text_that_cannot_be_read_ends_the_learning() -> None:
    def parts() -> Iterator[str]:
        yield "ab ab"
        raise StoppedError

    with pytest.raises(StoppedError):
        learn_byte_pairs(parts(), 260)


def test_learning_words_calls_beat_for_each_part() -> None:
    beats: list[None] = []
    learn_words(["a b", "c d", "e f"], 260, lambda: beats.append(None))
    assert len(beats) == 3


@pytest.mark.parametrize("learn", [learn_words, learn_byte_pairs])
def test_unused_tokens_fill_a_vocabulary(learn) -> None:
    tokenizer = learn(iter(["ab ab <unused 299>"]), 300)
    assert tokenizer.vocab_size == 300
    assert pieces(tokenizer) >= {""}
    assert 299 not in tokenizer.encode("ab <unused 299>")


def test_another_process_learns_the_same_vocabulary() -> None:
    program = (
        "from pathlib import Path; from litegpt.train.vocabulary import learn_byte_pairs as learn; "
        "text = next(Path('data').glob('*.txt')).read_text(encoding='utf-8'); "
        "print(learn(iter([text]), 1000).definition)"
    )
    root = Path(__file__).parents[2]
    said = {
        subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(said) == 1


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_only_the_training_split_is_learned_from(small: Trial, split: SplitText, tmp_path: Path, kind: str) -> None:
    trial = replace(small, tokenizer=kind, vocab_size=300)
    tokenizer = tokenizer_for(trial, split, tmp_path / "tokenizers")
    assert len(tokenizer.encode(" the")) == 1
    assert len(tokenizer.encode(" zebra")) > 3, "spelled"


def test_a_study_keeps_its_vocabulary(small: Trial, split: SplitText, tmp_path: Path) -> None:
    trial = replace(small, tokenizer="bpe", vocab_size=270)
    tokenizer_for(trial, split, tmp_path)
    (kept,) = tmp_path.glob("bpe-270-*.json")
    other = learn_byte_pairs(iter(["other words"]), 270)
    kept.write_text(other.definition)
    assert tokenizer_for(trial, split, tmp_path).state() == other.state(), "it is read, not learned again"
    kept.write_text(other.definition[:100])
    assert tokenizer_for(trial, split, tmp_path).vocab_size == 270, "a damaged one is learned again"
    assert json.loads(kept.read_text())["model"]["type"] == "BPE"


def fewer(definition: dict[str, Any]) -> None:
    definition["model"]["vocab"].popitem()


def gap(definition: dict[str, Any]) -> None:
    definition["model"]["vocab"] |= {next(reversed(definition["model"]["vocab"])): 350}


def no_number(definition: dict[str, Any]) -> None:
    definition["model"]["vocab"] |= {next(reversed(definition["model"]["vocab"])): "a"}


def bad_merge(definition: dict[str, Any]) -> None:
    definition["model"]["merges"].append(["zzq", "qqz"])


def no_model(definition: dict[str, Any]) -> None:
    definition["model"] = 5


def no_words(definition: dict[str, Any]) -> None:
    del definition["pre_tokenizer"]["pretokenizers"][0]["pattern"]


def bad_words(definition: dict[str, Any]) -> None:
    definition["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "("


@pytest.mark.parametrize("edit", [fewer, gap, no_number, bad_merge, no_model, no_words, bad_words])
def test_a_damaged_vocabulary_is_learned_again(
    small: Trial, split: SplitText, tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    trial = replace(small, tokenizer="bpe", vocab_size=270)
    learned = tokenizer_for(trial, split, tmp_path)
    (kept,) = tmp_path.glob("bpe-270-*.json")
    definition = json.loads(kept.read_text())
    edit(definition)
    kept.write_text(json.dumps(definition))
    assert tokenizer_for(trial, split, tmp_path).state() == learned.state()
    assert tokenizer_for(trial, split, tmp_path).encode(TEXT).tolist() == learned.encode(TEXT).tolist()


@pytest.mark.parametrize("content", ["5", "[1]", "[" * 100_000, "\0"])
def test_a_file_that_is_not_a_vocabulary_is_replaced(
    small: Trial, split: SplitText, tmp_path: Path, content: str
) -> None:
    trial = replace(small, tokenizer="word", vocab_size=270)
    learned = tokenizer_for(trial, split, tmp_path)
    (kept,) = tmp_path.glob("word-270-*.json")
    kept.write_text(content)
    assert tokenizer_for(trial, split, tmp_path).state() == learned.state()


def test_a_vocabulary_is_learned_from_part_of_a_long_text(
    small: Trial, split: SplitText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "LEARNING_CHARACTERS", 10)
    monkeypatch.setattr("litegpt.text.decoding.PIECE_BYTES", 34)
    tokenizer = tokenizer_for(replace(small, tokenizer="word", vocab_size=300), split, tmp_path)
    assert len(tokenizer.encode(" and")) == 1
    assert len(tokenizer.encode("hapax")) == 5


def test_characters_and_bytes_need_no_file(small: Trial, split: SplitText, tmp_path: Path) -> None:
    assert isinstance(tokenizer_for(small, split, tmp_path / "none"), CharacterTokenizer)
    assert isinstance(tokenizer_for(replace(small, tokenizer="byte"), split, tmp_path / "none"), ByteTokenizer)
    assert not (tmp_path / "none").exists()
