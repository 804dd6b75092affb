"""How well counting predicts a validation split: unigram, bigram, trigram and 5-gram, of characters."""

from __future__ import annotations

import numpy as np

from litegpt.text.ngram import Integers, NGramModel

ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3, "5-gram": 5}
TRAINING_CHARACTERS = 20_000_000
"""Of a longer training split the end is counted, next to the validation split: the rest would take minutes."""


def baseline_losses(text: str, cut: int) -> dict[str, float]:
    """Return each baseline's loss, in nats a character, counted before `cut` and measured on what is from it on.

    As for trials, the validation split's first character is not predicted, only what follows it.
    """
    tokens, vocab_size = encode(text)
    model = NGramModel(tokens[max(0, cut - TRAINING_CHARACTERS) : cut], vocab_size, max(ORDERS.values()))
    return {name: float(model.losses(tokens[cut:], order)[1:].mean()) for name, order in ORDERS.items()}


def encode(text: str) -> tuple[Integers, int]:
    """Return a token a character, numbered in code point order, and how many different ones there are."""
    code_points = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
    known = np.zeros(0x110000, dtype=bool)
    known[code_points] = True
    numbers = np.cumsum(known) - 1
    return numbers[code_points], int(known.sum())
