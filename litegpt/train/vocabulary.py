"""Vocabularies of words and byte pairs, learned from a training split with Hugging Face's tokenizers.

The library is imported when it is asked for: characters and bytes do without it.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from litegpt.files import write_whole
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
"""Of a longer training split, about so many characters are learned from, in parts spread evenly over it."""


def tokenizer_for(trial: Trial, text: SplitText, folder: Path, beat: Callable[[], None] = lambda: None) -> Tokenizer:
    """Return a trial's tokenizer on a text. One that is learned is kept in `folder`, and the same from then on.

    `beat` is called every now and then while a text is read to learn from; what it raises ends that. Raises OSError
    where the tokenizer cannot be written there.
    """
    if trial.tokenizer == "char":
        return CharacterTokenizer(text.corpus.symbols)
    if trial.tokenizer == "byte":
        return ByteTokenizer()
    path = folder / f"{trial.tokenizer}-{trial.vocab_size}-{text.digest[:8]}.json"
    tokenizer = _kept(path)
    if tokenizer is None or tokenizer.vocab_size != trial.vocab_size:
        learn = learn_words if trial.tokenizer == "word" else learn_byte_pairs
        tokenizer = learn(_sample(text, beat), trial.vocab_size)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, tokenizer.definition.encode())
    return tokenizer


def _kept(path: Path) -> LearnedTokenizer | None:
    """Return a tokenizer that was learned before; None where there is none yet, or it is damaged."""
    try:
        tokenizer = LearnedTokenizer(path.read_text(encoding="utf-8"))
        tokenizer.encode("")  # the library reads the definition for that
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return tokenizer


@cache
def _word_pattern() -> str:
    r"""Return the regular expression of a word, with the space before it, as GPT-2 cuts them (Radford et al. 2019).

    A contraction is one word, though. Classes are spelled out, because Python and the library, which both read this,
    differ in \w and \s: a word is of anything but white space and symbols, so of combining marks too.
    """
    symbols = _symbols()
    word = f"[^{WHITE_SPACE}{symbols}]+"
    return f" ?{word}(?:['\u2019]{word})*| ?[{symbols}]+|[{WHITE_SPACE}]+(?![^{WHITE_SPACE}])|[{WHITE_SPACE}]+"


def _symbols() -> str:
    """Return punctuation and symbols, as a regular expression's class has them.

    Beyond U+FFFF in two blocks, music and emoji: Python is slow where a class has many ranges there.
    """
    codes = [code for code in range(1 << 16) if unicodedata.category(chr(code))[0] in "PS" and chr(code) != "_"]
    codes += [*range(0xFE00, 0xFE10), *range(0x1D000, 0x1D400), *range(0x1F000, 0x1FC00)]  # the first vary emoji
    runs = itertools.groupby(enumerate(sorted(codes)), key=lambda pair: pair[1] - pair[0])
    ranges = [[code for _, code in run] for _, run in runs]
    return "".join(f"{re.escape(chr(run[0]))}-{re.escape(chr(run[-1]))}" for run in ranges)


def learn_byte_pairs(parts: Iterator[str], vocab_size: int) -> LearnedTokenizer:
    """Return a byte-level BPE of `vocab_size` tokens (Sennrich et al. 2016, arXiv:1508.07909).

    A pair that occurs once is none; tokens that never occur fill the vocabulary up.
    """
    from tokenizers import models, trainers

    tokenizer = _byte_level(models.BPE())
    alphabet = sorted(CHARACTER_OF.values())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator(parts, trainer)
    return _filled(tokenizer, vocab_size)


def learn_words(parts: Iterator[str], vocab_size: int) -> LearnedTokenizer:
    """Return the single bytes and the most frequent words, `vocab_size` tokens together.

    In the library's terms a BPE without merges that looks whole words up first; tokens that never occur fill it up.
    """
    from tokenizers import models

    counts = Counter(itertools.chain.from_iterable(map(re.compile(_word_pattern()).findall, parts)))
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


def _sample(text: SplitText, beat: Callable[[], None]) -> Iterator[str]:
    every = -(-text.train_characters // LEARNING_CHARACTERS)
    for part in itertools.islice(text.train(), 0, None, every):
        beat()
        yield part
