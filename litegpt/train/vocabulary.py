"""Learning of vocabularies of words and byte pairs from a training split, with Hugging Face's tokenizers.

The library is imported at its first use, because characters and bytes do not need it.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from litegpt.files import read_regular, write_whole
from litegpt.study.trial import BYTES, Trial
from litegpt.text.split import SplitText
from litegpt.train.tokenizer import (
    CHARACTER_OF,
    WHITE_SPACE,
    ByteTokenizer,
    CharacterTokenizer,
    LearnedTokenizer,
    Tokenizer,
)

if TYPE_CHECKING:
    import tokenizers

LEARNING_CHARACTERS = 1 << 25
"""A vocabulary is learned from at most about this many characters, in parts spread evenly over the training split."""
DEFINITION_BYTES_MAX = 1 << 26  # of a tokenizer's file
WORD_CHARACTERS = 64
"""The longest word, in characters. Longer words are cut, because the time for a word's byte pairs grows with the square
of its length, and a text without spaces would be one word."""
CONTRACTIONS = 8  # the most parts after an apostrophe in one word
BEAT_SECONDS = 0.2


def tokenizer_for(trial: Trial, text: SplitText, folder: Path, beat: Callable[[], None] = lambda: None) -> Tokenizer:
    """Return a trial's tokenizer for a text.

    A learned vocabulary is written to `folder` and read from there the next time. `beat` is called often meanwhile, and
    an exception from it ends the learning. Raises OSError if the file cannot be written.
    """
    if trial.tokenizer == "char":
        return CharacterTokenizer(text.corpus.symbols)
    if trial.tokenizer == "byte":
        return ByteTokenizer()
    path = folder / f"{trial.tokenizer}-{trial.vocab_size}-{text.digest[:8]}.json"
    tokenizer = _read_learned(path)
    if tokenizer is None or tokenizer.vocab_size != trial.vocab_size:
        learn = learn_words if trial.tokenizer == "word" else learn_byte_pairs
        tokenizer = learn(_sample(text), trial.vocab_size, beat)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, tokenizer.definition.encode())
    return tokenizer


def _read_learned(path: Path) -> LearnedTokenizer | None:
    """Return the tokenizer in a file, or None if the file is missing or damaged."""
    try:
        tokenizer = LearnedTokenizer(read_regular(path, DEFINITION_BYTES_MAX).decode())
        tokenizer.encode("")  # makes the library read the definition
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return tokenizer


@cache
def _word_pattern() -> str:
    r"""Return the regular expression of a word with the space before it, similar to GPT-2's (Radford et al. 2019).

    Unlike GPT-2's, it keeps contractions whole and cuts words after WORD_CHARACTERS. A word is made of all characters
    except white space and symbols, so combining marks belong to it. Both classes are spelled out, because Python and
    the library disagree about \w and \s.
    """
    symbols, up_to = _symbols(), f"{{1,{WORD_CHARACTERS}}}"
    word = f"[^{WHITE_SPACE}{symbols}]{up_to}"
    space = f"[{WHITE_SPACE}]{up_to}"
    contraction = f" ?{word}(?:['\u2019]{word}){{0,{CONTRACTIONS}}}"
    return f"{contraction}| ?[{symbols}]{up_to}|{space}(?![^{WHITE_SPACE}])|{space}"


def _symbols() -> str:
    """Return punctuation and symbols in the syntax of a regular expression's character class.

    Beyond U+FFFF only a few blocks count, because Python is slow if a class has many ranges there.
    """
    codes = [code for code in range(1 << 16) if unicodedata.category(chr(code))[0] in "PS" and chr(code) != "_"]
    # Variation selectors, which modify emoji, then musical and mathematical symbols, then emoji.
    codes += [*range(0xFE00, 0xFE10), *range(0x1D000, 0x1D400), *range(0x1F000, 0x1FC00)]
    runs = itertools.groupby(enumerate(sorted(codes)), key=lambda pair: pair[1] - pair[0])
    ranges = [[code for _, code in run] for _, run in runs]
    return "".join(f"{re.escape(chr(run[0]))}-{re.escape(chr(run[-1]))}" for run in ranges)


def learn_byte_pairs(
    parts: Iterable[str], vocab_size: int, beat: Callable[[], None] = lambda: None
) -> LearnedTokenizer:
    """Return a byte-level BPE of `vocab_size` tokens (Sennrich et al. 2016, arXiv:1508.07909).

    Only pairs that occur at least twice are merged. If there are too few, unused tokens fill the vocabulary.
    """
    from tokenizers import models, trainers

    tokenizer = _byte_level(models.BPE())
    alphabet = sorted(CHARACTER_OF.values())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, min_frequency=2, show_progress=False
    )
    _run_with_beats(lambda readable: tokenizer.train_from_iterator(readable, trainer), parts, beat)
    return _filled(tokenizer, vocab_size)


def learn_words(parts: Iterable[str], vocab_size: int, beat: Callable[[], None] = lambda: None) -> LearnedTokenizer:
    """Return a vocabulary of the 256 bytes and the most frequent words, `vocab_size` tokens in all.

    For the library it is a BPE without merges that looks up whole words first. If there are too few words, unused
    tokens fill the vocabulary.
    """
    from tokenizers import models

    find_words = re.compile(_word_pattern()).findall
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(find_words(part))
        beat()
    words = ("".join(CHARACTER_OF[byte] for byte in word.encode(errors="replace")) for word, _ in counts.most_common())
    longer = itertools.islice((word for word in words if len(word) > 1), vocab_size - BYTES)
    vocabulary = {piece: token for token, piece in enumerate([*sorted(CHARACTER_OF.values()), *longer])}
    return _filled(_byte_level(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True)), vocab_size)


def _byte_level(model: tokenizers.models.BPE) -> tokenizers.Tokenizer:
    import tokenizers
    from tokenizers import decoders, pre_tokenizers

    tokenizer = tokenizers.Tokenizer(model)
    words = pre_tokenizers.Split(tokenizers.Regex(_word_pattern()), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _filled(tokenizer: tokenizers.Tokenizer, vocab_size: int) -> LearnedTokenizer:
    definition = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = definition["model"]["vocab"]
    definition["model"]["vocab"] = vocabulary | {f"<unused {n}>": n for n in range(len(vocabulary), vocab_size)}
    return LearnedTokenizer(json.dumps(definition, ensure_ascii=False, indent=1))


def _run_with_beats(work: Callable[[Iterator[str]], None], parts: Iterable[str], beat: Callable[[], None]) -> None:
    """Run `work` on the parts in a thread, and call `beat` until it ends.

    The library does not return before it has merged all pairs, which can take minutes, and cannot be interrupted. If
    `beat` raises, the thread reads no further part, and its result is abandoned.
    """
    is_abandoned = threading.Event()
    failures: list[BaseException] = []

    def readable() -> Iterator[str]:
        for part in parts:
            if is_abandoned.is_set():
                return
            yield part

    def run() -> None:
        try:
            work(readable())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            beat()
            thread.join(BEAT_SECONDS)
    finally:
        is_abandoned.set()
    if failures:
        raise failures[0]


def _sample(text: SplitText) -> Iterator[str]:
    every = -(-text.train_characters // LEARNING_CHARACTERS)
    return itertools.islice(text.train(), 0, None, every)
