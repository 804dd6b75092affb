"""How well counting predicts a validation split: unigram, bigram, trigram and 5-gram, of characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from litegpt.text.ngram import Integers, NGramModel

ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3, "5-gram": 5}
TRAINING_CHARACTERS = 20_000_000
"""Of a longer training split the end is counted, next to the validation split: the rest would take minutes."""


def baseline_losses(training: str, validation: str) -> dict[str, float]:
    """Return each baseline's loss, in nats a character, counted in one text and measured on the other.

    As for trials, the validation split's first character is not predicted, only what follows it.
    """
    symbols = sorted(set(training) | set(validation))
    model = NGramModel(encode(training[-TRAINING_CHARACTERS:], symbols), len(symbols), max(ORDERS.values()))
    tokens = encode(validation, symbols)
    return {name: float(model.losses(tokens, order)[1:].mean()) for name, order in ORDERS.items()}


def encode(text: str, symbols: Sequence[str]) -> Integers:
    """Return the number of each character's symbol."""
    numbers = np.zeros(0x110000, dtype=np.int64)
    numbers[[ord(symbol) for symbol in symbols]] = np.arange(len(symbols))
    return numbers[np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)]
