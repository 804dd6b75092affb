"""Tokenizers: characters, bytes, and vocabularies of words or byte pairs that are learned from a text.

Whatever the tokenizer, a text comes back from its tokens as it was: words and byte pairs that a vocabulary lacks are
spelled in bytes.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from litegpt.study.trial import BYTES

WHITE_SPACE = r"\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's, as a regular expression's class has it.

No word has any after anything else, so a text may be cut before white space that follows something else.
"""
REMEMBERED_WORDS = 200_000  # whose tokens are kept at hand, some 200 bytes each
CHARACTERS_AT_ONCE = 1 << 20  # of a long text

_INSIDE = re.compile(f"[^{WHITE_SPACE}](?=[{WHITE_SPACE}])")


def _byte_characters() -> dict[int, str]:
    """Return the character that stands for each byte in a byte-level vocabulary.

    Printable Latin-1 stands for itself, the other bytes in order for the characters from U+0100 on: GPT-2's convention.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = itertools.count(BYTES)
    return {byte: chr(byte if byte in printable else next(others)) for byte in range(BYTES)}


CHARACTER_OF = _byte_characters()
_BYTE_OF = {character: byte for byte, character in CHARACTER_OF.items()}


class Tokenizer(Protocol):
    """Text as tokens, each below `vocab_size`, in the smallest integers that hold them all."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def opening(self) -> str:
        """What a sample goes on from where nobody says otherwise."""

    def encode(self, text: str) -> np.ndarray:
        """Return the tokens of `text` [N]; ValueError names a character that there is no token for."""

    def encode_parts(self, parts: Iterable[str]) -> Iterator[np.ndarray]:
        """Yield the tokens of a text that comes in parts: together those of the whole text."""

    def decode(self, tokens: Iterable[int]) -> Iterator[str]:
        """Yield the text of tokens, each piece as soon as it is certain; bytes that are no text are U+FFFD."""

    def state(self) -> dict[str, str]:
        """Return what `from_state` makes the same tokenizer of."""


def from_state(state: Mapping[str, Any]) -> Tokenizer:
    """Return the tokenizer of which a checkpoint holds the state. Raises ValueError or KeyError where it is none."""
    if "symbols" in state:
        return CharacterTokenizer(state["symbols"])
    return LearnedTokenizer(state["tokenizer"]) if state["tokenizer"] else ByteTokenizer()


def token_dtype(vocab_size: int) -> type[np.integer[Any]]:
    """Return the smallest integers that hold the tokens, of those that torch looks up on every device."""
    return np.uint8 if vocab_size <= 1 << 8 else np.int16 if vocab_size <= 1 << 15 else np.int32


class CharacterTokenizer:
    """One token a character; `symbols` is the vocabulary in code point order."""

    def __init__(self, symbols: tuple[str, ...] | str) -> None:
        self.symbols = tuple(symbols)
        self._dtype = token_dtype(self.vocab_size)
        code_points = [ord(symbol) for symbol in self.symbols]
        self._tokens = np.full(max(code_points, default=0) + 2, -1, dtype=np.int32)  # by code point; the last: others
        self._tokens[code_points] = np.arange(self.vocab_size)

    @property
    def vocab_size(self) -> int:
        """How many symbols there are."""
        return len(self.symbols)

    @property
    def opening(self) -> str:
        return "\n" if "\n" in self.symbols else self.symbols[0]

    def encode(self, text: str) -> np.ndarray:
        code_points = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
        tokens = self._tokens[np.minimum(code_points, len(self._tokens) - 1)]
        if (tokens < 0).any():
            raise ValueError(f"the character {text[int(tokens.argmin())]!r} is not in the vocabulary")
        return tokens.astype(self._dtype)

    def encode_parts(self, parts: Iterable[str]) -> Iterator[np.ndarray]:
        return map(self.encode, parts)

    def decode(self, tokens: Iterable[int]) -> Iterator[str]:
        return (self.symbols[token] for token in tokens)

    def state(self) -> dict[str, str]:
        return {"symbols": "".join(self.symbols)}


