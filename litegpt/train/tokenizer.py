"""Tokenizers: characters, bytes, and learned vocabularies of words or byte pairs.

Every tokenizer is lossless: decoding the tokens of a text gives the same text. Words that a learned vocabulary lacks
are spelled in bytes.
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
"""Unicode's white space, in the syntax of a regular expression's character class.

A word has white space only at its start, so a text may be cut before any white space that follows another character.
"""
REMEMBERED_WORDS = 200_000  # their tokens stay in memory, about 200 bytes each
CHARACTERS_AT_ONCE = 1 << 20  # long texts are encoded in parts of about this size

_INSIDE = re.compile(f"[^{WHITE_SPACE}](?=[{WHITE_SPACE}])")


def _byte_characters() -> dict[int, str]:
    """Return the character that a byte-level vocabulary writes for each byte.

    By GPT-2's convention, printable Latin-1 characters represent themselves, and the other bytes are written as the
    characters from U+0100 on, in order.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = itertools.count(BYTES)
    return {byte: chr(byte if byte in printable else next(others)) for byte in range(BYTES)}


CHARACTER_OF = _byte_characters()
_BYTE_OF = {character: byte for byte, character in CHARACTER_OF.items()}


class Tokenizer(Protocol):
    """Converts text to tokens and back. Tokens are below `vocab_size`, in the smallest integer type that holds them."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def opening(self) -> str:
        """Return the default prompt of a sample."""

    def encode(self, text: str) -> np.ndarray:
        """Return the tokens of `text` [N]; raises ValueError with the character that has no token."""

    def encode_parts(self, parts: Iterable[str]) -> Iterator[np.ndarray]:
        """Yield the tokens of a text that comes in parts; together they are the tokens of the whole text."""

    def decode(self, tokens: Iterable[int]) -> Iterator[str]:
        """Yield the text of tokens, each piece as soon as it is complete; invalid UTF-8 becomes U+FFFD."""

    def state(self) -> dict[str, str]:
        """Return the data from which `from_state` builds an equal tokenizer."""


def from_state(state: Mapping[str, Any]) -> Tokenizer:
    """Return the tokenizer that a checkpoint describes; raises ValueError or KeyError for a damaged state."""
    if "symbols" in state:
        return CharacterTokenizer(state["symbols"])
    return LearnedTokenizer(state["tokenizer"]) if state["tokenizer"] else ByteTokenizer()


def token_dtype(vocab_size: int) -> type[np.integer[Any]]:
    """Return the smallest integer type for the tokens that torch can index with on every device."""
    return np.uint8 if vocab_size <= 1 << 8 else np.int16 if vocab_size <= 1 << 15 else np.int32


class CharacterTokenizer:
    """One token per character; `symbols` is the vocabulary in code point order."""

    def __init__(self, symbols: tuple[str, ...] | str) -> None:
        self.symbols = tuple(symbols)
        self._dtype = token_dtype(self.vocab_size)
        code_points = [ord(symbol) for symbol in self.symbols]
        # Tokens by code point. The last entry serves all higher code points, which have no token.
        self._tokens = np.full(max(code_points, default=0) + 2, -1, dtype=np.int32)
        self._tokens[code_points] = np.arange(self.vocab_size)

    @property
    def vocab_size(self) -> int:
        """Return the number of symbols."""
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
    """One token per byte of UTF-8."""

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
    """A vocabulary of words or byte pairs. `definition` is the JSON of a byte-level BPE of Hugging Face's tokenizers.

    The text is split into words here, by the pattern in the definition, and the tokens of words seen before are
    remembered. The library alone takes three times as long for a long text (docs/LOG.md). Raises ValueError, KeyError
    or TypeError if the definition is invalid.
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
        if self._words is None:  # created at the first use, because decoding does not need it
            self._words = _Words(self.definition, self._dtype)
        return np.frombuffer(b"".join(map(self._words.__getitem__, self._words.cut(text))), dtype=self._dtype)

    def encode_parts(self, parts: Iterable[str]) -> Iterator[np.ndarray]:
        return map(self.encode, cut_between_words(parts))

    def decode(self, tokens: Iterable[int]) -> Iterator[str]:
        return _decoded(self._pieces[token] for token in tokens)

    def state(self) -> dict[str, str]:
        return {"tokenizer": self.definition}


class _Words(dict[str, bytes]):
    """The tokens of each word, computed at its first use. They are kept as bytes, a quarter of the size of a list."""

    def __init__(self, definition: str, dtype: type[np.integer[Any]]) -> None:
        import tokenizers

        super().__init__()
        try:
            (split, *_) = json.loads(definition)["pre_tokenizer"]["pretokenizers"]
            self.cut: Callable[[str], list[str]] = re.compile(split["pattern"]["Regex"]).findall
            self._encode: Callable[[str], Any] = tokenizers.Tokenizer.from_str(definition).encode
        except Exception as error:  # the library raises plain Exception for a damaged definition
            raise ValueError(f"its tokenizer is damaged: {' '.join(str(error).split())}") from None
        self._dtype = dtype

    def __missing__(self, word: str) -> bytes:
        if len(self) >= REMEMBERED_WORDS:
            self.clear()
        valid = word.encode(errors="replace").decode()  # the library rejects lone surrogates
        tokens = np.array(self._encode(valid).ids, dtype=self._dtype).tobytes()
        self[word] = tokens
        return tokens


def _decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    yield from filter(None, map(decoder.decode, pieces))
    if rest := decoder.decode(b"", final=True):
        yield rest


def cut_between_words(parts: Iterable[str]) -> Iterator[str]:
    """Yield a text in parts of about CHARACTERS_AT_ONCE characters that end between two words."""
    buffer = ""
    for part in parts:
        buffer += part
        if len(buffer) < CHARACTERS_AT_ONCE:
            continue
        last = max((match.end() for match in _INSIDE.finditer(buffer, len(buffer) - 1000)), default=0)
        cut = last or len(buffer)  # text without white space is cut anywhere
        yield buffer[:cut]
        buffer = buffer[cut:]
    if buffer:
        yield buffer