class ByteTokenizer:
    """One token a byte of UTF-8."""

    vocab_size = BYTES
    opening = "\n"

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode(errors="replace"), dtype=np.uint8)

    def encode_parts(self, parts: Iterable[str]) -> Iterator[np.ndarray]:
        return map(self.encode, parts)

    def decode(self, tokens: Iterable[int]) -> Iterator[str]:
        return _decoded(bytes([token]) for token in tokens)

    def state(self) -> dict[str, str]:
        return {"tokenizer": ""}


class LearnedTokenizer:
    """Words or byte pairs, as a `tokenizers.Tokenizer` of byte-level BPE: `definition` is its JSON.

    A text is cut into words here, by the pattern that the definition has for the library, and each is looked up among
    those that were met before: the library takes three times as long for a long text (docs/LOG.md).
    Raises ValueError, KeyError or TypeError where the definition is none.
    """

    opening = "\n"

    def __init__(self, definition: str) -> None:
        self.definition = definition
        vocabulary = json.loads(definition)["model"]["vocab"]
        self.vocab_size = len(vocabulary)
        if set(vocabulary.values()) != set(range(self.vocab_size)):
            raise ValueError("its tokens are not numbered from 0 on")
        self._dtype = token_dtype(self.vocab_size)
        self._pieces = [b""] * self.vocab_size
        for piece, token in vocabulary.items():
            self._pieces[token] = bytes(map(_BYTE_OF.__getitem__, piece)) if _BYTE_OF.keys() >= set(piece) else b""
        self._words: _Words | None = None

    def encode(self, text: str) -> np.ndarray:
        if self._words is None:  # decoding does without
            self._words = _Words(self.definition, self._dtype)
        return np.frombuffer(b"".join(map(self._words.__getitem__, self._words.cut(text))), dtype=self._dtype)

    def encode_parts(self, parts: Iterable[str]) -> Iterator[np.ndarray]:
        return map(self.encode, cut_between_words(parts))

    def decode(self, tokens: Iterable[int]) -> Iterator[str]:
        return _decoded(self._pieces[token] for token in tokens)

    def state(self) -> dict[str, str]:
        return {"tokenizer": self.definition}


class _Words(dict[str, bytes]):
    """The tokens of words, found when they are first asked for; as bytes, which take a quarter of a list's room."""

    def __init__(self, definition: str, dtype: type[np.integer[Any]]) -> None:
        import tokenizers

        super().__init__()
        try:
            (split, *_) = json.loads(definition)["pre_tokenizer"]["pretokenizers"]
            self.cut: Callable[[str], list[str]] = re.compile(split["pattern"]["Regex"]).findall
            self._encode: Callable[[str], Any] = tokenizers.Tokenizer.from_str(definition).encode
        except Exception as error:  # the library has no narrower one, and a file can hold anything
            raise ValueError(f"its tokenizer is damaged: {' '.join(str(error).split())}") from None
        self._dtype = dtype

    def __missing__(self, word: str) -> bytes:
        if len(self) >= REMEMBERED_WORDS:
            self.clear()
        whole = word.encode(errors="replace").decode()  # the library takes no lone surrogates
        tokens = np.array(self._encode(whole).ids, dtype=self._dtype).tobytes()
        self[word] = tokens
        return tokens


def _decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    yield from filter(None, map(decoder.decode, pieces))
    if rest := decoder.decode(b"", final=True):
        yield rest


def cut_between_words(parts: Iterable[str]) -> Iterator[str]:
    """Yield a text that comes in parts in others, of about CHARACTERS_AT_ONCE, which end where a word does."""
    held = ""
    for part in parts:
        held += part
        if len(held) < CHARACTERS_AT_ONCE:
            continue
        last = max((match.end() for match in _INSIDE.finditer(held, len(held) - 1000)), default=0)
        cut = last or len(held)  # a text without white space is cut anywhere
        yield held[:cut]
        held = held[cut:]
    if held:
        yield held
